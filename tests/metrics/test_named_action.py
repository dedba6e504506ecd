"""Explanations of named actions, on maps whose shares are known."""

import math

import pytest
import torch

from whyact.metrics.named_action import (
    actor_energy,
    best_threshold,
    right_actor,
    right_actor_chance,
    swap_moves,
)


def scene(*rows: list[float]) -> torch.Tensor:
    """Maps (A, 1, 1, W)."""
    return torch.tensor(rows).view(len(rows), 1, 1, -1)


MASKS = scene([1, 0, 0, 0], [0, 1, 1, 0])  # the last cell is background


def test_energy_is_shared_among_actors_and_the_background_does_not_count() -> None:
    shares = actor_energy(scene([3, 1, 0, 50], [2, 1, 1, 0]), MASKS)
    assert shares.tolist() == [[0.75, 0.25], [0.5, 0.5]]
    assert float(right_actor(shares)) == pytest.approx((0.75 + 0.5) / 2)
    assert float(right_actor_chance(MASKS)) == 0.5  # a third and two thirds
    constant = actor_energy(torch.ones(2, 1, 1, 4), MASKS)
    assert float(right_actor(constant)) == pytest.approx(float(right_actor_chance(MASKS)))


def test_swapping_the_name_must_move_the_map_both_ways() -> None:
    moved = actor_energy(scene([3, 1, 0, 0], [1, 2, 0, 0]), MASKS)
    stuck = actor_energy(scene([3, 1, 0, 0], [2, 1, 0, 0]), MASKS)
    even = actor_energy(scene([3, 1, 0, 0], [1, 1, 0, 0]), MASKS)
    assert [float(swap_moves(s)) for s in (moved, stuck, even)] == [1, 0, 0]
    three = torch.tensor([[0.6, 0.2, 0.2], [0.1, 0.8, 0.1], [0.5, 0.1, 0.4]])
    assert float(swap_moves(three)) == pytest.approx(2 / 3)  # the first and the third are not


def test_what_is_not_defined_is_nan_and_does_not_count() -> None:
    nobody = actor_energy(scene([0, 0, 0, 5], [0, 2, 0, 0]), MASKS)
    assert nobody[0].isnan().all() and nobody[1].tolist() == [0, 1]
    assert float(right_actor(nobody)) == 1 and math.isnan(float(swap_moves(nobody)))
    hidden = MASKS.clone()
    hidden[1] = 0
    shares = actor_energy(scene([2, 1, 0, 0], [2, 1, 0, 0]), hidden)
    assert shares[:, 1].isnan().all() and float(right_actor(shares)) == 1


def test_no_threshold_parts_equal_scores() -> None:
    for row in range(4):
        labels = torch.zeros(1, 6)
        labels[0, [row, 5]] = 1
        scores = torch.tensor([[0.0, 0, 0, 0, 0, 1]])
        assert best_threshold(scores, labels) == pytest.approx(0.5)


def test_the_threshold_parts_present_from_absent() -> None:
    scores = torch.tensor([[0.1, 0.9], [0.3, 0.7], [0.2, 0.4]])
    labels = torch.tensor([[0.0, 1], [0, 1], [0, 0]])
    assert best_threshold(scores, labels) == pytest.approx(0.55)
    # One absent score above a present one: the fewest mistakes by balance.
    labels = torch.tensor([[0.0, 1], [1, 1], [0, 0]])
    assert best_threshold(scores, labels) in (pytest.approx(0.25), pytest.approx(0.55))
