"""The share of the head's attention on cells that are known to be foreground."""

import math
from dataclasses import replace

import pytest
import torch
from tests.toys import toy_batch, toy_output

from whyact.objectives.base import View
from whyact.objectives.foreground import (
    Foreground,
    attended_share,
    attention_and_target,
    attention_map,
)
from whyact.types import ActionOutput, Batch, WhyactError


def two_cells(first: float, frames: int = 1) -> ActionOutput:
    """Regions 0 and 1 are the left and the right cell; the head gives ``first`` to the left."""
    assignment = torch.eye(2).expand(1, frames, 2, 2).clone().requires_grad_()
    weights = torch.tensor([first, 1 - first]).expand(1, frames, 2) / frames
    return toy_output(
        1,
        frames,
        2,
        grid=(1, 2),
        assignment=assignment,
        region_weights=weights.clone().requires_grad_(),
    )


def left_half(frames: int = 1) -> torch.Tensor:
    foreground = torch.zeros(1, frames, 4, 8)
    foreground[..., :4] = 1
    return foreground


def batch_with(foreground: torch.Tensor) -> Batch:
    return replace(toy_batch(len(foreground)), foreground=foreground)


def share_of(output: ActionOutput, foreground: torch.Tensor) -> float:
    return attended_share(*attention_and_target(output, foreground)).item()


def test_coverage_asks_for_even_attention_inside() -> None:
    """The actor covers both cells; three quarters of the attention lie on one of them."""
    everywhere = torch.ones(1, 1, 4, 8)
    batch = batch_with(everywhere)
    even = Foreground(coverage=2.0).loss({"clip": two_cells(0.5)}, batch, {})
    uneven = Foreground(coverage=2.0).loss({"clip": two_cells(0.75)}, batch, {})
    assert even.item() == pytest.approx(0, abs=1e-6)
    # KL((1/2, 1/2) || (3/4, 1/4)) = (log 2/3 + log 2) / 2
    assert uneven.item() == pytest.approx(math.log(4 / 3), abs=1e-5)
    # Attention beside the actor is not the business of coverage.
    outside = Foreground(coverage=2.0).loss({"clip": two_cells(0.25)}, batch_with(left_half()), {})
    assert outside.item() == pytest.approx(math.log(4), abs=1e-5)


def test_negative_coverage_is_refused() -> None:
    with pytest.raises(WhyactError, match=r"foreground_coverage must be at least 0, got -1"):
        Foreground(coverage=-1)


def test_loss_is_minus_the_log_of_the_share() -> None:
    output = two_cells(0.25)
    loss = Foreground().loss({"clip": output}, batch_with(left_half()), {})
    assert loss.item() == pytest.approx(math.log(4))
    loss.backward()
    # More weight on the left region lowers the loss.
    assert output.region_weights.grad is not None
    assert output.region_weights.grad[0, 0, 0] < output.region_weights.grad[0, 0, 1]
    assert output.assignment.grad is not None and output.assignment.grad.abs().sum() > 0
    assert output.contributions.grad is None and output.action_code.grad is None


def test_all_attention_on_the_actor_costs_nothing() -> None:
    assert Foreground().loss({"clip": two_cells(1.0)}, batch_with(left_half()), {}).item() == 0


def test_half_covered_cells_count_fully_and_thinner_ones_in_part() -> None:
    foreground = torch.zeros(1, 1, 4, 8)
    foreground[..., :2, :4] = 1  # half of the left cell
    foreground[..., 0, 4:] = 1  # a quarter of the right one
    assert share_of(two_cells(0.5), foreground) == pytest.approx(0.5 + 0.5 * 0.5)


def test_frames_without_foreground_do_not_count() -> None:
    foreground = left_half(frames=2)
    foreground[:, 1] = 0
    assert share_of(two_cells(0.3, frames=2), foreground) == pytest.approx(0.3)
    foreground[:, 1, 0, 4:6] = 1  # 2 / 16 of the right cell: just a quarter of what counts fully
    assert share_of(two_cells(0.3, frames=2), foreground) == pytest.approx(0.3)
    foreground[:, 1, 0, 6] = 1  # 3 / 16
    expected = (0.3 + 0.7 * 3 / 8) / 2
    assert share_of(two_cells(0.3, frames=2), foreground) == pytest.approx(expected)


def test_clips_without_foreground_are_left_out() -> None:
    output = two_cells(0.25)
    both = toy_output(
        2,
        1,
        2,
        grid=(1, 2),
        assignment=output.assignment.expand(2, -1, -1, -1),
        region_weights=output.region_weights.expand(2, -1, -1),
    )
    foreground = torch.cat([left_half(), torch.zeros(1, 1, 4, 8)])
    assert Foreground().loss({"clip": both}, batch_with(foreground), {}).item() == pytest.approx(
        math.log(4)
    )
    nothing = Foreground().loss({"clip": both}, batch_with(torch.zeros(2, 1, 4, 8)), {})
    nothing.backward()
    assert nothing.item() == 0


def test_time_is_pooled_to_the_tokens() -> None:
    # Four frames, two time steps: the actor is left in the first half, right in the second.
    foreground = torch.cat([left_half(2), left_half(2).flip(-1)], 1)
    assert share_of(two_cells(0.3, frames=2), foreground) == pytest.approx((0.3 + 0.7) / 2)


def test_pasted_views_count_like_clips_and_others_do_not() -> None:
    rows = torch.tensor([0])
    batch = batch_with(left_half())
    views = {
        "foreground_paste.pasted": View(batch, rows, rows),
        "static_entropy.static": View(replace(batch, foreground=None), rows, rows),
    }
    outputs = {
        "clip": two_cells(0.25),
        "foreground_paste.pasted": two_cells(1.0),
        "static_entropy.static": two_cells(0.01),
    }
    assert Foreground().loss(outputs, batch, views).item() == pytest.approx(math.log(4) / 2)


def test_missing_foreground_is_named() -> None:
    with pytest.raises(WhyactError, match=r"needs Batch\.foreground"):
        Foreground().loss({"clip": two_cells(0.5)}, toy_batch(1), {})


def test_attention_map_is_one_half_where_the_look_is_even() -> None:
    # One region over all four cells, looked at evenly in both frames.
    even = toy_output(
        1, 2, 1, assignment=torch.ones(1, 2, 1, 4), region_weights=torch.full((1, 2, 1), 0.5)
    )
    assert torch.allclose(attention_map(even, (4, 8, 8)), torch.full((1, 4, 8, 8), 0.5))
    # All on one of eight cells: eight times the average look, and none elsewhere.
    corner = torch.zeros(1, 2, 1, 4)
    corner[..., 0] = 1
    sure = toy_output(1, 2, 1, assignment=corner, region_weights=torch.tensor([[[1.0], [0.0]]]))
    found = attention_map(sure, (2, 2, 2))
    assert found[0, 0].tolist() == [[pytest.approx(8 / 9), 0], [0, 0]]
    assert found[0, 1].abs().max() == 0
