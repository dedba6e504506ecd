"""Flicker and jerk of paths that are known."""

from dataclasses import replace

import pytest
import torch
from tests.toys import toy_batch, toy_output

from whyact.objectives.temporal_consistency import (
    TemporalConsistency,
    centres,
    flicker,
    jerk,
)


def path(*cells: int, columns: int = 4) -> torch.Tensor:
    """One region that sits on one cell of a 1 x ``columns`` grid in every frame."""
    return torch.nn.functional.one_hot(torch.tensor(cells), columns).float()[None, :, None]


def jerk_of(assignment: torch.Tensor) -> float:
    frames, regions = assignment.shape[1:3]
    weights = torch.full((1, frames, regions), 1 / (frames * regions))
    output = toy_output(
        1, frames, regions, grid=(1, 4), assignment=assignment, region_weights=weights
    )
    return float(jerk(output))


def test_flicker_is_zero_for_codes_that_only_differ_between_clips() -> None:
    code = torch.tensor([1.0, 2.0, 5.0]).view(3, 1, 1, 1).expand(3, 4, 2, 2)
    assert flicker(code).item() == pytest.approx(0, abs=1e-6)


def test_flicker_by_hand_and_free_of_scale() -> None:
    # One clip whose code goes 0, 2: change 4, variance around the mean 1 is 1, so 4 / 2.
    code = torch.tensor([0.0, 2.0]).view(1, 2, 1, 1)
    assert flicker(code).item() == pytest.approx(2, rel=1e-4)
    assert flicker(100 * code).item() == pytest.approx(2, rel=1e-4)


def test_flicker_is_of_the_mean_over_real_regions() -> None:
    """Means are 0, 2 and 2: changes 4 and 0 over twice the variance of 8 / 9."""
    code = torch.tensor([[0.0, 0.0], [2.0, 9.0], [1.0, 3.0]]).view(1, 3, 2, 1)
    real = torch.tensor([[[True, True], [True, False], [True, True]]])
    assert flicker(code, real).item() == pytest.approx(9 / 8)


def test_flicker_of_noise_is_one() -> None:
    noise = torch.randn(200, 8, 1, 4, generator=torch.Generator().manual_seed(0))
    assert flicker(noise).item() == pytest.approx(1, abs=0.05)


def test_steady_motion_is_free_and_a_jump_is_not() -> None:
    assert jerk_of(path(0, 1, 2, 3)) == pytest.approx(0, abs=1e-9)
    assert jerk_of(path(2, 2, 2)) == pytest.approx(0, abs=1e-9)
    # Cells are half a unit apart: 0, 0, 1 has the second difference 0.5.
    assert jerk_of(path(0, 0, 1)) == pytest.approx(0.25)


def test_unheard_regions_may_jump() -> None:
    both = torch.cat([path(0, 1, 2), path(0, 3, 0)], 2)
    weights = torch.tensor([1.0, 0.0]).expand(1, 3, 2) / 3
    output = toy_output(1, 3, 2, grid=(1, 4), assignment=both, region_weights=weights)
    assert jerk(output).item() == pytest.approx(0, abs=1e-9)


def test_a_box_that_is_missing_has_no_path() -> None:
    still = torch.cat([path(1, 1, 1, 1, 1), path(2, 2, 2, 2, 2)], 2)
    real = torch.ones(1, 5, 2, dtype=torch.bool)
    real[0, 0, 1] = False
    assignment = still * real.unsqueeze(-1)  # what is missing has its centre in the middle
    weights = torch.full((1, 5, 2), 0.1)

    def cost(mask: torch.Tensor) -> float:
        output = toy_output(1, 5, 2, grid=(1, 4), assignment=assignment, region_weights=weights)
        return float(jerk(replace(output, node_mask=mask)))

    assert cost(real) == pytest.approx(0, abs=1e-9) and cost(real | True) > 0.01


def test_centres_are_in_the_middle_of_cells() -> None:
    assignment = torch.tensor([0.0, 0, 0, 1, 0, 0]).view(1, 1, 1, 6)
    # Cell 3 of a 2 x 3 grid: row 1 of 2, column 0 of 3.
    assert torch.allclose(centres(assignment, (2, 3)), torch.tensor([-2 / 3, 0.5]).view(1, 1, 1, 2))


def test_gradients_reach_the_nuisance_code_and_the_regions_only() -> None:
    output = toy_output(3)
    TemporalConsistency().loss({"clip": output}, toy_batch(3), {}).backward()
    assert output.nuisance_code.grad is not None and output.nuisance_code.grad.abs().sum() > 0
    assert output.assignment.grad is not None and output.assignment.grad.abs().sum() > 0
    for untouched in (output.action_code, output.region_weights, output.contributions):
        assert untouched.grad is None


@pytest.mark.parametrize(("frames", "width"), [(1, 3), (2, 3), (4, 0)])
def test_short_clips_and_empty_codes_can_be_trained_on(frames: int, width: int) -> None:
    output = toy_output(2, frames, width=width)
    loss = TemporalConsistency().loss({"clip": output}, toy_batch(2), {})
    loss.backward()
    assert loss.isfinite()
