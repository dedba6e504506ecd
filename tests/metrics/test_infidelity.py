"""Infidelity of a model that adds up its tubes, whose attributions are exact."""

import math

import pytest
import torch
from torch import Tensor

from whyact.metrics.infidelity import Perturbations, infidelity, perturb
from whyact.types import WhyactError

TUBE = (2, 4, 4)
WEIGHTS = torch.tensor([4.0, 0, 0, 1, 0, 0, 2, 0])  # of eight tubes


def heat_of(weights: Tensor) -> Tensor:
    """(1, 4, 8, 8): each tube has its weight in sum."""
    cells = weights.view(1, 2, 2, 2) / 32
    for axis, n in enumerate(TUBE, 1):
        cells = cells.repeat_interleave(n, axis)
    return cells


def linear(x: Tensor) -> Tensor:
    """Logits: white minus grey of each tube, weighted, and its negative."""
    whiteness = x.mean(1) - x.new_tensor([0.485, 0.456, 0.406]).mean()
    score = (whiteness * heat_of(WEIGHTS)).sum((1, 2, 3))
    return torch.stack([score, -score], 1)


def parts(target: int = 0, count: int = 16) -> Perturbations:
    clips = torch.ones(1, 3, 4, 8, 8)
    return perturb(
        linear, clips, torch.tensor([target]), count=count, share=0.4, tube=TUBE, fill="mean"
    )


def test_known_values() -> None:
    found = parts()
    assert found.tubes.shape == (16, 2, 2, 2) and found.drops.shape == (1, 16)
    truth = heat_of(WEIGHTS)
    assert float(infidelity(truth, found)) == pytest.approx(0, abs=1e-9)
    assert float(infidelity(7 * truth, found)) == pytest.approx(0, abs=1e-9)  # no units
    assert float(infidelity(0 * truth, found)) == 1  # foretells nothing
    constant = float(infidelity(torch.ones_like(truth), found))
    inverted = float(infidelity(truth.amax() - truth, found))
    assert 0 < constant < inverted <= 1
    # Evidence against the class: the drops are negative, and no scale below 0 is allowed.
    assert float(infidelity(truth, parts(target=1))) == 1


def test_all_sets_are_of_one_size() -> None:
    tubes = parts().tubes.flatten(1)  # 0.4 of 8 tubes
    assert tubes.sum(1).tolist() == [3] * 16
    assert len(tubes.unique(dim=0)) > 8
    clip = torch.ones(1, 3, 4, 8, 8)
    smallest = perturb(linear, clip, torch.tensor([0]), count=4, share=0.01, tube=TUBE)
    assert smallest.tubes.flatten(1).sum(1).tolist() == [1] * 4


def test_undefined_where_nothing_matters() -> None:
    flat = Perturbations(parts().tubes, torch.zeros(1, 16), TUBE)
    assert math.isnan(float(infidelity(heat_of(WEIGHTS), flat)))


def test_batches_change_nothing_and_passes_are_counted() -> None:
    clips = torch.rand(3, 3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([0, 1, 0])
    sizes: list[int] = []

    def model(x: Tensor) -> Tensor:
        sizes.append(len(x))
        return linear(x)

    large = perturb(model, clips, targets, count=8, tube=TUBE, batch_size=64)
    assert sum(sizes) == 3 * 9
    small = perturb(model, clips, targets, count=8, tube=TUBE, batch_size=5)
    alone = perturb(model, clips[1:2], targets[1:2], count=8, tube=TUBE)
    assert torch.allclose(large.drops, small.drops, atol=1e-5)
    assert torch.allclose(large.drops[1:2], alone.drops, atol=1e-5)


def test_errors() -> None:
    with pytest.raises(WhyactError, match="at least two random parts, got 1"):
        parts(count=1)
    with pytest.raises(WhyactError, match="of 1 clips"):
        infidelity(heat_of(WEIGHTS).repeat(2, 1, 1, 1), parts())
    with pytest.raises(WhyactError, match="no finite numbers"):
        infidelity(heat_of(WEIGHTS) * float("nan"), parts())
