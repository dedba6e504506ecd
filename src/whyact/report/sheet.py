"""The contact sheet: one picture that shows a whole explanation."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from whyact.report.findings import without_share
from whyact.report.overlay import (
    HEAT,
    blend,
    display_size,
    enlarged,
    frames_of,
    region_color,
    region_margins,
    scaled_heat,
    shortened,
    strongest_regions,
)
from whyact.types import Explanation, Step

MAX_FRAMES = 16
PROMPT_ROWS = 8
_INK, _MUTED, _ACTOR, _SCENE = "#1b1b1f", "#66666f", "#0072B2", "#D9A441"
LEFT, _RIGHT = 1.2, 1.5
"""Inches left and right of the frames, for labels and legends."""
_LABEL = 2.0
"""Inches of a class beside its bar."""
STYLE: Any = {"font.family": "DejaVu Sans", "text.color": _INK, "axes.edgecolor": "#b9b9c0",
          "axes.labelcolor": _INK, "xtick.color": _MUTED, "ytick.color": _MUTED,
          "axes.linewidth": 0.8, "text.parse_math": False}  # fmt: skip


def contact_sheet(
    path: str | Path, video: Tensor, explanation: Explanation, *, name: str, source: str,
    predicted: Sequence[tuple[str, float]], times: Sequence[float] = (),
) -> Path:  # fmt: skip
    """Write the contact sheet of an explanation.

    From the top: the explained class, what was predicted and whose the evidence is; the frames (16
    at most); the heat over them; the strongest regions, each in its colour; what each region
    contributes over time; the weights of the strongest prompts.

    Args:
        path: of the picture; its suffix picks the format.
        video: (3, T, H, W). explanation: of that clip. name: of the explained class.
        source: where the clip is from. predicted: (class, probability), most probable first.
        times: (T,) of the frames in seconds; their numbers are shown where empty.

    Returns:
        The path.
    """
    with mpl.rc_context(STYLE):
        figure = _figure(video, explanation, name, source, predicted, times)
        figure.savefig(path, facecolor="white")
    return Path(path)


def _figure(
    video: Tensor, e: Explanation, name: str, source: str,
    predicted: Sequence[tuple[str, float]], times: Sequence[float],
) -> Figure:  # fmt: skip
    small = frames_of(video)
    shown = np.linspace(0, len(small) - 1, min(MAX_FRAMES, len(small))).round().astype(int)
    height, width = display_size(small, 224)
    frame = max(1.05, 13.2 / max(8, len(shown)))
    row = frame * height / width
    has_prompts, has_time = e.prompt_weights.numel() > 0, len(e.frame_evidence) > 0
    regions = strongest_regions(e)
    pictures = 3 if regions else 2
    # Heights of the parts in inches, from the top; a part is followed by its gap.
    parts = {
        "header": (1.05, 0.3), **{f"row{i}": (row, 0.05) for i in range(pictures)},
        "time": (1.45 if has_time else 0, 0.5 if has_time else 0),
        "prompts": (1.35 if has_prompts else 0, 0.5 if has_prompts else 0),
    }  # fmt: skip
    parts[f"row{pictures - 1}"] = (row, 0.3)
    total = 0.15 + sum(a + b for a, b in parts.values())
    inner = frame * len(shown)
    page = (LEFT + max(inner, 9.0) + _RIGHT, total)
    figure = Figure(figsize=page, dpi=120)
    FigureCanvasAgg(figure)
    top = total - 0.15
    boxes: dict[str, tuple[float, float]] = {}
    for key, (size, gap) in parts.items():
        boxes[key] = (top - size, size)
        top -= size + gap

    def place(x: float, wide: float, part: str) -> Any:
        bottom, tall = boxes[part]
        box = (x / page[0], bottom / page[1], wide / page[0], tall / page[1])
        return figure.add_axes(box)

    _header(figure, page, boxes["header"], e, name, source, predicted)
    draw_pictures(place, small, e, shown, regions, (height, width), frame, times, name)
    if has_time:
        draw_timeline(place(LEFT, inner, "time"), e, regions, len(small))
    if has_prompts:
        _prompts(place(LEFT, inner, "prompts"), e, len(small))
    return figure


def _header(
    figure: Figure, page: tuple[float, float], box: tuple[float, float], e: Explanation,
    name: str, source: str, predicted: Sequence[tuple[str, float]],
) -> None:  # fmt: skip
    wide, tall = page
    top = box[0] + box[1]

    def write(x: float, down: float, text: str, size: float, **how: Any) -> None:
        figure.text(x / wide, (top - down) / tall, text, size=size, va="top", **how)

    chance = dict(predicted).get(name)
    scored = f"{chance:.0%}, logit {e.score:+.2f}" if chance is not None else f"{e.score:+.2f}"
    room = wide - _RIGHT - 2.5 - _LABEL - LEFT
    size = min(19.0, max(11.0, 19 * room / _inches(f"Why “{name}”?", 19)))
    write(LEFT, 0.0, f"Why “{_fitting(name, room - _inches('Why “”?', size), size)}”?", size,
          weight="bold")  # fmt: skip
    write(LEFT, 0.42, f"{scored}   ·   {source}", 10, color=_MUTED)
    write(LEFT, 0.68, _path_text(e.path, e.assignment.shape[1]), 9.5, color=_MUTED)
    right = wide - _RIGHT
    axis = figure.add_axes(((right - 2.5) / wide, (top - 0.98) / tall, 1.9 / wide, 0.72 / tall))
    write(right - 2.5, 0.0, "predicted", 9.5, color=_MUTED)
    best = list(predicted[:3])[::-1]
    colors = ["#3b3b44" if n == name else "#b9b9c0" for n, _ in best]
    axis.barh(range(len(best)), [p for _, p in best], color=colors, height=0.72)
    axis.set_xlim(0, 1)
    axis.set_axis_off()
    for i, (label, chance) in enumerate(best):
        axis.text(-0.03, i, _fitting(label, _LABEL, 9.5), ha="right", va="center", size=9.5)
        axis.text(chance + 0.03, i, f"{chance:.0%}", va="center", size=9.5)
    _share(figure, page, top, right, e)


def _inches(text: str, size: float) -> float:
    """About the width of a text of so many points."""
    return len(text) * size * 0.58 / 72


def _fitting(text: str, room: float, size: float) -> str:
    return shortened(text, room, lambda part: _inches(part, size))


def _share(
    figure: Figure, page: tuple[float, float], top: float, right: float, e: Explanation
) -> None:
    """Whose the evidence is, as one bar of two parts."""
    wide, tall = page
    x = right + 0.05

    def write(down: float, text: str, color: str) -> None:
        figure.text(x / wide, (top - down) / tall, text, size=9.5, va="top", color=color)

    write(0, "logit lost without", _MUTED)
    if e.action_share is None:
        why = without_share(e.extra.get("mask"), e.extra.get("drops"))
        write(0.26, textwrap.fill(f"actor or scene: {why.lower()}", 18), _INK)
        return
    axis = figure.add_axes((x / wide, (top - 0.45) / tall, 1.35 / wide, 0.19 / tall))
    axis.barh(0, e.action_share, color=_ACTOR)
    axis.barh(0, 1 - e.action_share, left=e.action_share, color=_SCENE)
    axis.set_xlim(0, 1)
    axis.margins(y=0)
    axis.set_axis_off()
    write(0.53, f"the actor {e.action_share:.0%}", _ACTOR)
    write(0.75, f"the scene {1 - e.action_share:.0%}", "#8a6414")


def _path_text(path: Sequence[Step], regions: int) -> str:
    """The reasoning path as words, from the first sender on; time steps count from 1."""
    if not path:
        return ""

    def node(place: tuple[int, int]) -> str:
        t, i = place
        return (f"region {i}" if i < regions else f"prompt {i - regions}") + f" (step {t + 1})"

    text = node(path[0].source)
    for step in path:
        text += f"  —{step.gate:.2f}→  {node(step.target)}"
    return f"strongest path: {text}"


def draw_pictures(
    place: Any, small: Any, e: Explanation, shown: Any, regions: Sequence[int],
    size: tuple[int, int], frame: float, times: Sequence[float], name: str,
) -> None:  # fmt: skip
    """Rows of frames, heat and regions, and the scale of the heat.

    Args:
        place: makes an axis from its left edge and width in inches and the name of its row
            (``row0`` to ``row2``). small: (T, H, W, 3). shown: numbers of the frames.
        regions: to outline; without any there are two rows. size: (height, width) of a picture.
        frame: width of a column in inches. times: (T,) or empty. name: of the explained class.
    """
    frames = enlarged(small[shown], size)
    heated = blend(frames, scaled_heat(e.heat, size)[shown])
    margins = region_margins(e, regions, len(small), size) if regions else None
    room = LEFT - 0.15 - _inches("for ", 9.5)
    labels = ("clip", f"evidence\nfor {_fitting(name, room, 9.5)}", "regions")
    for column, t in enumerate(shown):
        for row, pictures in enumerate((frames, heated, frames)[: 3 if regions else 2]):
            axis = place(LEFT + column * frame + 0.02, frame - 0.04, f"row{row}")
            picture = pictures[column]
            if row == 2:
                picture = (picture * 0.7).astype(np.uint8)
            axis.imshow(picture, aspect="auto")
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
            if row == 0:
                when = f"{times[t]:.2f} s" if len(times) else f"frame {t + 1}"
                axis.set_title(when, fontsize=8, color=_MUTED, pad=3)
            if row == 2 and margins is not None:
                for k, margin in zip(regions, margins[:, t].numpy(), strict=True):
                    if margin.min() < 0 < margin.max():
                        axis.contour(margin, [0], colors=[region_color(k)], linewidths=1.5)
            if column == 0:
                axis.set_ylabel(labels[row], fontsize=9.5, rotation=0, ha="right", va="center",
                                labelpad=8)  # fmt: skip
    _heat_scale(place(LEFT + len(shown) * frame + 0.12, 0.14, "row1"))


def _heat_scale(axis: Any) -> None:
    axis.imshow(np.linspace(1, 0.1, 64)[:, None], aspect="auto", cmap=HEAT, vmin=0, vmax=1)
    axis.set(xticks=[], yticks=[0, 63], yticklabels=["most", "none"])
    axis.yaxis.tick_right()
    axis.tick_params(labelsize=8, length=0)
    axis.spines[:].set_visible(False)


def draw_timeline(axis: Any, e: Explanation, regions: Sequence[int], frames: int) -> None:
    """What each drawn region and all others contribute at every time step, stacked."""
    steps = len(e.frame_evidence)
    where = (np.arange(steps) + 0.5) * frames / steps - 0.5
    width = 0.86 * frames / steps
    if e.contributions.numel():
        parts = e.contributions.double().numpy()
        series = [(f"region {k}", region_color(k), parts[:, k]) for k in regions]
        others = [k for k in range(parts.shape[1]) if k not in regions]
        series.append(("others" if regions else "all", "#c9c9d1", parts[:, others].sum(1)))
        up, down = np.zeros(steps), np.zeros(steps)
        for label, color, values in series:
            axis.bar(where, values, width, bottom=np.where(values > 0, up, down), color=color,
                     edgecolor="#55555e", linewidth=0.4, label=label)  # fmt: skip
            up, down = up + values.clip(0), down + values.clip(None, 0)
        total = parts.sum(1)
    else:
        total = e.frame_evidence.double().numpy()
        axis.bar(where, total, width, color="#c9c9d1", label="evidence")
    axis.plot(
        where,
        total,
        color=_INK,
        marker="o",
        markersize=3.5,
        linewidth=1.2,
        label="sum",
        clip_on=False,
    )
    axis.axhline(0, color=_MUTED, linewidth=0.8)
    axis.set_xlim(-0.5, frames - 0.5)
    axis.set_xticks(range(frames), [str(i + 1) for i in range(frames)])
    axis.set_ylabel("contribution\nto the logit", fontsize=9.5)
    axis.set_xlabel("frame", fontsize=8, color=_MUTED, labelpad=1)
    axis.tick_params(labelsize=8, length=2)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=8.5, loc="center left", bbox_to_anchor=(1.005, 0.5), frameon=False)


def _prompts(axis: Any, e: Explanation, frames: int) -> None:
    """Weights of the prompts' strongest bank entries over time."""
    _, prompts, bank = e.prompt_weights.shape
    weights = e.prompt_weights.flatten(1).T.numpy()
    rows = np.sort(np.argsort(-weights.max(1), kind="stable")[:PROMPT_ROWS])
    extent = (-0.5, frames - 0.5, len(rows) - 0.5, -0.5)
    image = axis.imshow(weights[rows], aspect="auto", cmap="cividis", interpolation="nearest",
                        extent=extent, vmin=0, vmax=max(1e-9, weights.max()))  # fmt: skip
    names = [f"prompt {r // bank}, entry {r % bank}" for r in rows]
    axis.set_yticks(range(len(rows)), names)
    axis.set_xticks(range(frames), [str(i + 1) for i in range(frames)])
    axis.tick_params(labelsize=7.5, length=0)
    axis.set_yticks(np.arange(len(rows) - 1) + 0.5, minor=True)
    axis.grid(which="minor", axis="y", color="white", linewidth=1)
    axis.spines[:].set_visible(False)
    axis.set_xlabel(
        f"frame   (how much each prompt takes of the bank's entries: the {len(rows)} largest of "
        f"{prompts * bank})",
        fontsize=8, color=_MUTED, labelpad=1,
    )  # fmt: skip
    inset = axis.inset_axes((1.01, 0.0, 0.014, 1.0))
    bar = axis.figure.colorbar(image, cax=inset)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, length=2)
    bar.set_label("weight", fontsize=8.5)
