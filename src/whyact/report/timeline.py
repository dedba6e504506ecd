"""A page that shows when actions happen in a video, and where in the frame at their height."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from whyact.report.page import render_page
from whyact.types import Interval

WIDTH, HEIGHT = 1000, 100
MOST_POINTS = 1000
"""Points of a curve; of a longer one every point shows the highest of its part."""


@dataclass(frozen=True)
class Track:
    """One action over a video.

    Attributes:
        action: as it was asked for. evidence: (n,) probabilities, ``step`` seconds apart.
        intervals: where it happens, in seconds.
        pictures: of each interval's height, as `whyact.report.media.jpeg_uri`; may be fewer.
    """

    action: str
    evidence: Sequence[float]
    step: float
    intervals: Sequence[Interval]
    pictures: Sequence[str] = field(default_factory=tuple)


def timeline_page(
    tracks: Sequence[Track], *, source: str, duration: float, window: float, threshold: float
) -> str:
    """The page as HTML.

    Args:
        tracks: one an action. source: of the video. duration, window: seconds.
        threshold: of the intervals, on the evidence.
    """
    rows = [_row(track, duration) for track in tracks]
    ends = ((0.0, "start"), (0.5, "middle"), (1.0, "end"))
    ticks = [{"x": WIDTH * s, "anchor": a, "text": clock(s * duration)} for s, a in ends]
    return render_page(
        "timeline.html", title=source, data={}, styles=("timeline.css",),
        values={
            "rows": rows, "ticks": ticks, "duration": clock(duration), "window": f"{window:.2f}",
            "threshold": f"{threshold:.2f}", "level": HEIGHT * (1 - threshold),
        },
    )  # fmt: skip


def clock(seconds: float) -> str:
    """``1:02:03.4``, without the hours where there are none."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    tail = f"{minutes:02d}:{rest / 10:04.1f}" if hours else f"{minutes}:{rest / 10:04.1f}"
    return f"{hours}:{tail}" if hours else tail


def _row(track: Track, duration: float) -> dict[str, Any]:
    def x(seconds: float) -> float:
        return round(WIDTH * seconds / duration, 2) if duration else 0.0

    values = np.asarray(track.evidence, dtype=float)
    # Parts of equal length, the last one perhaps shorter.
    size = max(1, -(-len(values) // MOST_POINTS))
    top = [float(values[i : i + size].max()) for i in range(0, len(values), size)]
    middle = [
        (i * size + min(size, len(values) - i * size) / 2) * track.step for i in range(len(top))
    ]
    points = " ".join(f"{x(t)},{HEIGHT * (1 - v):.1f}" for t, v in zip(middle, top, strict=True))
    moments = [
        {"title": _words(one), "at": clock(one.start), "picture": picture}
        for one, picture in zip(
            track.intervals, [*track.pictures, *[""] * len(track.intervals)], strict=False
        )
    ]
    bars = [
        {"x": x(i.start), "width": max(1.0, x(i.stop) - x(i.start)), "title": _words(i)}
        for i in track.intervals
    ]
    total = sum(i.stop - i.start for i in track.intervals)
    summary = (
        f"{len(bars)} interval{'s' if len(bars) != 1 else ''}, {clock(total)} in all"
        if bars
        else f"not found; the highest evidence is {max(top, default=0.0):.2f}"
    )
    return {
        "action": track.action, "summary": summary, "points": points, "bars": bars,
        "moments": moments,
    }  # fmt: skip


def _words(one: Interval) -> str:
    return f"{clock(one.start)} – {clock(one.stop)} ({one.score:.2f})"
