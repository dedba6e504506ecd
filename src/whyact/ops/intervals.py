"""From evidence over time to intervals: smoothing, a scale, segmentation and a bar."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whyact.types import WhyactError

Signal = NDArray[np.float64]


def noise_of(signal: Sequence[float] | Signal) -> float:
    """Standard deviation of the noise in a signal, from the differences of neighbours.

    From their median absolute value, which a few jumps do not move. Evidence that was clipped
    (`read_evidence`), zeros beside values above zero, mostly does not change at all, so there it is
    from their root mean square between values above zero whose neighbours are so too: that leaves
    out the jumps from and to zero, also where they were smoothed. A signal that goes below zero
    takes the larger of the two, as frames against an action may be many and quiet.
    """
    values = np.asarray(signal, dtype=np.float64)
    changes = np.diff(values)
    if not len(changes):
        return 0.0
    every = float(np.median(np.abs(changes))) / (0.6745 * math.sqrt(2))
    if (values > 0).all():
        return every
    above = np.pad(values > 0, 1, constant_values=True)
    inner = above[:-2] & above[1:-1] & above[2:]
    within = changes[inner[1:] & inner[:-1]]
    heard = math.sqrt(float((within**2).mean()) / 2) if len(within) else 0.0
    clipped = bool((values > 0).any() and (values >= 0).all())
    return heard if clipped else max(every, heard)


def steps(signal: Sequence[float] | Signal, penalty: float | None = None) -> Signal:
    """The piecewise constant signal closest to a given one, with a price for every piece.

    It minimises the squared error plus ``penalty`` times the number of pieces, exactly, by dynamic
    programming in O(n^2) (Jackson et al., IEEE SPL 2005; the Potts functional).

    Args:
        signal: n values. penalty: by default ``3 s^2 log n`` (the modified BIC of Zhang and
            Siegmund, Biometrics 2007), with the noise s of `noise_of`.
    """
    values = np.asarray(signal, dtype=np.float64)
    n = len(values)
    if n < 2:
        return values
    if penalty is None:
        penalty = 3 * noise_of(values) ** 2 * math.log(n)
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


def logarithmic(values: float | Sequence[float] | Signal) -> Signal:
    """``sign(v) log(1 + |v|)``: keeps the sign and zero, and draws high values together.

    Of two peaks of evidence, one twice as high is not twice as much action, and half of the higher
    one is no bar to take.
    """
    signal = np.asarray(values, dtype=np.float64)
    return np.asarray(np.sign(signal) * np.log1p(np.abs(signal)))


def linear(values: float | Sequence[float] | Signal) -> Signal:
    """The values whose `logarithmic` is given."""
    signal = np.asarray(values, dtype=np.float64)
    return np.asarray(np.sign(signal) * np.expm1(np.abs(signal)))


def read_evidence(
    evidence: Sequence[float] | Signal, smooth: int = 1, bar: float | None = None
) -> Signal:
    """What intervals are cut from: evidence for an action, smoothed, then `logarithmic`.

    Evidence against an action counts as none where any speaks for it: how loudly other actions of
    the video are heard does not tell when this one happens, but would lower a bar half way. Only
    under a bar at zero or below, which what counts as none would reach, it counts as it is.

    Args:
        evidence: (n,) or (n, m) in logits, of `whyact.models.windows.wish_evidence`.
        smooth: steps on either side whose mean a step takes, see `smoothed`.
        bar: that it will be `cut` by, if one is given.
    """
    values = np.asarray(evidence, dtype=np.float64)
    if bar is None or bar > 0:
        values = np.maximum(values, np.where((values > 0).any(0), 0.0, -np.inf))
    return logarithmic(smoothed(values, smooth))


def runs(inside: Sequence[bool] | NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Half-open runs of True, in order."""
    flags = np.concatenate([[False], np.asarray(inside, dtype=bool), [False]])
    edges = np.flatnonzero(flags[1:] != flags[:-1]).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


@dataclass(frozen=True)
class Cut:
    """Where a signal is high.

    Attributes:
        spans: half-open, in steps. bar: the level that they reach.
    """

    spans: list[tuple[int, int]]
    bar: float


def cut(signal: Sequence[float] | Signal, bar: float | None = None) -> Cut:
    """Where the `steps` of a signal are high; noise does not break these into pieces.

    Args:
        signal: n values, of evidence as `read_evidence` gives it for this bar.
        bar: what high means; half way between the lowest and the highest step if None, for an
            action that is known to be there: a signal without any change is one span.
    """
    level = steps(signal)
    if bar is None:
        bar = float(level.min() + level.max()) / 2 if len(level) else 0.0
    return Cut(runs(level >= bar), bar)
