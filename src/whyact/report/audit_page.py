"""The page of an audit: the verdict in plain words, accuracies, classes, the worst clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from whyact.report.media import jpeg_uri
from whyact.report.overlay import display_size, enlarged, frames_of
from whyact.report.page import render_page

SHOWN = ("original", "human_only", "background_only", "swapped")
"""Changes that the worst clips are shown under."""
SIDE = 120
"""Pixels of a thumbnail's height."""
CHARTED = (
    "original", "human_only", "background_only", "own_background", "swapped", "scuba", "scufo",
    "contrasted", "shuffled", "reversed", "static",
)  # fmt: skip
USES = (
    "background_reliance", "follows_background", "paste_cost", "order_use", "motion_use",
    "background_heat", "background_share", "actor_drop", "background_drop", "disagreement",
)  # fmt: skip


def write_audit_page(
    file: Path, record: Mapping[str, Any], worst: Sequence[int], pictures: Mapping[str, Tensor]
) -> None:
    """Write the page of an audit.

    Args:
        file: to write. record: of `whyact.tasks.audit.audit`.
        worst: places in ``record["clips"]`` of the clips to show.
        pictures: (b, 3, H, W) in [0, 1] of these clips by change, of `SHOWN`.
    """
    page = render_page(
        "audit.html", title=f"Audit of {record['model']['name']}", data=None,
        styles=("audit.css",),
        values={
            "record": record,
            "headline": headline(record["verdict"]), "sentences": sentences(record),
            "charted": CHARTED,
            "uses": USES,
            "shown": SHOWN,
            "worst": [_clip(record, i, row, pictures) for row, i in enumerate(worst)],
            "number": number,
        },
    )  # fmt: skip
    file.write_text(page, encoding="utf-8")


def headline(verdict: Mapping[str, Any]) -> str:
    """The verdict as a sentence."""
    level, text = verdict["level"], verdict["text"]
    if text.startswith("cannot be told"):
        return f"No verdict: it {text}."
    return "No use of the background was found." if level == "none_found" else f"This model {text}."


def number(one: Mapping[str, Any]) -> str:
    """A measure as a percentage with its interval, or N/A."""
    if one["mean"] is None:
        return "N/A"
    mean, low, high = (_rounded(one[k]) for k in ("mean", "low", "high"))
    return f"{mean} % ({low} to {high})"


def _rounded(share: float) -> str:
    """Whole percent with a proper minus, and no minus before 0."""
    return f"{round(100 * share)}".replace("-", "−")


def sentences(record: Mapping[str, Any]) -> list[str]:
    """What the numbers say, in the order in which a reader asks."""
    found = record["measures"]
    told = [
        f"It names {_percent(found['original'])} of the clips right; the commonest class alone "
        f"would give {100 * found['original']['chance']:.0f} %."
    ]
    if found["background_reliance"]["mean"] is None:
        told.append(f"Use of the background is N/A: {found['background_reliance']['why']}.")
    else:
        same, count = record["judged"]["measures"], record["judged"]["clips"]
        every = count == record["data"]["read"]
        start = "Before" if every else f"Of the {count} clips that have every change, before"
        told += [
            f"{start} another action's background {_percent(same['swapped'])} are right; cut out "
            f"and pasted back before their own, {_percent(same['own_background'])} are.",
            f"From the background alone it names {_percent(same['background_only'])}; a swapped "
            f"clip is named after the clip that lent the background in "
            f"{_percent(same['follows_background'])} of cases.",
        ]
    if _only_traces(record):
        told.append(
            "That swapped clips do not follow their backgrounds says that traces of the filled-in "
            "actor, not the scene, may have told the class on the background alone."
        )
    told.append(
        f"In shuffled order {_percent(found['shuffled'])} of the clips are right, and "
        f"{_percent(found['static'])} on one still frame: {_time_words(found)}."
    )
    return told


def _only_traces(record: Mapping[str, Any]) -> bool:
    """Whether the background alone tells the class though swapped clips do not follow it."""
    judged = record["judged"]
    alone, follows = (
        judged["measures"][k]["low"] for k in ("background_only", "follows_background")
    )
    chance = judged["chance"]
    return alone is not None and follows is not None and alone > chance >= follows


def _time_words(found: Mapping[str, Any]) -> str:
    order, motion = found["order_use"], found["motion_use"]
    if order["low"] is not None and order["low"] > 0:
        return "it uses the order of the frames"
    if motion["low"] is not None and motion["low"] > 0:
        return "it uses more than one frame, but no use of their order was found"
    return "no use of motion was found"


def _percent(one: Mapping[str, Any]) -> str:
    return "N/A" if one["mean"] is None else f"{_rounded(one['mean'])} %"


def _clip(
    record: Mapping[str, Any], index: int, row: int, pictures: Mapping[str, Tensor]
) -> dict[str, Any]:
    """A clip's texts, and a picture for each change with what was named."""
    clips, classes = record["clips"], record["data"]["classes"]
    label = clips["label"][index]
    views = []
    for name in SHOWN:
        frames = frames_of(pictures[name][row][:, None])
        frame = enlarged(frames, display_size(frames, SIDE))[0]
        said = clips["named"][name][index]
        views.append({
            "name": name, "uri": jpeg_uri(frame), "height": frame.shape[0],
            "width": frame.shape[1], "right": said == label,
            "said": classes[said] if said >= 0 else "N/A",
        })  # fmt: skip
    sure = clips["probability"]
    return {
        "id": clips["id"][index], "label": classes[label], "views": views,
        "named": classes[clips["named"]["original"][index]],
        "human": sure["human_only"][index], "background": sure["background_only"][index],
        "disagrees": clips["disagreement"][index] == 1.0,
    }  # fmt: skip
