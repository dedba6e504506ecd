"""The page of one clip: why it was recognised, and how far that explanation can be trusted."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import matplotlib as mpl
import numpy as np
from torch import Tensor

from whyact.report.findings import NAMES, findings, verdict
from whyact.report.media import jpeg
from whyact.report.overlay import (
    HEAT,
    REGION_COLORS,
    blend,
    display_size,
    enlarged,
    frames_of,
    scaled_heat,
    strongest_regions,
)
from whyact.report.page import render_page
from whyact.report.schema import read_explanation, validate
from whyact.types import Explanation

SCRIPTS = ("stage.js", "charts.js", "graph.js", "boxes.js", "live.js", "explanation.js")
THUMBNAIL = 160
"""Height in pixels."""


def explanation_page(values: Sequence[Mapping[str, Any]], *, changed: str = "") -> str:
    """A self-contained page of one clip.

    Args:
        values: explanations of the clip, with ``media``, one a class, as
            `whyact.report.schema.to_json` gives them; the first is shown first.
        changed: in words, what of the clip or the model is not as it is; the page says so.

    Raises:
        WhyactError: values that are no valid explanation, or that hold no pictures.
    """
    first = values[0]
    title = f"Why {first['class']}? {first['source']}{f' (changed: {changed})' * bool(changed)}"
    return _page(title, {**clip_data(values, changed), "live": None})


def live_page(values: Sequence[Mapping[str, Any]], live: Mapping[str, Any]) -> str:
    """The same page with a model behind it, which it may ask what would be if.

    Args:
        values: as of `explanation_page`; empty where no clip is open yet.
        live: what ``live.js`` reads: ``token``, ``model``, ``clips``, ``limits``.
    """
    data = clip_data(values) if values else {"clip": None, "explanations": [], "changed": ""}
    return _page("What if?", {**data, "live": dict(live)}, {"connect-src": "'self'"})


def _page(title: str, data: Mapping[str, Any], policy: Mapping[str, str] | None = None) -> str:
    shared = {
        "maps": dict(NAMES),
        "palette": _palette(HEAT, 0.1),  # the darkest tenth is left out
        "prompt_palette": _palette("cividis"),
        "colors": REGION_COLORS,
    }
    return render_page(
        "explanation.html", title=title, data={**data, **shared}, scripts=SCRIPTS,
        styles=("explanation.css", "live.css"), policy=policy,
    )  # fmt: skip


def clip_data(values: Sequence[Mapping[str, Any]], changed: str = "") -> dict[str, Any]:
    """What the page's scripts need of a clip; arguments and errors as of `explanation_page`."""
    for one in values:
        validate(one)
    first = values[0]
    media = first["media"]
    return {
        "clip": {
            "source": first["source"], "times": first["times"], "truth": first["truth"],
            "predicted": first["predicted"], "frames": media and media["frames"],
            "regions": media and media["regions"],
        },
        "explanations": [_shown(one) for one in values],
        "changed": changed,
    }  # fmt: skip


def _shown(values: Mapping[str, Any]) -> dict[str, Any]:
    explanation = read_explanation(values)
    kept = {k: v for k, v in values.items() if k not in ("media", "heat_per_frame", "predicted")}
    return {
        **kept,
        "heat": values["media"]["heat"],
        "drawn": strongest_regions(explanation),
        "findings": [asdict(f) for f in findings(values)],
        "verdict": asdict(verdict(values)),
    }


def _palette(name: str, first: float = 0.0) -> str:
    """256 colours of a colour map, three bytes each, as base64."""
    colors = mpl.colormaps[name](np.linspace(first, 1, 256))[:, :3]
    return base64.b64encode((colors * 255).round().astype(np.uint8).tobytes()).decode()


def thumbnail(video: Tensor, explanation: Explanation) -> bytes:
    """A JPEG of the frame with the most heat, the heat on top.

    Args:
        video: (3, T, H, W). explanation: of it.
    """
    at = int(explanation.heat.sum((1, 2)).argmax())
    frame = frames_of(video[:, at : at + 1])
    size = display_size(frame, THUMBNAIL)
    heat = scaled_heat(explanation.heat, size)[at : at + 1]
    return jpeg(blend(enlarged(frame, size), heat)[0])
