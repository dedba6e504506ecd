"""Pictures for papers: the strip, the timeline, the graph and the ablation, as PDF or SVG."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from whyact.report.overlay import display_size, frames_of, region_color, strongest_regions
from whyact.report.schema import read_explanation, read_video
from whyact.report.sheet import LEFT, MAX_FRAMES, STYLE, draw_pictures, draw_timeline
from whyact.types import Explanation, WhyactError

_INK, _MUTED, _GRID = "#1b1b1f", "#66666f", "#d9d8d3"
_SAVE: Any = {"pdf.fonttype": 42, "svg.hashsalt": "whyact"}
"""Fonts that journals accept, and the same bytes for the same figure."""
_UNDATED: Mapping[str, Any] = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}


def write_figure(path: str | Path, kind: str, values: Mapping[str, Any]) -> Path:
    """Write a figure; its suffix (``.pdf``, ``.svg`` or ``.png``) picks the format.

    Args:
        path: of the file. kind: of `KINDS`.
        values: JSON of an explanation with ``media``, or of ``ablate`` for ``ablation``.

    Raises:
        WhyactError: another kind or suffix, or values that lack what the figure shows.
    """
    path = Path(path)
    if kind not in KINDS:
        raise WhyactError(f"There is no figure '{kind}'; choose one of {', '.join(KINDS)}.")
    return save_figure(path, lambda: KINDS[kind](values))


def save_figure(path: Path, draw: Callable[[], Figure]) -> Path:
    """Write what ``draw`` makes, in the style of all figures.

    Args:
        path: of the file; its suffix (``.pdf``, ``.svg`` or ``.png``) picks the format.
        draw: makes the figure.

    Raises:
        WhyactError: another suffix.
    """
    if path.suffix not in (".pdf", ".svg", ".png"):
        raise WhyactError(f"{path}: expected a name that ends in .pdf, .svg or .png.")
    with mpl.rc_context({**STYLE, **_SAVE}):
        figure = draw()
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata=_UNDATED.get(path.suffix), bbox_inches="tight", dpi=200)
    return path


def _blank(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def _strip(values: Mapping[str, Any]) -> Figure:
    """Frames, heat and regions in rows."""
    e, small = read_explanation(values), frames_of(read_video(values))
    shown = np.linspace(0, len(small) - 1, min(MAX_FRAMES, len(small))).round().astype(int)
    regions = strongest_regions(e)
    size = display_size(small, 224)
    frame = max(0.8, 8.0 / max(6, len(shown)))
    row = frame * size[0] / size[1]
    rows = 3 if regions else 2
    wide, tall = LEFT + frame * len(shown) + 0.8, rows * (row + 0.04) + 0.25
    figure = _blank(wide, tall)

    def place(x: float, width: float, name: str) -> Any:
        top = tall - 0.25 - int(name.removeprefix("row")) * (row + 0.04)
        return figure.add_axes((x / wide, (top - row) / tall, width / wide, row / tall))

    draw_pictures(place, small, e, shown, regions, size, frame, values["times"], values["class"])
    right = (LEFT + frame * len(shown) + 0.1) / wide
    for i, k in enumerate(regions):
        y = (tall - 0.4 - 2 * (row + 0.04) - 0.17 * i) / tall
        figure.text(right, y, "■", color=region_color(k), size=9, va="center")
        figure.text(right + 0.16 / wide, y, f"region {k}", size=8, va="center")
    return figure


def _timeline(values: Mapping[str, Any]) -> Figure:
    """What regions contribute over time."""
    e = read_explanation(values)
    if not len(e.frame_evidence):
        raise WhyactError(f"'{values['method']}' explanations have no evidence over time.")
    figure = _blank(7.0, 2.0)
    axis = figure.add_axes((0.1, 0.2, 0.74, 0.75))
    draw_timeline(axis, e, strongest_regions(e), values["heat_shape"][0])
    return figure


def _graph(values: Mapping[str, Any]) -> Figure:
    """Regions over time as circles, the strongest reasoning path as arrows."""
    e = read_explanation(values)
    if not e.path:
        raise WhyactError(f"The explanation of {values['source']} has no reasoning path.")
    steps, regions = e.contributions.shape
    ends = [node for step in e.path for node in (step.source, step.target)]
    rows = [i for i in sorted({i for _, i in ends}) if i >= regions]
    rows += dict.fromkeys([*strongest_regions(e), *sorted({i for _, i in ends if i < regions})])
    figure = _blank(max(5.0, 0.55 * steps + 1.2), 0.42 * len(rows) + 0.5)
    axis = figure.add_axes((0.14, 0.12, 0.84, 0.86))
    largest = float(e.contributions.abs().max().clamp_min(1e-9))
    for y, i in enumerate(rows):
        axis.plot([0, steps - 1], [y, y], color=_GRID, zorder=1)
        for t in range(steps):
            _draw_node(axis, e, (t, i), y, largest, (t, i) in ends)
    _draw_path(axis, e, rows)
    names = [f"region {i}" if i < regions else f"prompt {i - regions}" for i in rows]
    axis.set_yticks(range(len(rows)), names)
    axis.set_xticks(range(steps), [str(t + 1) for t in range(steps)])
    axis.set(xlim=(-0.6, steps - 0.4), ylim=(len(rows) - 0.4, -0.6), xlabel="time step")
    axis.tick_params(length=0, labelsize=8)
    axis.spines[:].set_visible(False)
    return figure


def _draw_node(
    axis: Any, e: Explanation, node: tuple[int, int], y: int, largest: float, on: bool
) -> None:
    """A circle as large as the region's contribution, hollow where negative; a diamond a prompt."""
    t, i = node
    line = 2.0 if on else 0.7
    if i >= e.contributions.shape[1]:
        if on:
            axis.plot(t, y, "D", color="white", markeredgecolor=_INK, mew=line, zorder=3)
        return
    value = float(e.contributions[t, i])
    size = max(5.0 if on else 2.0, 15 * (abs(value) / largest) ** 0.5)
    face = region_color(i) if value >= 0 else "white"
    axis.plot(t, y, "o", markersize=size, color=face, markeredgecolor=_INK, markeredgewidth=line,
              zorder=3)  # fmt: skip


def _draw_path(axis: Any, e: Explanation, rows: list[int]) -> None:
    for step in e.path:
        (t, i), (s, k) = step.source, step.target
        ends = (t, rows.index(i)), (s, rows.index(k))
        axis.add_patch(FancyArrowPatch(
            *ends, connectionstyle="arc3,rad=0.15", arrowstyle="-|>", mutation_scale=13,
            linewidth=1 + 2 * step.gate, color=_INK, shrinkA=5, shrinkB=7, zorder=4,
        ))  # fmt: skip
        middle = np.mean(ends, 0)
        axis.text(*middle, f"{step.gate:.2f}", size=7.5, ha="center", va="center", zorder=5,
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.2})  # fmt: skip


def _ablation(values: Mapping[str, Any]) -> Figure:
    """Means over seeds with their 95 % intervals, a row a variant, a panel a split."""
    summary = values.get("summary")
    if not summary or any("low" not in cell for row in summary.values() for cell in row.values()):
        raise WhyactError(
            "Expected the table.json of an ablation, with a 'summary' and its intervals; 'whyact "
            "ablate' writes it anew from finished runs."
        )
    names = list(summary)
    splits = list(dict.fromkeys(split for cells in summary.values() for split in cells))
    columns = min(len(splits), 4)
    lines = -(-len(splits) // columns)
    figure = _blank(1.6 + 2.4 * columns, lines * (0.3 * len(names) + 0.8))
    axes = figure.subplots(lines, columns, sharey=True, squeeze=False)
    for axis in axes.flat[len(splits) :]:
        axis.axis("off")
    for axis, split in zip(axes.flat, splits, strict=False):
        for y, name in enumerate(names):
            cell = summary[name].get(split) or {"mean": None}
            if cell["mean"] is None:
                axis.text(0.5, y, "–", ha="center", va="center", color=_MUTED)
                continue
            mean, low, high = (100 * cell[key] for key in ("mean", "low", "high"))
            axis.plot([low, high], [y, y], color="#0072B2", linewidth=1.5, clip_on=False)
            axis.plot(mean, y, "o", color="#0072B2", markersize=5, clip_on=False)
            spread = "" if cell["std"] is None else f" ± {100 * cell['std']:.1f}"
            text = f"{mean:.1f}{spread}"
            axis.annotate(text, (1.06, y), xycoords=("axes fraction", "data"), size=8, va="center")
        axis.set(title=split, xlim=(0, 100), ylim=(len(names) - 0.5, -0.5))
        axis.set_title(split, size=10)
        axis.set_yticks(range(len(names)), names)
        axis.tick_params(labelsize=8, length=0)
        axis.grid(axis="x", color=_GRID, linewidth=0.6)
        axis.spines[:].set_visible(False)
    axes[-1, 0].set_xlabel("%", size=8, color=_MUTED)
    # Numbers stand to the right of a panel; ticks and the next title take half an inch below it.
    figure.subplots_adjust(wspace=0.85, hspace=max(0.35, 0.5 / (0.3 * len(names))))
    return figure


KINDS: Mapping[str, Callable[[Mapping[str, Any]], Figure]] = {
    "strip": _strip, "timeline": _timeline, "graph": _graph, "ablation": _ablation,
}  # fmt: skip
