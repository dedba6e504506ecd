"""Controls: they must not know the model, and not depend on the batch."""

import pytest
import torch
from torch import Tensor

from whyact.explainers.base import from_heat, logits_of
from whyact.explainers.controls import (
    CentrePrior,
    ConstantMap,
    Control,
    MotionMagnitude,
    RandomMap,
    blurred,
)
from whyact.types import WhyactError


def model(x: Tensor) -> Tensor:
    return torch.stack([x.mean((1, 2, 3, 4)), 1 - x.mean((1, 2, 3, 4))], 1)


def clips(count: int = 3) -> Tensor:
    return torch.rand(count, 3, 4, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", [RandomMap, ConstantMap, CentrePrior, MotionMagnitude])
def test_every_control(kind: type[Control]) -> None:
    x = clips()
    control = kind(model=model)
    found = control(x, torch.tensor([0, 1, 0]))
    assert [e.target for e in found] == [0, 1, 0]
    assert found[1].score == pytest.approx(float(1 - x[1].mean()), abs=1e-6)
    for b, one in enumerate(found):
        assert one.heat.shape == (4, 16, 16) and float(one.heat.min()) >= 0
        assert one.method == kind.name
        (alone,) = kind(model=model)(x[b : b + 1])
        assert torch.allclose(alone.heat, one.heat, atol=1e-6)


def test_random_maps_differ_between_clips_and_seeds() -> None:
    x = clips(2)
    first, second = RandomMap(model=model)(x)
    assert not torch.equal(first.heat, second.heat)
    assert not torch.equal(RandomMap(model=model, seed=1)(x)[0].heat, first.heat)
    assert float(first.heat.std()) > 0.1
    # Within a cell of 8 pixels the map is smooth, between frames it is not.
    assert float(first.heat.diff(dim=2).abs().max()) < float(first.heat.diff(dim=0).abs().max())


def test_constant_and_centre() -> None:
    (constant,) = ConstantMap(model=model)(clips(1))
    assert float(constant.heat.std()) == 0
    heat = CentrePrior(model=model, spread=0.25)(clips(1))[0].heat
    # Pixel 8's centre is 1/32 right of the middle in both directions, pixel 0's 15/32 left.
    ratio = heat[0, 0, 8] / heat[0, 8, 8]
    assert float(ratio) == pytest.approx(float(torch.tensor(-(15**2 - 1) / 32**2 * 8).exp()))


def test_motion_is_where_pixels_change() -> None:
    x = torch.zeros(1, 3, 4, 32, 32)
    x[:, :, 2:, 8:16, 8:16] = 0.6  # a square appears in frame 2
    heat = MotionMagnitude(model=model, sigma=1 / 128)(x)[0].heat
    # Frames 1 and 2 have the change on one of their two sides, frames 0 and 3 on none.
    assert heat[:, 12, 12].tolist() == pytest.approx([0, 0.3, 0.3, 0], abs=1e-3)
    assert float(heat[:, 24:, 24:].max()) == pytest.approx(0, abs=1e-6)
    still = MotionMagnitude(model=model)(x[:, :, :1])[0].heat
    assert float(still.max()) == 0


def test_a_blurred_map_spreads_in_space_and_keeps_the_sum() -> None:
    heat = torch.zeros(4, 16, 16)
    heat[0, 8, 8] = 1
    soft = blurred(heat)
    assert float(soft[0].sum()) == pytest.approx(1, abs=1e-3)
    assert float(soft[1:].max()) == 0
    assert soft[0].argmax() == 8 * 16 + 8 and float(soft.max()) < 0.1


def test_models_and_maps_are_checked() -> None:
    with pytest.raises(WhyactError, match=r"Expected logits \(3, classes\).*got \(4,\)"):
        logits_of(lambda x: torch.zeros(4), clips())
    with pytest.raises(WhyactError, match="got str"):
        logits_of(lambda x: "kick", clips())
    with pytest.raises(WhyactError, match="no finite numbers"):
        from_heat("x", torch.full((1, 1, 2, 2), float("nan")), torch.zeros(1), torch.zeros(1))
