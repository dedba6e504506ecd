"""Sensitivity and randomisation of maps that are written by hand."""

import math

import pytest
import torch
from torch import Tensor, nn

from whyact.metrics.robustness import (
    largest_change,
    max_sensitivity,
    neighbours,
    other_classes,
    parameter_randomisation,
    random_logit,
    redrawn,
    top_down,
)
from whyact.types import WhyactError


def clips(count: int = 3) -> Tensor:
    x = torch.rand(count, 3, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    return 0.2 + 0.6 * x  # away from 0 and 1, where noise is cut


def test_largest_change_by_hand() -> None:
    heat = torch.zeros(2, 1, 1, 2)
    heat[0, 0, 0] = torch.tensor([3.0, 4.0])
    near, far = heat.clone(), heat.clone()
    near[0, 0, 0, 0], far[0, 0, 0, 0] = 4.0, 1.0
    value = largest_change(heat, [near, far])
    assert float(value[0]) == pytest.approx(2 / 5)
    assert math.isnan(value[1])  # an empty map has no relative change


def test_max_sensitivity_of_known_maps() -> None:
    x = clips()
    # A map that is the clip itself moves by at most the radius in every pixel.
    value = max_sensitivity(lambda c: c[:, 0], x, radius=0.05, samples=4)
    size = x[:, 0].flatten(1).norm(dim=1)
    assert bool((value <= 0.05 * math.sqrt(32) / size).all()) and bool((value > 0).all())
    assert max_sensitivity(lambda c: torch.ones_like(c[:, 0]), x).tolist() == [0, 0, 0]
    alone = max_sensitivity(lambda c: c[:, 0], x[1:2], radius=0.05, samples=4)
    assert float(alone) == pytest.approx(float(value[1]))
    with pytest.raises(WhyactError, match="at least one sample"):
        neighbours(x, radius=0.02, samples=0)
    with pytest.raises(WhyactError, match="no finite numbers"):
        max_sensitivity(lambda c: c[:, 0] * float("nan"), x)


def test_random_logit_and_other_classes() -> None:
    heat = clips()[:, 0]
    assert random_logit(heat, heat).tolist() == [1, 1, 1]  # it ignores the class
    assert random_logit(heat, 1 - heat).tolist() == pytest.approx([-1, -1, -1])
    targets = torch.tensor([0, 1, 2])
    for seed in range(5):
        others = other_classes(targets, clips(), 3, seed)
        assert bool((others != targets).all()) and bool((others < 3).all())
    with pytest.raises(WhyactError, match="at least two classes"):
        other_classes(targets, clips(), 1)


class Two(nn.Module):
    """A first layer that makes the map, and a last one that does not."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.act, self.last = nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4)


def test_randomisation_goes_from_the_output_down_and_leaves_the_model_as_it_was() -> None:
    torch.manual_seed(0)
    model = Two()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    stages = top_down(model)
    assert [p.shape for p in stages[0]] == [(4, 8), (4,)] and len(stages) == 2

    def attribute() -> Tensor:
        return model.first.weight.detach().abs().view(1, 1, 8, 8)

    value = parameter_randomisation(attribute, stages)
    assert value.shape == (1, 2)
    assert float(value[0, 0]) == 1  # the last layer's weights do not make the map
    assert abs(float(value[0, 1])) < 0.4
    last = parameter_randomisation(lambda: model.last.weight.detach().abs()[None, None], stages)
    assert float(last[0, 0]) == float(last[0, 1]) < 1  # redrawn at first, and it stays so
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    with redrawn(stages[1]):
        shuffled = model.first.weight.detach().clone()
    assert not torch.equal(shuffled, before["first.weight"])
    # The values are the same, in another order: the layer keeps its scale.
    assert torch.equal(shuffled.flatten().sort().values, before["first.weight"].flatten().sort()[0])
    with pytest.raises(WhyactError, match="needs a model with weights"):
        top_down(nn.Sequential(nn.ReLU()))


def test_children_without_a_part_in_the_score_are_no_stage() -> None:
    model = Two()
    model.other = nn.Linear(8, 3)
    model.none = nn.Linear(8, 0)
    for p in model.parameters():
        p.requires_grad_(False)
    x = torch.ones(1, 8)
    stages = top_down(model, lambda: model.last(model.act(model.first(x))))
    assert [s[0].shape for s in stages] == [(4, 8), (8, 8)]
    assert not any(p.requires_grad for p in model.parameters())
