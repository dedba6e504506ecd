"""The split of a region into action and nuisance, by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from whyact.config import ModelConfig
from whyact.models.builders import build_model
from whyact.nn.region_codes import (
    DYNAMICS,
    RegionCodes,
    dynamics,
    hard_share,
    moving,
    novelty,
    shared_out,
)


def test_the_share_reaches_both_ends_and_can_come_back() -> None:
    # 1.2 * sigmoid - 0.1 is 0 where the sigmoid is 1 / 12 and 1 where it is 11 / 12.
    edge = math.log(11)
    logit = torch.tensor([-20.0, -edge - 0.01, -edge + 0.1, 0.0, edge + 0.01, 20.0])
    share = hard_share(logit.requires_grad_())
    assert share[[0, 1, 3, 4, 5]].tolist() == pytest.approx([0, 0, 0.5, 1, 1], abs=1e-6)
    assert 0 < share[2].item() < 0.02
    share.sum().backward()
    soft = logit.detach().sigmoid()
    assert torch.allclose(logit.grad, 1.2 * soft * (1 - soft))  # the cut does not stop it


def split(share_logit: float) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    codes = RegionCodes(token_width=3, inputs=4, code_width=2, motion="none")
    torch.nn.init.zeros_(codes.share.weight)
    torch.nn.init.constant_(codes.share.bias, share_logit)
    regions = torch.randn(2, 5, 3, 4)
    looks = codes.norm(regions)
    assignment, tokens = torch.ones(2, 5, 3, 6) / 3, torch.zeros(2, 5, 6, 3)
    return *codes(regions, assignment, tokens), codes.action(looks), codes.nuisance(looks)


@pytest.mark.parametrize(("logit", "expected"), [(-20.0, 0.0), (0.0, 0.5), (20.0, 1.0)])
def test_what_is_not_action_is_nuisance(logit: float, expected: float) -> None:
    action, nuisance, share, whole_action, whole_nuisance = split(logit)
    assert torch.equal(share, torch.full((2, 5, 3), expected))
    assert torch.allclose(action, expected * whole_action)
    assert torch.allclose(nuisance, (1 - expected) * whole_nuisance)


def test_without_a_gate_regions_are_all_of_both() -> None:
    codes = RegionCodes(token_width=3, inputs=4, code_width=2, motion="none", gate=False)
    regions, assignment = torch.randn(2, 5, 3, 4), torch.ones(2, 5, 3, 6) / 3
    action, nuisance, share = codes(regions, assignment, torch.zeros(2, 5, 6, 3))
    looks = codes.norm(regions)
    assert torch.equal(action, codes.action(looks)) and share.eq(1).all()
    assert torch.equal(nuisance, codes.nuisance(looks))


def test_a_region_of_the_background_says_nothing_whatever_prompts_and_graph_add() -> None:
    model = build_model(ModelConfig(), classes=3, seed=0).eval()
    make = model.spatial_graph.codes.share.forward
    # The first region becomes background, the others action.
    wanted = torch.tensor([-20.0] + [20.0] * 7).view(1, 1, 8, 1)
    model.spatial_graph.codes.share.forward = lambda x: 0 * make(x) + wanted
    with torch.no_grad():
        output = model(torch.rand(2, 3, 4, 32, 32))
    assert output.action_gate[..., 0].eq(0).all() and output.action_gate[..., 1:].eq(1).all()
    assert output.action_code[:, :, 0].eq(0).all() and output.action_code[:, :, 1:].any()
    assert output.nuisance_code[:, :, 0].any() and output.nuisance_code[:, :, 1:].eq(0).all()
    assert output.contributions[:, :, 0].abs().max() == 0
    assert output.region_weights[:, :, 0].max() < 1e-3 * output.region_weights.max()


def test_rises_and_falls_are_those_of_the_whole() -> None:
    """Two regions of one feature, whose sum is 1, 6 and 0: it rises, then it falls."""
    regions = torch.tensor([[1.0, 0.0], [4.0, 2.0], [-1.0, 1.0]])[None, :, :, None]
    parts = dynamics(regions, whole=regions.sum(2, keepdim=True))[0]
    assert parts[0, :, :2].abs().max() == 0  # no frame before
    assert parts[1].tolist() == [[3, 0, pytest.approx(8 / 3)], [2, 0, 1]]
    assert parts[2, :, :2].tolist() == [[0, 5], [0, 1]]
    alone = dynamics(regions)[0]
    assert alone[2, :, :2].tolist() == [[0, 5], [0, 1]]
    assert alone[..., 2].tolist() == (regions[0] - regions[0].mean(0)).abs()[..., 0].tolist()


def test_shares_add_up_to_the_frame_and_so_do_their_dynamics() -> None:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(2, 6, 9, 5, generator=generator)
    assignment = torch.randn(2, 6, 4, 9, generator=generator).softmax(2)
    shares, frame = shared_out(assignment, tokens)
    expected = torch.nn.functional.layer_norm(tokens.mean(2, keepdim=True), (5,))
    torch.testing.assert_close(frame, expected)
    torch.testing.assert_close(shares.mean(2, keepdim=True), expected)
    parts = dynamics(shares, (1, 3), frame).mean(2, keepdim=True)
    torch.testing.assert_close(parts, dynamics(expected, (1, 3)), atol=1e-5, rtol=1e-5)


def test_a_region_without_cells_has_no_part_in_shared_dynamics() -> None:
    codes = RegionCodes(token_width=3, inputs=4, code_width=2, motion="shared", gate=False)
    assignment = torch.tensor([1.0, 0.0])[None, None, :, None].expand(1, 5, 2, 6)
    assert codes._dynamics(assignment, torch.randn(1, 5, 6, 3))[:, :, 1].abs().max() < 1e-6


def test_only_what_comes_into_view_is_new() -> None:
    tokens = torch.tensor([5.0, 1.0, 2.0]).view(1, 1, 3, 1).repeat(1, 3, 1, 2)
    tokens[0, 1, 0] = torch.tensor([11.0, 2.0])  # one feature rises by 6, another is covered
    expected = torch.zeros(1, 3, 3, 2)
    expected[0, 1, 0, 0] = 6 - 2  # its mean rises by 2
    expected[0, ::2, 0, 1] = 1  # the background is seen again
    torch.testing.assert_close(novelty(tokens), expected)


def test_changes_as_strong_in_most_cells_are_noise() -> None:
    tokens = torch.zeros(1, 2, 3, 1)
    tokens[0, 1] = torch.tensor([[2.0], [4.0], [2.0]])  # powers 1, 4, 1: the median is 1
    expected = torch.zeros(1, 2, 3, 1)
    expected[0, 1, 1] = (1 - 1 / 4) * 2
    torch.testing.assert_close(novelty(tokens), expected)


def test_what_moves_does_not_depend_on_a_still_background_nor_on_its_scale() -> None:
    generator = torch.Generator().manual_seed(0)
    actor = torch.rand(2, 6, 9, 4, generator=generator) * (torch.arange(9) < 3)[:, None]
    background = 7 * torch.rand(2, 1, 9, 4, generator=generator)
    frames = moving(actor)
    torch.testing.assert_close(frames.square().mean((1, 2, 3)), torch.ones(2))
    for other in (actor + background, 3 * actor):
        torch.testing.assert_close(moving(other), frames, rtol=1e-4, atol=1e-5)
    assert not moving(torch.full_like(actor, 3.0)).any()


def test_a_still_clip_gives_moving_dynamics_gradients_that_are_finite() -> None:
    codes = RegionCodes(token_width=4, inputs=4, code_width=2, motion="moving", gate=False)
    tokens = torch.rand(1, 1, 9, 4).repeat(1, 5, 1, 1).requires_grad_()
    action, _, _ = codes(torch.rand(1, 5, 3, 4), torch.full((1, 5, 3, 9), 1 / 3), tokens)
    action.sum().backward()
    assert tokens.grad is not None and tokens.grad.isfinite().all()


@pytest.mark.parametrize(("kind", "changes"), [("frame", 8.0), ("region", 0.0)])
def test_dynamics_are_of_the_frame_or_of_the_region(kind: str, changes: float) -> None:
    """Normalised, both cells stay as they are, (1, -1) and (-1, 1); their mean goes over to the
    second, as its cell grows. That is 2 down and 2 up, 1 off the middle, each times the gain of 4.
    """
    codes = RegionCodes(token_width=2, inputs=6, code_width=6, motion=kind, gate=False)
    torch.nn.init.zeros_(codes.action.weight)
    torch.nn.init.zeros_(codes.action.bias)
    torch.nn.init.eye_(codes.motion.weight)
    tokens = torch.tensor([[[300.0, 0.0], [0.0, 100.0]], [[300.0, 0.0], [0.0, 500.0]]])[None]
    action, _, _ = codes(torch.zeros(1, 2, 2, 6), torch.eye(2).expand(1, 2, 2, 2), tokens)
    distance = [changes / 2] * 2  # rises, falls, distances of the two features
    expected = torch.tensor([[0, 0, 0, 0, *distance], [0, changes, changes, 0, *distance]])
    torch.testing.assert_close(action[0], expected[:, None].expand(2, 2, 6))


@pytest.mark.parametrize("kind", DYNAMICS)
def test_evidence_adds_up_with_all_dynamics(kind: str) -> None:
    config = ModelConfig()
    config.spatial_graph.dynamics, config.spatial_graph.lags = kind, [1, 2]
    model = build_model(config, classes=5, seed=0).eval()
    clips = torch.rand(2, 3, 6, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        output = model(clips)
    torch.testing.assert_close(output.contributions.sum((1, 2)) + output.bias, output.logits)
