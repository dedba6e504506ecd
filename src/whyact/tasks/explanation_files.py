"""The files of an explanation: overlay video, picture, JSON and, where asked for, a page."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from whyact.explainers.native import region_tracks
from whyact.ops.encode import write_video
from whyact.report.explanation_page import explanation_page, thumbnail
from whyact.report.gallery import gallery_page
from whyact.report.overlay import overlay_frames
from whyact.report.schema import to_json
from whyact.report.sheet import contact_sheet
from whyact.report.timeline import words
from whyact.tasks.counterfactual import in_words
from whyact.training.record import write_json
from whyact.types import Explanation, Interval, WhyactError

PLAYBACK_RATE = 4.0
"""Frames a second of overlay videos: slow enough to look at."""


ENDS = ("mp4", "png", "json", "html", "jpg")
"""Of an explanation's files."""


@dataclass(frozen=True)
class Explained:
    """The files of one clip's explanation.

    Attributes:
        source: of the clip. video, picture, data: MP4, PNG and JSON. page: HTML, where asked for.
        found: its counterfactual in words, where asked for.
        when: it says that the class is there, in words; empty where times are unknown.
        error: why there are none; None if there are.
    """

    source: str
    video: Path | None = None
    picture: Path | None = None
    data: Path | None = None
    page: Path | None = None
    when: str = ""
    found: str = ""
    error: str | None = None

    def values(self) -> dict[str, Any]:
        """What they show, read from ``data``: keys and units are in docs/explanation-schema.md."""
        if self.data is None:
            raise WhyactError(f"{self.source}: there is no explanation: {self.error}")
        values: dict[str, Any] = json.loads(self.data.read_text(encoding="utf-8"))
        return values


def spare(inputs: Collection[Path], folder: Path, stem: str) -> None:
    """Fail where `write_explanation` would overwrite one of these (resolved) files."""
    for file in (folder / f"{stem}.{end}" for end in ENDS):
        if file.resolve() in inputs:
            raise WhyactError(
                f"{file} is a clip to be explained, and its overlay video would take its place; "
                "choose another folder with --output."
            )


def write_explanation(
    folder: Path,
    stem: str,
    *,
    source: str,
    video: Tensor,
    times: Sequence[float],
    explanation: Explanation,
    probabilities: Sequence[float],
    classes: Sequence[str],
    truth: str | None = None,
    html: bool = False,
    others: Sequence[Explanation] = (),
) -> Explained:
    """Write ``<stem>.mp4``, ``<stem>.png`` and ``<stem>.json`` into a folder.

    Args:
        folder: made if missing. stem: of the files' names. source: of the clip.
        video: (3, T, H, W). times: (T,) of the frames in seconds; empty where unknown.
        explanation: of the clip. probabilities: (Y,). classes: names in label order.
        truth: name of the true class, where it is known.
        html: write ``<stem>.html`` too, and ``<stem>.jpg`` for a gallery.
        others: explanations of the same clip for other classes, for the page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = classes[explanation.target]
    ranked = sorted(zip(classes, probabilities, strict=True), key=lambda p: -p[1])
    movie, picture, data, page, thumb = (folder / f"{stem}.{end}" for end in ENDS)
    pages = overlay_frames(video, explanation, name, probability=probabilities[explanation.target])
    write_video(movie, pages, PLAYBACK_RATE)
    contact_sheet(
        picture, video, explanation, name=name, source=source, predicted=ranked, times=times
    )
    values = [
        to_json(
            e, source=source, classes=classes, probabilities=probabilities, times=times,
            tracks=region_tracks(e), truth=truth, video=video,
        )
        for e in (explanation, *others)
    ]  # fmt: skip
    write_json(data, values[0])
    if html:
        page.write_text(explanation_page(values), encoding="utf-8")
        thumb.write_bytes(thumbnail(video, explanation))
    said = in_words(explanation, tuple(classes))
    when = ", ".join(
        words(Interval(explanation.target, **one, score=probabilities[explanation.target]))
        for one in values[0]["intervals"] or []
    )
    return Explained(
        source, movie, picture, data, page if html else None,
        f"{name}: {when}" if when else "", said,
    )  # fmt: skip


def write_gallery(folder: Path, explained: Sequence[Explained]) -> Path:
    """Write ``index.html``, a gallery of the pages in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "index.html"
    entries = ((one.page.name, one.values()) for one in explained if one.page)  # one at a time
    path.write_text(gallery_page(entries), encoding="utf-8")
    return path
