"""A page of many clips, sorted so that what is wrong or badly justified comes first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from whyact.report.findings import justification, verdict
from whyact.report.page import render_page

POLICY = {"img-src": "data: 'self'"}


def gallery_page(entries: Iterable[tuple[str, Mapping[str, Any]]]) -> str:
    """The gallery as HTML; it lies in one folder with the pages and their thumbnails.

    Args:
        entries: for each explanation the file name of its page, whose thumbnail has the suffix
            ``.jpg``, and its JSON values.
    """
    data = [_entry(page, values) for page, values in entries]
    return render_page(
        "gallery.html", title=f"{len(data)} explanations", data=data, scripts=("gallery.js",),
        styles=("gallery.css",), policy=POLICY,
    )  # fmt: skip


def _entry(page: str, values: Mapping[str, Any]) -> dict[str, Any]:
    best, found = values["predicted"][0], verdict(values)
    return {
        "page": quote(page),
        "thumbnail": quote(str(PurePosixPath(page).with_suffix(".jpg"))),
        "source": values["source"],
        "class": values["class"],
        "predicted": best["class"],
        "probability": best["probability"],
        "truth": values["truth"],
        "share": values["action_share"],
        "justification": justification(values),
        "state": found.state,
        "verdict": found.title,
        "reason": found.text,
    }
