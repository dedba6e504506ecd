"""Prompts that read regions and guide them, on codes whose answers are known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from whyact.nn.contracts import Regions
from whyact.nn.dynamic_prompts import DynamicPrompts


def regions(codes: Tensor, share: Tensor | None = None) -> Regions:
    """Regions with these action codes (B, T', K, C), and shares (B, T', K), 1 if None."""
    b, t, k, _ = codes.shape
    even = torch.full((b, t, k), 1 / k)
    return Regions(
        assignment=torch.full((b, t, k, 4), 1 / k),
        action_code=codes,
        nuisance_code=codes,
        action_gate=torch.ones(b, t, k) if share is None else share,
        adjacency=torch.zeros(b, t, k, k),
        position=torch.zeros(b, t, k, 2),
        mass=even,
    )


def made(**settings: object) -> DynamicPrompts:
    torch.manual_seed(0)
    return DynamicPrompts(code_width=8, prompts=2, bank=4, **settings)  # type: ignore[arg-type]


def test_the_bank_begins_orthogonal_with_entries_of_size_one() -> None:
    gram = made().bank @ made().bank.T
    torch.testing.assert_close(gram, 8 * torch.eye(4), atol=1e-4, rtol=0)


def test_slots_that_read_different_regions_ask_for_different_prompts() -> None:
    module = made()
    with torch.no_grad():
        module.slots.copy_(40 * torch.eye(8)[:2])  # slot 0 attends to region 0, slot 1 to region 1
        codes = torch.eye(8)[:2].expand(1, 1, 2, 8)
        before = module(regions(codes)).weights
        changed = codes.clone()
        changed[:, :, 1, 5] = 0.9  # still what slot 1 looks for, but another content
        after = module(regions(changed)).weights
    torch.testing.assert_close(before.sum(-1), torch.ones(1, 1, 2))
    assert (after[0, 0, 0] - before[0, 0, 0]).abs().max() < 1e-6
    assert (after[0, 0, 1] - before[0, 0, 1]).abs().max() > 1e-6


def test_prompts_hear_a_region_as_far_as_it_is_action() -> None:
    """However long its code is, the content of the last region counts by its share."""
    module, codes = made(), torch.randn(1, 1, 3, 8)
    other = torch.cat([codes[:, :, :2], torch.randn(1, 1, 1, 8)], 2)

    def moved(share: float) -> float:
        shares = torch.tensor([[[1.0, 1.0, share]]])
        with torch.no_grad():
            first, second = (module(regions(c, shares)).weights for c in (codes, other))
        return float((first - second).abs().max())

    assert moved(1.0) > 0.01 and moved(0.01) < 0.02 * moved(1.0) and moved(0.0) == 0


def test_prompts_of_a_frame_know_the_frames_before_and_not_those_after() -> None:
    module, codes = made(), torch.randn(1, 3, 2, 8)
    changed = codes.clone()
    changed[:, 1] = torch.randn(2, 8)
    with torch.no_grad():
        gap = (module(regions(codes)).weights - module(regions(changed)).weights).abs()
    assert [bool(g > 1e-6) for g in gap[0].amax((1, 2))] == [False, True, True]


def test_a_region_hears_the_prompt_that_fits_it() -> None:
    module = made(inject=["fusion"])
    axes = 60 * torch.eye(8)
    codes, prompts = axes[:2].expand(1, 1, 2, 8), axes[[1, 0]].expand(1, 1, 2, 8)
    with torch.no_grad():
        module.guides["fusion"].weight.copy_(torch.eye(8) / 60)
        fusion = module.guide(codes, prompts).fusion[0, 0]
    strength = 0.5 * torch.tanh(torch.tensor(1.0))  # max_strength 1, sigmoid(0), tanh(1)
    torch.testing.assert_close(fusion, strength * torch.eye(8)[:2], atol=1e-5, rtol=0)


def test_a_region_counts_by_what_its_code_has_in_common_with_what_it_hears() -> None:
    """Products with the prompt over the root of the width of 8 are 1, 0 and -2."""
    module, axes = made(inject=["regions"]), torch.eye(8)
    codes = torch.stack([axes[0], axes[1], -2 * axes[0]])[None, None]
    with torch.no_grad():
        module.guides["regions"].weight.copy_(axes)
        found = module.guide(codes, 8**0.5 * axes[None, None, :1]).regions[0, 0]
    torch.testing.assert_close(found, 0.5 * torch.tensor([1.0, 0.0, -2.0]).tanh())


@pytest.mark.parametrize("bound", [0.0, 0.25])
def test_guides_are_bounded(bound: float) -> None:
    module = made(max_strength=bound)
    with torch.no_grad():
        for strength in module.strength.values():
            strength.fill_(50)
        guides = module.guide(100 * torch.randn(2, 3, 4, 8), 100 * torch.randn(2, 3, 2, 8))
    for guide in (guides.regions, guides.fusion, guides.classifier):
        assert guide.abs().max() <= bound + 1e-6
    assert guides.regions.shape == (2, 3, 4) and guides.classifier.shape == (2, 3, 4, 8)
