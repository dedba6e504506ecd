"""Pictures of codes: their projections, what leaks from them, and where models look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from whyact.metrics.disentanglement import Leakage
from whyact.report.figures import save_figure
from whyact.report.overlay import blend, frames_of

NAMED = 30
"""Up to this many values, a colouring has a legend."""
MARKERS = "o^sD"
"""Ten colours with one marker, then the same with the next."""
FRAMES = 3
"""Frames of each clip in the picture of attention."""
_GREY = "#c9c9cf"


def _page(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def draw_codes(
    path: Path, points: Mapping[str, Tensor], colourings: Mapping[str, tuple[Tensor, Sequence[str]]]
) -> Path:
    """Projected codes, a row a code, a column a colouring.

    Args:
        path: its suffix picks the format.
        points: (n, 2) by the name of the code.
        colourings: by name (action, scene), the values (n,) and their names; -1 is unknown.
    """
    return save_figure(path, lambda: _codes(points, colourings))


def _codes(
    points: Mapping[str, Tensor], colourings: Mapping[str, tuple[Tensor, Sequence[str]]]
) -> Figure:
    figure = _page(1 + 4.6 * len(colourings), 0.4 + 3.6 * len(points))
    axes = figure.subplots(len(points), len(colourings), squeeze=False)
    for row, (code, xy) in zip(axes, points.items(), strict=True):
        for axis, (name, (values, names)) in zip(row, colourings.items(), strict=True):
            _scatter(axis, xy, values, names)
            axis.set_title(f"{code} code by {name}", size=10)
            axis.set(xticks=[], yticks=[])
    for axis in axes[0]:
        handles, labels = axis.get_legend_handles_labels()
        if labels:
            axis.legend(handles, labels, fontsize=6, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _scatter(axis: Any, xy: Tensor, values: Tensor, names: Sequence[str]) -> None:
    # Unknown ones first, so that they lie below the others.
    for value in (-1, *range(len(names))):
        chosen = xy[values == value]
        if not len(chosen):
            continue
        axis.scatter(
            chosen[:, 0], chosen[:, 1], s=12, linewidths=0, marker=MARKERS[value // 10 % 4],
            color=_GREY if value < 0 else mpl.colormaps["tab10"](value % 10),
            label=("unknown" if value < 0 else names[value]) if len(names) <= NAMED else None,
        )  # fmt: skip


def draw_leakage(path: Path, found: Mapping[str, Leakage]) -> Path:
    """Accuracy of both probes with 95 % intervals, a row a question, beside its floor.

    Args:
        path: its suffix picks the format. found: by question, such as "scene in the action code".
    """
    return save_figure(path, lambda: _leakage(found))


def _leakage(found: Mapping[str, Leakage]) -> Figure:
    figure = _page(7, 0.9 + 0.7 * len(found))
    axis = figure.add_subplot()
    for y, leak in enumerate(found.values()):
        for shift, name, colour in ((-0.15, "linear", "#0072B2"), (0.15, "mlp", "#D55E00")):
            score = getattr(leak, name)
            ends = [[100 * (score.mean - score.low)], [100 * (score.high - score.mean)]]
            axis.errorbar(
                100 * score.mean, y + shift, xerr=ends, fmt="o", color=colour, capsize=2,
                label=f"{name} probe" if y == 0 else None,
            )  # fmt: skip
        axis.plot(
            [100 * leak.floor] * 2, [y - 0.35, y + 0.35], color="#1b1b1f", linestyle=":",
            label="floor" if y == 0 else None,
        )  # fmt: skip
    axis.set_yticks(range(len(found)), list(found))
    axis.set(xlim=(0, 100), ylim=(len(found) - 0.5, -0.5), xlabel="accuracy, %")
    axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    axis.grid(axis="x", color="#d9d8d3", linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def draw_attention(
    path: Path, videos: Sequence[Tensor], heats: Mapping[str, Sequence[Tensor]],
    titles: Sequence[str],
) -> Path:  # fmt: skip
    """Where models look on the same clips: a column a frame, a row a model below the frames.

    Args:
        path: its suffix picks the format. videos: (3, T, H, W) each, RGB in [0, 1].
        heats: (T, H, W) in [0, 1] of every clip, by model. titles: of the clips.
    """
    return save_figure(path, lambda: _attention(videos, heats, titles))


def _attention(
    videos: Sequence[Tensor], heats: Mapping[str, Sequence[Tensor]],
    titles: Sequence[str],
) -> Figure:  # fmt: skip
    figure = _page(1 + 0.8 * FRAMES * len(videos), 0.4 + 0.8 * (1 + len(heats)))
    axes = figure.subplots(1 + len(heats), FRAMES * len(videos), squeeze=False)
    for c, video in enumerate(videos):
        frames = frames_of(video)
        shown = np.linspace(0, len(frames) - 1, FRAMES + 2).round().astype(int)[1:-1]
        rows = [frames, *(blend(frames, heat[c].numpy()) for heat in heats.values())]
        for r, pictures in enumerate(rows):
            for i, t in enumerate(shown):
                axes[r, FRAMES * c + i].imshow(pictures[t])
        axes[0, FRAMES * c].set_title(titles[c], size=7, loc="left")
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    for axis, name in zip(axes[:, 0], ("clip", *heats), strict=True):
        axis.set_ylabel(name, size=7, rotation=0, ha="right", va="center")
    return figure
