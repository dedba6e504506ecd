"""Evidence to intervals, on signals whose pieces are known."""

from itertools import pairwise

import numpy as np
import pytest

from whyact.ops.intervals import (
    cut,
    linear,
    logarithmic,
    noise_of,
    read_evidence,
    runs,
    smoothed,
    steps,
)
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


def test_a_cut_has_the_steps_that_reach_the_bar() -> None:
    signal = [0.1, 0.1, 0.7, 0.7, 0.2, 0.2, 0.9, 0.9]
    assert cut(signal, 0.5).spans == [(2, 4), (6, 8)] and cut(signal, 0.5).bar == 0.5
    assert cut(signal, 0.95).spans == [] and cut([]).spans == []


def test_without_a_bar_the_middle_of_the_range_decides() -> None:
    made = cut([0.01, 0.01, 0.05, 0.05, 0.05, 0.01, 0.01])
    assert made.spans == [(2, 5)] and made.bar == pytest.approx(0.03)
    assert cut([0.2, 0.2, 0.2]).spans == [(0, 3)]


def test_one_noisy_step_does_not_break_a_segment() -> None:
    evidence = [0.1, 0.12, 0.08, 0.1, 0.9, 0.88, 0.45, 0.91, 0.9, 0.1, 0.11, 0.09, 0.1, 0.12]
    assert len(runs(np.array(evidence) >= 0.5)) == 2
    # With the price of a piece at 1, the dip is part of the segment.
    made = steps(evidence, 0.3)
    assert runs(made >= 0.5) == [(4, 9)]


@pytest.mark.parametrize(
    ("signal", "noise"),
    [
        ([1, 2, 4, 3], 1 / (0.6745 * 2**0.5)),  # differences 1, 2, 1
        ([0, 1, 2, 2, 4, 1, 0, 0], 1.0),  # within they are 0 and 2: half of (0 + 4) / 2
        ([0, 0, 0, 3, 0, 0], 0.0),  # no neighbours above zero
        ([-1, -1, -1, -1, -1, -1, 1, 1, 3], 2**0.5),  # 2 within, and a median of 0
        ([-5, -1, 1, 3], 2 / (0.6745 * 2**0.5)),  # the median
        ([-4, -2, -2, -3], 1 / (0.6745 * 2**0.5)),
        ([3], 0.0),
        ([], 0.0),
    ],
)
def test_noise_is_heard_where_nothing_was_clipped(signal: list[float], noise: float) -> None:
    assert noise_of(signal) == pytest.approx(noise)


def test_an_action_in_a_sparse_film_stays_one_piece() -> None:
    evidence = np.full(40, -6.0)
    evidence[10:20] = [6, 1, 6, 6, 1, 6, 6, 0.8, 6, 6]
    read = read_evidence(evidence, 0)
    assert np.median(np.abs(np.diff(read))) == 0
    assert len(runs(read >= read.max() / 2)) == 4  # what no price for a piece makes of it
    # Differences within: three of log 7 - log 2, two of log 7 - log 1.8, two of 0. So a piece
    # costs 6.6; the dips are worth 3.4 together, the action 18.4 for its two.
    changes = 3 * np.log(3.5) ** 2 + 2 * np.log(7 / 1.8) ** 2
    assert noise_of(read) == pytest.approx((changes / 7 / 2) ** 0.5)
    assert cut(read).spans == [(10, 20)]
    # Under a bar that is given too.
    for bar in (3, 0, -5):
        scaled = float(logarithmic(bar))
        assert cut(read_evidence(evidence, 0, scaled), scaled).spans == [(10, 20)], bar


@pytest.mark.parametrize(("length", "height"), [(300, 0.5), (1000, 1.0), (60, 5.0)])
def test_a_short_weak_action_is_not_the_whole_film(length: int, height: float) -> None:
    evidence = np.full(length, -6.0)
    evidence[20:22] = height  # smoothed, a ramp of four frames, whose changes are no noise
    assert cut(read_evidence(evidence)).spans == [(19, 23)]
    bar = float(logarithmic(height / 5))
    assert cut(read_evidence(evidence, bar=bar), bar).spans == [(19, 23)]


def test_actions_in_sparse_noise_are_mostly_one_piece() -> None:
    one = 0
    for seed in range(20):
        noise = np.random.default_rng(seed).normal(size=200)
        evidence = np.where((np.arange(200) < 50) | (np.arange(200) >= 70), -6 + noise, 5)
        evidence[50:70] += 2.5 * noise[50:70]
        one += len(cut(read_evidence(evidence, 0)).spans) == 1
    assert one >= 15, one


def test_in_a_dense_film_the_price_is_that_of_the_median() -> None:
    noise = np.random.default_rng(0).normal(size=40)
    evidence = np.array([3.0] * 15 + [12.0] * 10 + [3.0] * 15) + 0.5 * noise
    read = read_evidence(evidence, 0)
    spread = np.median(np.abs(np.diff(read))) / (0.6745 * 2**0.5)
    assert (read > 0).all() and spread > 0
    assert steps(read).tolist() == steps(read, 3 * spread**2 * np.log(40)).tolist()
    assert cut(read).spans == [(15, 25)]


@pytest.mark.parametrize(
    ("bar", "spans"),
    [(4.5, [(4, 6)]), (0, [(3, 6)]), (-4, [(3, 6)]), (-6, [(0, 9)]), (5.5, [])],
)
def test_a_bar_may_lie_at_zero_or_below(bar: float, spans: list[tuple[int, int]]) -> None:
    evidence = [-5, -5, -5, 4, 5, 5, -5, -5, -5]
    scaled = float(logarithmic(bar))
    read = read_evidence(evidence, 0, scaled)
    assert linear(read).tolist() == pytest.approx(evidence if bar <= 0 else np.maximum(evidence, 0))
    # Of three frames none is within, so nothing is noise, and each frame has its own level.
    assert cut(read, scaled).spans == spans
    # Clipped, all of it would reach a bar of zero.
    assert cut(read_evidence(evidence, 0), 0.0).spans == [(0, 9)]


def test_what_is_against_an_action_is_smoothed_as_it_is() -> None:
    read = linear(read_evidence([-6, -6, 9, 9, 0], bar=0.0))
    assert read.tolist() == pytest.approx([-6, -1, 4, 6, 4.5])
    assert linear(read_evidence([-6, -6, 9, 9, 0])).tolist() == pytest.approx([0, 3, 6, 6, 4.5])


def test_the_scale_keeps_signs_and_has_an_inverse() -> None:
    values = [-np.e + 1, 0.0, np.e**2 - 1]
    assert logarithmic(values).tolist() == pytest.approx([-1, 0, 2])
    assert linear([-1, 0, 2]).tolist() == pytest.approx(values)


def test_evidence_is_smoothed_then_put_on_the_scale() -> None:
    third = np.log1p(3)
    assert read_evidence([0, 0, 9, 0, 0]).tolist() == pytest.approx([0, third, third, third, 0])
    assert read_evidence([0, 0, 9, 0, 0], 0).tolist() == pytest.approx([0, 0, np.log1p(9), 0, 0])


def test_other_actions_do_not_move_the_bar() -> None:
    alone = np.array([0.0] * 4 + [8, 8, 8, 8] + [2] * 4 + [0.0] * 4)
    beside = alone.copy()
    beside[12:] = -60.0
    assert cut(read_evidence(alone, 0)).spans == [(4, 8)]
    assert cut(read_evidence(beside, 0)) == cut(read_evidence(alone, 0))
    # On the scale alone, 2 would be above half of -60 to 8.
    assert cut(logarithmic(beside)).spans == [(0, 12)]
    # Where nothing speaks for an action, the least against it still stands out; by column.
    both = read_evidence(np.stack([beside, beside - 70], 1), 0)
    assert cut(both[:, 0]).spans == [(4, 8)] and (both[:, 1] < 0).all()
