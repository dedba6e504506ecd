"""From evidence over time to intervals: one-dimensional segmentation and a threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from whyact.types import Interval, WhyactError

Signal = NDArray[np.float64]


def steps(signal: Sequence[float] | Signal, penalty: float | None = None) -> Signal:
    """The piecewise constant signal closest to a given one, with a price for every piece.

    It minimises the squared error plus ``penalty`` times the number of pieces, exactly, by dynamic
    programming in O(n^2) (Jackson et al., IEEE SPL 2005; the Potts functional).

    Args:
        signal: n values. penalty: by default ``3 s^2 log n`` (the modified BIC of Zhang and
            Siegmund, Biometrics 2007), with the noise s estimated from the median absolute
            difference of neighbours, which a few jumps do not move.
    """
    values = np.asarray(signal, dtype=np.float64)
    n = len(values)
    if n < 2:
        return values
    if penalty is None:
        noise = float(np.median(np.abs(np.diff(values)))) / (0.6745 * math.sqrt(2))
        penalty = 3 * noise**2 * math.log(n)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    squares = np.concatenate([[0.0], np.cumsum(values**2)])
    best, came_from = np.zeros(n + 1), np.zeros(n + 1, dtype=np.int64)
    best[0] = -penalty
    for stop in range(1, n + 1):
        start = np.arange(stop)
        error = squares[stop] - squares[start] - (sums[stop] - sums[start]) ** 2 / (stop - start)
        # Rounding must not make many pieces cheaper than one.
        cost = best[:stop] + penalty + np.maximum(error, 1e-12)
        came_from[stop] = int(cost.argmin())
        best[stop] = cost[came_from[stop]]
    made = np.empty(n)
    stop = n
    while stop:
        begin = int(came_from[stop])
        made[begin:stop] = (sums[stop] - sums[begin]) / (stop - begin)
        stop = begin
    return made


def smoothed(signal: Sequence[float] | Signal, reach: int = 1) -> Signal:
    """Mean of each step and those at most ``reach`` away that there are.

    Args:
        signal: (n,), or (n, m) for m signals. reach: in steps.
    """
    values = np.asarray(signal, dtype=np.float64)
    if reach < 0:
        raise WhyactError(f"Smoothing reaches 0 steps or more, got {reach}.")
    sums = np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, 0)])
    at = np.arange(len(values))
    first, last = np.maximum(at - reach, 0), np.minimum(at + reach + 1, len(values))
    counts = (last - first).reshape(-1, *[1] * (values.ndim - 1))
    return np.asarray((sums[last] - sums[first]) / counts)


def runs(inside: Sequence[bool] | NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Half-open runs of True, in order."""
    flags = np.concatenate([[False], np.asarray(inside, dtype=bool), [False]])
    edges = np.flatnonzero(flags[1:] != flags[:-1]).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def find_intervals(
    evidence: Sequence[float], action: int, *, threshold: float | None = None,
    segmented: bool = True, least: int = 1,
) -> list[Interval]:  # fmt: skip
    """Where the evidence for an action is high.

    Args:
        evidence: of n time steps, probabilities or any other scale. action: class index.
        threshold: what high means; half way between the lowest and the highest step if None, for
            an action that is known to be there: a signal without any change is one interval.
        segmented: look at `steps` of the evidence, which noise does not break into pieces.
        least: shortest interval, in steps.

    Returns:
        Intervals in time steps, each with the mean evidence inside as its score.
    """
    values = np.asarray(evidence, dtype=np.float64)
    if not len(values):
        return []
    level = steps(values) if segmented else values
    bar = float(level.min() + level.max()) / 2 if threshold is None else threshold
    return [
        Interval(action, start, stop, float(values[start:stop].mean()))
        for start, stop in runs(level >= bar)
        if stop - start >= least
    ]
