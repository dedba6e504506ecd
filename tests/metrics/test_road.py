"""ROAD on a model that reads one tube."""

import pytest
import torch
from torch import Tensor

from whyact.metrics.road import road
from whyact.types import WhyactError

TUBE = (2, 4, 4)


def clip(count: int = 1) -> Tensor:
    """(B, 3, 4, 8, 8): black, with one white tube, the first of eight."""
    x = torch.zeros(count, 3, 4, 8, 8)
    x[:, :, :2, :4, :4] = 1
    return x


def white(x: Tensor) -> Tensor:
    """Class 0 where the first tube is more than half white."""
    share = x[:, :, :2, :4, :4].mean((1, 2, 3, 4))
    return torch.stack([share, 1 - share], 1)


def gap(heat: Tensor) -> float:
    found = road(white, clip(), heat, torch.tensor([0]), fractions=(0.125, 0.5), tube=TUBE)
    assert found.fractions.tolist() == [0.125, 0.5]
    return float(found.gap)


def test_perfect_inverted_constant_and_empty_maps() -> None:
    perfect = clip()[:, 0]
    # Without the white tube its place is imputed black: the class is gone at once.
    assert gap(perfect) == -1
    assert gap(1 - perfect) == 1
    constant, empty = gap(torch.ones_like(perfect)), gap(torch.zeros_like(perfect))
    assert constant == empty  # both are the same random order of tied tubes
    assert abs(constant) <= 0.5


def test_batches_change_nothing_and_passes_are_counted() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(3, 3, 4, 8, 8, generator=generator)
    heat, targets = torch.rand(3, 4, 8, 8, generator=generator), torch.tensor([0, 1, 0])
    seen: list[Tensor] = []

    def model(batch: Tensor) -> Tensor:
        seen.append(batch)
        return white(batch)

    road(model, x, heat, targets, tube=TUBE, batch_size=64)
    (large,) = seen
    assert len(large) == 3 * 2 * 3
    seen.clear()
    road(model, x, heat, targets, tube=TUBE, batch_size=4)
    assert torch.allclose(torch.cat(seen), large, atol=1e-5)
    seen.clear()
    road(model, x[1:2], heat[1:2], targets[1:2], tube=TUBE)
    assert torch.allclose(torch.cat(seen), large[6:12], atol=1e-5)


def test_what_is_imputed_is_noisy() -> None:
    """A grey clip stays grey where tubes are left; the others get noise, by default of 0.01."""
    x, heat = torch.full((1, 3, 4, 16, 16), 0.5), torch.zeros(1, 4, 16, 16)
    heat[:, :2] = 1
    seen: list[Tensor] = []

    def model(batch: Tensor) -> Tensor:
        seen.append(batch)
        return white(batch)

    road(model, x, heat, torch.tensor([0]), fractions=(0.5,), tube=TUBE)
    most, least = torch.cat(seen)
    assert torch.equal(most[:, 2:], x[0, :, 2:]) and torch.equal(least[:, :2], x[0, :, :2])
    for noise in (most[:, :2], least[:, 2:]):  # 1536 draws: a standard error of 2 %
        assert float(noise.std()) == pytest.approx(0.01, rel=0.05)


def test_errors() -> None:
    with pytest.raises(WhyactError, match=r"fractions between 0 and 1, got \[0.5, 1.0\]"):
        road(white, clip(), clip()[:, 0], torch.tensor([0]), fractions=(0.5, 1.0))
    with pytest.raises(WhyactError, match="do not belong together"):
        road(white, clip(), clip()[:, 0, :2], torch.tensor([0]))
    with pytest.raises(WhyactError, match="no finite numbers"):
        road(white, clip(), clip()[:, 0] * float("nan"), torch.tensor([0]), tube=TUBE)
