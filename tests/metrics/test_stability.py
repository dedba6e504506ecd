"""Stability over time of maps, codes and regions that are written by hand."""

import math

import pytest
import torch

from whyact.metrics.stability import (
    backward_flow,
    factor_stability,
    region_agreement,
    temporal_stability,
)
from whyact.types import WhyactError


def moving() -> tuple[torch.Tensor, torch.Tensor]:
    """A map that moves two pixels to the right a frame, and the flow back that says so."""
    heat = torch.zeros(1, 3, 8, 12)
    for t in range(3):
        heat[0, t, 2:5, 2 + 2 * t : 5 + 2 * t] = 1.0
    flow = torch.zeros(1, 2, 2, 8, 12)
    flow[:, :, 0] = -2
    return heat, flow


def test_a_map_that_moves_along_is_stable() -> None:
    heat, flow = moving()
    assert float(temporal_stability(heat, flow)) == pytest.approx(1)
    assert float(temporal_stability(heat, 0 * flow)) < 0.5  # it moved and nothing else did
    still = heat[:, :1].expand(-1, 3, -1, -1)
    assert float(temporal_stability(still, flow)) < 0.5
    assert float(temporal_stability(still, 0 * flow)) == pytest.approx(1)  # the trap: static
    entering = heat.roll(-2, 3)  # at the border first; what comes after it was not in the frame
    assert float(temporal_stability(entering, flow)) == pytest.approx(1)


def test_constant_empty_and_broken_maps() -> None:
    heat, flow = moving()
    for flat in (torch.ones_like(heat), torch.zeros_like(heat)):
        assert math.isnan(float(temporal_stability(flat, flow)))
    heat[0, 2] = 0.3  # the last pair has no correlation and does not count
    assert float(temporal_stability(heat, flow)) == pytest.approx(1)
    one = temporal_stability(heat[:, :1], flow[:, :0])
    assert math.isnan(float(one))
    with pytest.raises(WhyactError, match="no finite numbers"):
        temporal_stability(heat * float("nan"), flow)
    with pytest.raises(WhyactError, match=r"Expected the flow \(1, 2, 2, 8, 12\)"):
        temporal_stability(heat, flow[:, :1])


def test_the_flow_points_back() -> None:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 12, 12, generator=generator)
    frame = torch.nn.functional.interpolate(coarse, (48, 48), mode="bicubic").clamp(0, 1)
    clip = torch.stack([frame, torch.roll(frame, 2, 3)], 2)  # moves two pixels to the right
    flow = backward_flow(clip)
    assert flow.shape == (1, 1, 2, 48, 48)
    assert float(flow[0, 0, 0, 12:36, 12:36].median()) == pytest.approx(-2, abs=0.05)
    assert backward_flow(clip[:, :, :1]).shape == (1, 0, 2, 48, 48)


def test_factor_stability_by_hand() -> None:
    code = torch.zeros(2, 2, 1, 1)
    code[:, :, 0, 0] = torch.tensor([[1.0, 3.0], [-1.0, -3.0]])
    # Clips are at 2 and -2: variance 4 between them; frames are 1 away: variance 1 within.
    assert factor_stability(code).tolist() == pytest.approx([0.25, 0.25])
    code[0] = 2.0
    assert factor_stability(code)[0] == 0
    assert bool(factor_stability(torch.ones(3, 2, 2, 4)).isnan().all())  # stable and empty


def test_region_agreement_by_hand() -> None:
    mask = torch.zeros(1, 3, 4, 4, dtype=torch.bool)
    mask[:, :, :2, :2] = True
    halves = torch.zeros(1, 3, 2, 2, 2)
    halves[:, :, 0, :, 0] = halves[:, :, 1, :, 1] = 1  # region 0 is the left half
    agreement, fit = region_agreement(halves, mask)
    assert float(agreement) == 1 and float(fit) == pytest.approx(1 / 2)
    swapped = halves.clone()
    swapped[:, 1] = halves[:, 1].flip(1)  # regions change their names in the middle
    assert float(region_agreement(swapped, mask)[0]) == 0
    mask[:, 2] = False  # the actor has left: that step does not count
    assert float(region_agreement(halves, mask)[0]) == 1
    assert math.isnan(float(region_agreement(halves, torch.zeros_like(mask))[0]))
