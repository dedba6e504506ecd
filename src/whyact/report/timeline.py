"""A page that shows when actions happen in a video, and where in the frame at their height."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from whyact.ops.intervals import Signal, linear, logarithmic
from whyact.report.page import render_page
from whyact.types import Interval

WIDTH, HEIGHT = 1000, 140
TICKS = (-300, -100, -30, -10, -3, 0, 3, 10, 30, 100, 300)
"""Evidence in logits that the axis names."""
MOST_POINTS = 1000
"""Points of a curve; of a longer one every point shows the highest of its part."""


@dataclass(frozen=True)
class Track:
    """One action over a video.

    Attributes:
        action: as it was asked for.
        evidence: (n,) in logits, ``step`` seconds apart.
        read: (n,), the same as `whyact.ops.intervals.read_evidence` read it for the cut.
        bar: of the intervals, on that scale. best: highest probability of any moment.
        intervals: where it happens, in seconds, with the highest probability inside as score.
        pictures: of each interval's height, as `whyact.report.media.jpeg_uri`, or empty text.
    """

    action: str
    evidence: Sequence[float]
    read: Sequence[float]
    step: float
    bar: float
    best: float
    intervals: Sequence[Interval]
    pictures: Sequence[str]


def timeline_page(
    tracks: Sequence[Track], *, source: str, duration: float, window: float, least_score: float,
    exclusive: bool, against: bool,
) -> str:  # fmt: skip
    """The page as HTML.

    Args:
        tracks: one an action, which share an axis. source: of the video.
        duration, window: seconds. least_score: of an interval.
        exclusive: classes exclude each other, so that evidence is less their mean.
        against: what speaks against an action was read too.
    """
    curves = [np.asarray(track.read) for track in tracks]
    ends = [0.0, *(t.bar for t in tracks), *(float(v) for c in curves for v in (c.min(), c.max()))]
    low, high = min(ends), max(ends)

    def y(value: float) -> float:
        return round(HEIGHT * (high - value) / ((high - low) or 1.0), 1)

    levels = [(y(float(logarithmic(tick))), f"{tick:+d}" if tick else "0") for tick in TICKS]
    times = ((0.0, "start"), (0.5, "middle"), (1.0, "end"))
    return render_page(
        "timeline.html", title=source, data={}, styles=("timeline.css",),
        values={
            "rows": [_row(t, c, duration, y) for t, c in zip(tracks, curves, strict=True)],
            "ticks": [{"x": WIDTH * s, "anchor": a, "text": clock(s * duration)} for s, a in times],
            "levels": [level for level in levels if 0 <= level[0] <= HEIGHT],
            "duration": clock(duration), "window": f"{window:.2f}", "exclusive": exclusive,
            "against": against, "least": f"{least_score:.0%}", "height": HEIGHT,
        },
    )  # fmt: skip


def clock(seconds: float) -> str:
    """``1:02:03.4``, without the hours where there are none."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    tail = f"{minutes:02d}:{rest / 10:04.1f}" if hours else f"{minutes}:{rest / 10:04.1f}"
    return f"{hours}:{tail}" if hours else tail


def _row(
    track: Track, curve: Signal, duration: float, y: Callable[[float], float]
) -> dict[str, Any]:
    def x(seconds: float) -> float:
        return round(WIDTH * seconds / duration, 2) if duration else 0.0

    # Parts of equal length, the last one perhaps shorter.
    size = max(1, -(-len(curve) // MOST_POINTS))
    parts = [(i, curve[i : i + size]) for i in range(0, len(curve), size)]
    points = " ".join(
        f"{x((i + len(part) / 2) * track.step)},{y(float(part.max()))}" for i, part in parts
    )
    moments = [
        {"title": words(one), "at": clock(one.start), "picture": picture}
        for one, picture in zip(track.intervals, track.pictures, strict=True)
    ]
    bars = [
        {"x": x(i.start), "width": max(1.0, x(i.stop) - x(i.start)), "title": words(i)}
        for i in track.intervals
    ]
    total = sum(i.stop - i.start for i in track.intervals)
    summary = (
        f"{len(bars)} interval{'s' if len(bars) != 1 else ''}, {clock(total)} in all"
        if bars
        else f"not found; its probability is nowhere above {track.best:.0%}"
    )
    return {
        "action": track.action, "summary": summary, "points": points, "bars": bars,
        "moments": moments, "level": y(track.bar), "bar": f"{float(linear(track.bar)):+.1f}",
    }  # fmt: skip


def words(one: Interval) -> str:
    """An interval in seconds, with its score as a probability: ``0:01.0 – 0:02.5 (93 %)``."""
    return f"{clock(one.start)} – {clock(one.stop)} ({one.score:.0%})"
