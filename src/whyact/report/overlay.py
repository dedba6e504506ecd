"""Pictures of an explanation: overlay frames and a contact sheet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional as F

from whyact.types import Explanation

REGION_COLORS = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#FFFFFF",
)  # fmt: skip
"""Okabe and Ito's colour-blind-safe colours; region k has colour k modulo 8."""
HEAT = "inferno"
DRAWN_REGIONS = 4


def _rgb(color: str) -> tuple[int, int, int]:
    r, g, b = (round(255 * c) for c in mpl.colors.to_rgb(color))
    return r, g, b


def scaled_heat(heat: Tensor) -> NDArray[np.float64]:
    """Heat (T, H, W) in [0, 1]: over the 99.5th percentile of the clip, 0 for an empty map."""
    values = heat.double().numpy()
    top = float(np.quantile(values, 0.995))
    return np.clip(values / top, 0, 1) if top > 0 else np.zeros_like(values)


def frames_of(video: Tensor) -> NDArray[np.uint8]:
    """(T, H, W, 3) uint8 from (3, T, H, W), uint8 or float in [0, 1]."""
    if video.is_floating_point():
        video = (video * 255).round()
    return video.byte().permute(1, 2, 3, 0).cpu().numpy()


def blend(frames: NDArray[np.uint8], heat: NDArray[np.float64], opacity: float = 0.65) -> Any:
    """Frames (T, H, W, 3) with a heat map (T, H, W) in [0, 1] on top, more opaque where hotter."""
    colors = mpl.colormaps[HEAT](heat)[..., :3] * 255
    alpha = (opacity * heat**0.7)[..., None]
    return (frames * (1 - alpha) + colors * alpha).astype(np.uint8)


def strongest_regions(explanation: Explanation, count: int = DRAWN_REGIONS) -> list[int]:
    """The regions that contribute most over the clip, strongest first."""
    if not explanation.assignment.numel():
        return []
    totals = explanation.contributions.sum(0)
    order = totals.argsort(descending=True).tolist()
    return [k for k in order if totals[k] > 0][:count]


def outline_masks(explanation: Explanation, size: Sequence[int]) -> NDArray[np.bool_]:
    """Where each region holds more than half of a pixel or most of it, (K, T, H, W)."""
    weights = explanation.assignment.permute(1, 0, 2, 3).unsqueeze(0)
    smooth = F.interpolate(weights, size=list(size), mode="trilinear")[0]
    owner = smooth.argmax(0)
    return np.stack([(owner == k).numpy() for k in range(len(smooth))])


def draw_outlines(
    image: Image.Image, masks: NDArray[np.bool_], regions: Sequence[int], width: int
) -> None:
    """Draw the borders of regions (K, H, W) of one frame onto an image of the masks' scale."""
    pixels = np.array(image)
    side = image.width / masks.shape[-1]
    for k in regions:
        big = np.asarray(
            Image.fromarray(masks[k]).resize(image.size, Image.Resampling.NEAREST), dtype=bool
        )
        inner = big.copy()
        for _ in range(max(width, round(side))):
            shrunk = inner.copy()
            shrunk[1:] &= inner[:-1]
            shrunk[:-1] &= inner[1:]
            shrunk[:, 1:] &= inner[:, :-1]
            shrunk[:, :-1] &= inner[:, 1:]
            inner = shrunk
        pixels[big & ~inner] = _rgb(REGION_COLORS[k % len(REGION_COLORS)])
    image.paste(Image.fromarray(pixels))


def overlay_frames(
    video: Tensor, explanation: Explanation, name: str, *, side: int = 448
) -> NDArray[np.uint8]:
    """Frames for the overlay video, (T, side + bar, 2 * side, 3): the clip beside its explanation.

    Args:
        video: (3, T, H, W). explanation: of that clip. name: of the explained class.
        side: height of a frame in the result.
    """
    frames = frames_of(video)
    heated = blend(frames, scaled_heat(explanation.heat))
    masks = outline_masks(explanation, explanation.heat.shape) if explanation.path else None
    regions = strongest_regions(explanation)
    width = round(side * frames.shape[2] / frames.shape[1] / 2) * 2
    bar = 56
    pages = []
    for t in range(len(frames)):
        page = Image.new("RGB", (2 * width, side + bar), "#111111")
        page.paste(Image.fromarray(frames[t]).resize((width, side), Image.Resampling.LANCZOS))
        right = Image.fromarray(heated[t]).resize((width, side), Image.Resampling.BICUBIC)
        if masks is not None:
            draw_outlines(right, masks[:, t], regions, 2)
        page.paste(right, (width, 0))
        _evidence_bar(page, explanation, name, t, len(frames), side, bar)
        pages.append(np.asarray(page))
    return np.stack(pages)


def _evidence_bar(
    page: Image.Image, explanation: Explanation, name: str, t: int, frames: int, top: int, bar: int
) -> None:
    draw = ImageDraw.Draw(page)
    draw.text((10, top + 6), f"{name}   logit {explanation.score:+.2f}", fill="white", font_size=16)
    evidence = explanation.frame_evidence
    if not len(evidence):
        return
    low, high = min(0.0, float(evidence.min())), max(1e-6, float(evidence.max()))
    step = page.width / frames
    base, height = top + bar - 4, bar - 32
    zero = base - height * (0 - low) / (high - low)
    for i in range(frames):
        value = float(evidence[i * len(evidence) // frames])
        end = base - height * (value - low) / (high - low)
        color = "#E69F00" if i == t else "#777777"
        draw.rectangle(
            (i * step + 1, min(zero, end), (i + 1) * step - 1, max(zero, end) + 1), color
        )


def contact_sheet(
    path: str | Path, video: Tensor, explanation: Explanation, *, name: str, source: str,
    predicted: Sequence[tuple[str, float]] = (),
) -> None:  # fmt: skip
    """Write one picture of an explanation (PNG, PDF or SVG by the name's ending).

    Rows: frames; heat; regions with identity colours; evidence per frame; prompts over time.

    Args:
        video: (3, T, H, W). name: of the explained class. source: shown in the title.
        predicted: (class, probability) pairs to list.
    """
    frames = frames_of(video)
    shown = np.linspace(0, len(frames) - 1, min(8, len(frames))).round().astype(int)
    heat = scaled_heat(explanation.heat)
    has_prompts = explanation.prompt_weights.numel() > 0
    heights = [1, 1, 1, 0.75, *([0.6] if has_prompts else [])]
    figure = Figure(figsize=(1.75 * len(shown), 1.75 * sum(heights) + 0.9), dpi=110)
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        len(heights), len(shown), height_ratios=heights, hspace=0.12, wspace=0.04,
        left=0.075, right=0.985, bottom=0.06, top=1 - 0.62 / figure.get_figheight(),
    )  # fmt: skip
    regions = strongest_regions(explanation)
    masks = outline_masks(explanation, explanation.heat.shape) if regions else None
    heated = blend(frames, heat)
    for column, t in enumerate(shown):
        rows = [frames[t], heated[t], _region_view(frames[t], masks, regions, int(t))]
        for row, picture in enumerate(rows):
            axis = figure.add_subplot(grid[row, column])
            axis.imshow(picture)
            axis.set_xticks([])
            axis.set_yticks([])
            if row == 0:
                axis.set_title(f"frame {t}", fontsize=8)
            if column == 0:
                axis.set_ylabel(("clip", "evidence for", "regions")[row]
                                + (f"\n{name}" if row == 1 else ""), fontsize=9)  # fmt: skip
    _timeline(figure.add_subplot(grid[3, :]), explanation, regions, len(frames))
    if has_prompts:
        _prompts(figure.add_subplot(grid[4, :]), explanation)
    figure.suptitle(_title(explanation, name, source, predicted), fontsize=10, x=0.075, ha="left")
    figure.savefig(path)


def _title(e: Explanation, name: str, source: str, predicted: Sequence[tuple[str, float]]) -> str:
    best = ", ".join(f"{n} {p:.0%}" for n, p in predicted[:3])
    share = "not measured" if e.action_share is None else f"{e.action_share:.0%}"
    first = f"{source}: why “{name}” (logit {e.score:+.2f})"
    return f"{first}\npredicted {best}; share of the drop that is the actor's: {share}"


def _region_view(
    frame: NDArray[np.uint8], masks: NDArray[np.bool_] | None, regions: Sequence[int], t: int
) -> NDArray[np.uint8]:
    scale = max(1, 224 // frame.shape[0])
    dim = Image.fromarray((frame * 0.75).astype(np.uint8))
    image = dim.resize((frame.shape[1] * scale, frame.shape[0] * scale), Image.Resampling.LANCZOS)
    if masks is not None:
        draw_outlines(image, masks[:, t], regions, 3)
    return np.asarray(image)


def _timeline(axis: Any, e: Explanation, regions: Sequence[int], frames: int) -> None:
    steps = len(e.frame_evidence)
    where = (np.arange(steps) + 0.5) * frames / max(1, steps) - 0.5
    rest = e.contributions.sum(1).numpy() if e.contributions.numel() else np.zeros(steps)
    bottom = np.zeros(steps)
    for k in regions:
        part = e.contributions[:, k].clamp_min(0).numpy()
        color = REGION_COLORS[k % len(REGION_COLORS)]
        axis.bar(where, part, 0.85 * frames / max(1, steps), bottom=bottom, color=color,
                 edgecolor="#444444", linewidth=0.4, label=f"region {k}")  # fmt: skip
        bottom += part
    if steps:
        axis.plot(where, rest, color="black", marker="o", markersize=3, linewidth=1, label="all")
    axis.axhline(0, color="#888888", linewidth=0.6)
    axis.set_xlim(-0.5, frames - 0.5)
    axis.set_ylabel("contribution", fontsize=8)
    axis.tick_params(labelsize=7)
    if steps:
        axis.legend(fontsize=7, loc="upper right", ncols=6, framealpha=0.8)


def _prompts(axis: Any, e: Explanation) -> None:
    weights = e.prompt_weights.flatten(1).T.numpy()
    axis.imshow(weights, aspect="auto", cmap="cividis", interpolation="nearest")
    axis.set_ylabel("prompts x bank", fontsize=8)
    axis.set_xlabel("time step", fontsize=8)
    axis.set_yticks([])
    axis.tick_params(labelsize=7)
