"""Evidence to intervals, on signals whose pieces are known."""

from itertools import pairwise

import numpy as np
import pytest

from whyact.ops.intervals import find_intervals, runs, smoothed, steps
from whyact.types import WhyactError


def brute_force(values: np.ndarray, penalty: float) -> float:
    """Least cost over all ways to cut a short signal."""
    n, best = len(values), np.inf
    for cuts in range(1 << (n - 1)):
        edges = [0, *(i + 1 for i in range(n - 1) if cuts >> i & 1), n]
        parts = [values[a:b] for a, b in pairwise(edges)]
        best = min(best, sum(((p - p.mean()) ** 2).sum() + penalty for p in parts))
    return best


@pytest.mark.parametrize("penalty", [0.01, 0.3, 5.0])
def test_steps_are_the_cheapest_of_all(penalty: float) -> None:
    values = np.random.default_rng(0).normal(size=9)
    made = steps(values, penalty)
    pieces = 1 + int((np.diff(made) != 0).sum())
    cost = ((values - made) ** 2).sum() + penalty * pieces
    assert cost == pytest.approx(brute_force(values, penalty))


def test_steps_find_jumps_in_noise_and_mostly_nothing_in_noise_alone() -> None:
    clean = np.array([0.0] * 20 + [1.0] * 15 + [0.0] * 15)
    exact = empty = 0
    for seed in range(20):
        noise = 0.1 * np.random.default_rng(seed).normal(size=50)
        jumps = np.flatnonzero(np.diff(steps(clean + noise)))
        assert {19, 34} <= set(jumps.tolist())
        exact += len(jumps) == 2
        empty += len(set(steps(noise))) == 1
    assert exact >= 15 and empty >= 15, (exact, empty)


def test_a_clean_signal_is_kept_and_short_ones_are_theirs() -> None:
    clean = [0.0, 0, 0, 0, 1, 1, 1, 0, 0]
    assert steps(clean).tolist() == pytest.approx(clean)
    assert steps([]).tolist() == [] and steps([3.0]).tolist() == [3.0]


def test_smoothing_takes_the_neighbours_that_there_are() -> None:
    assert smoothed([6.0, 0, 3, 9]).tolist() == [3, 3, 4, 6]
    assert smoothed([6.0, 0, 3, 9], 2).tolist() == [3, 4.5, 4.5, 4]
    assert smoothed([6.0, 0, 3, 9], 0).tolist() == [6, 0, 3, 9]
    both = smoothed(np.array([[6.0, 1], [0, 1], [3, 4]]))
    assert both.tolist() == [[3, 1], [3, 2], [1.5, 2.5]]
    assert smoothed([]).tolist() == [] and smoothed([2.0], 5).tolist() == [2]
    with pytest.raises(WhyactError, match="0 steps or more, got -1"):
        smoothed([1.0], -1)


def test_runs_touch_both_ends() -> None:
    assert runs([True, True, False, True]) == [(0, 2), (3, 4)]
    assert runs([False, False]) == [] and runs([]) == []


def test_intervals_hold_what_is_above_the_threshold_and_its_mean() -> None:
    evidence = [0.1, 0.6, 0.8, 0.2, 0.9]
    found = find_intervals(evidence, 3, threshold=0.5, segmented=False)
    assert [(i.action, i.start, i.stop) for i in found] == [(3, 1, 3), (3, 4, 5)]
    assert found[0].score == pytest.approx(0.7)
    longer = find_intervals(evidence, 3, threshold=0.5, segmented=False, least=2)
    assert [(i.start, i.stop) for i in longer] == [(1, 3)]
    assert find_intervals(evidence, 3, threshold=0.95) == []


def test_without_a_threshold_the_middle_of_the_range_decides() -> None:
    (one,) = find_intervals([0.01, 0.01, 0.05, 0.05, 0.05, 0.01, 0.01], 0)
    assert (one.start, one.stop) == (2, 5)
    (whole,) = find_intervals([0.2, 0.2, 0.2], 0)
    assert (whole.start, whole.stop) == (0, 3)


def test_one_noisy_step_does_not_break_a_segment() -> None:
    evidence = [0.1, 0.12, 0.08, 0.1, 0.9, 0.88, 0.45, 0.91, 0.9, 0.1, 0.11, 0.09, 0.1, 0.12]
    plain = find_intervals(evidence, 0, threshold=0.5, segmented=False)
    assert len(plain) == 2
    # With the price of a piece at 1, the dip is part of the segment.
    made = steps(evidence, 0.3)
    assert runs(made >= 0.5) == [(4, 9)]
