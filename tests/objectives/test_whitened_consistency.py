"""Changes along directions, by hand: actors along (1, 1) by 10, what leaks along (1, -1) by 1."""

from dataclasses import replace

import pytest
import torch
from tests.objectives.test_contrast import output
from tests.toys import toy_batch

from whyact.objectives.base import View
from whyact.objectives.contrast import SwapConsistency
from whyact.objectives.whitened_consistency import WhitenedConsistency
from whyact.types import Batch, WhyactError

SIGNS = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
TURN = torch.tensor([[1.0, 1.0], [1.0, -1.0]]) / 2**0.5
ROWS = torch.arange(4)


def codes(leak: float, scale: float = 1.0) -> list[list[float]]:
    """Actions ±10 and leaks ±``leak``, each with each; times ``scale``."""
    return (scale * (SIGNS * torch.tensor([10.0, leak])) @ TURN).tolist()


def loss(objective, pasted, clip=None, batch: Batch | None = None, rows=ROWS, background=None):
    clip, batch = clip or output(codes(1), codes(1)), batch or toy_batch(4)
    if isinstance(objective, WhitenedConsistency) and objective.running is None:
        objective.attach(clip)
    return objective.loss(
        {"clip": clip, "foreground_paste.pasted": pasted}, batch,
        {"foreground_paste.pasted": View(
            batch.rows(rows), rows, rows if background is None else background
        )},
    )  # fmt: skip


def test_a_small_leak_counts_as_much_as_the_action():
    """The leak turns round in every pair: its change of 2 squared over twice its variance is 2, and
    that of the action is 0; so the mean of the two directions is 1, and the nuisance code has 0."""
    pasted = output(codes(-1), codes(1))
    change = loss(WhitenedConsistency(), pasted)
    assert change.item() == pytest.approx(0.5, rel=0.01)
    # To features it is 2 of twice 50.5.
    assert loss(SwapConsistency(), pasted).item() == pytest.approx(2 / 101 / 2, rel=1e-4)
    change.backward()
    assert pasted.action_code.grad.abs().sum() > 0


def test_the_nuisance_code_has_the_other_half_and_scale_does_not_count():
    small = output(codes(1, 0.1), codes(1, 0.1))
    there = output(codes(1, 0.1), codes(-1, 0.1))
    assert loss(WhitenedConsistency(), there, small).item() == pytest.approx(0.5, rel=0.01)
    assert loss(WhitenedConsistency(), output(codes(1), codes(1))).item() == pytest.approx(0)


def test_what_leaks_into_regions_counts_even_where_the_graph_hides_it():
    """The refined code is still, that of the regions has a mean change of 1: half of a half."""
    still, leaky = (torch.tensor(codes(leak)).view(4, 1, 1, 2) for leak in (1, -1))
    clip, pasted = output(codes(1), codes(1)), output(codes(1), codes(1))
    clip = replace(clip, region_code=still)
    pasted = replace(pasted, region_code=leaky.requires_grad_())
    change = loss(WhitenedConsistency(), pasted, clip)
    assert change.item() == pytest.approx(0.25, rel=0.01)
    change.backward()
    assert leaky.grad.abs().sum() > 0


def test_actions_follow_the_actor_and_the_nuisance_the_background():
    """Every clip has another code: each of the three is still where it follows the right one."""
    own, other = codes(1), torch.tensor(codes(1)).roll(-1, 0).tolist()
    clip = output(codes(1), codes(1))
    right = output(own, other)
    behind = ROWS.roll(-1)
    assert loss(WhitenedConsistency(), right, clip, background=behind).item() == pytest.approx(0)
    for pasted in (
        replace(right, action_code=right.nuisance_code),
        replace(right, region_code=right.nuisance_code),
        replace(right, nuisance_code=right.action_code),
    ):
        assert loss(WhitenedConsistency(), pasted, clip, background=behind).item() > 0.2


def test_directions_are_those_of_all_steps():
    """One batch that varies along one line only does not make it the only direction."""
    objective = WhitenedConsistency()
    loss(objective, output(codes(1), codes(1)))
    line = output([[1.0, 0.0], [2.0, 0.0]], [[1.0, 0.0], [2.0, 0.0]])
    loss(objective, line, line, toy_batch(2), rows=torch.arange(2))
    _, directions = torch.linalg.eigh(objective.running.action)
    assert directions[:, -1].abs().tolist() == pytest.approx([0.5**0.5] * 2, abs=0.01)


def test_the_ramp_and_nothing_pasted():
    early, pasted = replace(toy_batch(4), progress=0.25), output(codes(-1), codes(1))
    objective = WhitenedConsistency(ramp=0.5)
    quarter = loss(objective, pasted, batch=early).item()
    assert quarter == pytest.approx(0.125, rel=0.01)  # a quarter of 0.5 at half of the ramp
    assert loss(objective, pasted, batch=replace(early, progress=0.6)).item() > 0.4
    none = torch.zeros(0, dtype=torch.int64)
    nothing = loss(WhitenedConsistency(), pasted.rows(0, 0), rows=none)
    assert nothing.item() == 0
    nothing.backward()
    with pytest.raises(WhyactError, match=r"whitened_consistency_ramp must be in \[0, 1\], got 2"):
        WhitenedConsistency(ramp=2)
