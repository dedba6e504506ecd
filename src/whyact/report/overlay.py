"""Heat and region outlines drawn over frames, and the overlay video made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.font_manager import findfont
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional as F

from whyact.ops.warp import erode
from whyact.types import Explanation

REGION_COLORS = (
    "#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#D55E00", "#0072B2", "#FFFFFF",
)  # fmt: skip
"""Okabe and Ito's colour-blind-safe colours; region k has colour k modulo 8."""
HEAT = "inferno"
"""Perceptually uniform, and readable with any colour vision and in grey."""
DRAWN_REGIONS = 4
MAX_REGIONS = 32
"""With more regions they are single cells, whose outlines would say no more than the heat."""
_DARK, _LIGHT, _GREY, _NOW = "#15151a", "#f5f5f5", "#6b6b76", "#E69F00"

Pixels = NDArray[np.uint8]


def region_color(region: int) -> str:
    """The colour of a region, the same in every picture."""
    return REGION_COLORS[region % len(REGION_COLORS)]


def frames_of(video: Tensor) -> Pixels:
    """(T, H, W, 3) uint8 from (3, T, H, W), uint8 or float in [0, 1]."""
    if video.is_floating_point():
        video = (video * 255).round()
    frames: Pixels = video.byte().permute(1, 2, 3, 0).cpu().numpy()
    return frames


def enlarged(frames: Pixels, size: tuple[int, int]) -> Pixels:
    """Frames (T, H, W, 3) resized to (height, width)."""
    height, width = size
    images = (Image.fromarray(f).resize((width, height), Image.Resampling.LANCZOS) for f in frames)
    return np.stack([np.asarray(image) for image in images])


def display_size(frames: Pixels, side: int) -> tuple[int, int]:
    """(height, width) with the frames' shape and a height of ``side``; both are even."""
    height, width = frames.shape[1:3]
    return side // 2 * 2, max(2, round(side * width / height / 2) * 2)


def scaled_heat(heat: Tensor, size: tuple[int, int]) -> NDArray[np.float32]:
    """Heat (T, H, W) at (height, width), in [0, 1] of the clip's 99.5th percentile; 0 if empty."""
    values = heat.float()
    top = float(np.quantile(values.numpy(), 0.995)) or float(values.max())
    values = (values / top).clamp(0, 1) if top > 0 else torch.zeros_like(values)
    large: NDArray[np.float32] = F.interpolate(values[:, None], size, mode="bilinear")[:, 0].numpy()
    return large


def blend(frames: Pixels, heat: NDArray[np.float32], opacity: float = 0.75) -> Pixels:
    """Frames (T, H, W, 3) with heat (T, H, W) in [0, 1] on top, more opaque where hotter.

    The frames lose most of their colour, so that what is coloured is heat.
    """
    grey = frames @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    base = 0.25 * frames + 0.6 * grey[..., None]
    colors = mpl.colormaps[HEAT](0.1 + 0.9 * heat)[..., :3] * 255
    alpha = (opacity * heat**0.7)[..., None]
    mixed: Pixels = (base * (1 - alpha) + colors * alpha).clip(0, 255).astype(np.uint8)
    return mixed


def strongest_regions(explanation: Explanation, count: int = DRAWN_REGIONS) -> list[int]:
    """The regions that contribute most over the clip, strongest first.

    Those below 2 % of the strongest are left out; there are none where a clip has one region a
    frame, or one for every cell.
    """
    regions = explanation.assignment.shape[1]
    if not 1 < regions <= MAX_REGIONS:
        return []
    totals = explanation.contributions.sum(0)
    least = 0.02 * float(totals.max().clamp_min(0))
    order = totals.argsort(descending=True).tolist()
    return [k for k in order if totals[k] > least][:count]


def region_margins(
    explanation: Explanation, regions: Sequence[int], frames: int, size: tuple[int, int]
) -> Tensor:
    """By how much each region leads all others, (len(regions), T, height, width); above 0 inside.

    Args:
        explanation: with an assignment. regions: to look at.
        frames: T. size: (height, width).
    """
    weights = explanation.assignment.permute(1, 0, 2, 3)[None].float()
    large = F.interpolate(weights, (frames, *size), mode="trilinear")[0]
    best = large.topk(2, dim=0).values
    leads = [
        torch.where(large[k] == best[0], best[0] - best[1], large[k] - best[0]) for k in regions
    ]
    return torch.stack(leads) if leads else large[:0]


def draw_outlines(page: Pixels, margins: Tensor, regions: Sequence[int], width: int = 4) -> None:
    """Draw the borders of regions onto one frame (H, W, 3), in place.

    Args:
        page: to draw on. margins: (len(regions), H, W). regions: their numbers, strongest first.
        width: of the lines in pixels.
    """
    for margin, k in reversed(list(zip(margins, regions, strict=True))):
        inside = (margin > 0).float()
        dark = (inside > 0) & (erode(inside, width + 2) == 0)
        line = (inside > 0) & (erode(inside, width) == 0)
        page[dark.numpy()] //= 3
        page[line.numpy()] = [round(255 * c) for c in mpl.colors.to_rgb(region_color(k))]


def overlay_frames(
    video: Tensor, explanation: Explanation, name: str, *, probability: float | None = None,
    side: int = 448,
) -> Pixels:  # fmt: skip
    """Frames of the overlay video: the clip, beside it the evidence, below it the evidence by time.

    Args:
        video: (3, T, H, W). explanation: of that clip. name: of the explained class.
        probability: of that class. side: height of a frame in the result.

    Returns:
        (T, side + 120, 2 * width, 3) uint8.
    """
    small = frames_of(video)
    size = display_size(small, side)
    frames = enlarged(small, size)
    heated = blend(frames, scaled_heat(explanation.heat, size))
    regions = strongest_regions(explanation)
    if regions:
        margins = region_margins(explanation, regions, len(frames), size)
        for t in range(len(frames)):
            draw_outlines(heated[t], margins[:, t], regions)
    pages = np.concatenate([frames, heated], axis=2)
    bars = [
        _caption(explanation, name, probability, regions, t, len(frames), pages.shape[2])
        for t in range(len(frames))
    ]
    return np.concatenate([pages, np.stack(bars)], axis=1)


def shortened(text: str, room: float, length: Callable[[str], float]) -> str:
    """A text, cut where it is too long; ``length`` measures a text in the unit of ``room``."""
    if length(text) <= room:
        return text
    while text and length(f"{text}…") > room:
        text = text[:-1]
    return f"{text.rstrip()}…"


@lru_cache(maxsize=4)
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(findfont("DejaVu Sans"), size)


def _caption(
    e: Explanation, name: str, probability: float | None, regions: Sequence[int], t: int,
    frames: int, width: int, height: int = 120,
) -> Pixels:  # fmt: skip
    page = Image.new("RGB", (width, height), _DARK)
    draw = ImageDraw.Draw(page)
    chance = "" if probability is None else f" {probability:.0%}"
    share = "" if e.action_share is None else f"   actor's share {e.action_share:.0%}"
    note = f"logit {e.score:+.2f}{share}   frame {t + 1} of {frames}"
    draw.text((width - 12, 12), note, "#b8b8c0", _font(14), anchor="ra")
    large = _font(22)
    room = width - 48 - _font(14).getlength(note) - large.getlength(chance)
    draw.text((12, 6), shortened(name, room, large.getlength) + chance, _LIGHT, large)
    x = 12.0
    for k in regions:
        draw.rectangle((x, 40, x + 11, 51), region_color(k))
        draw.text((x + 16, 38), f"region {k}", "#b8b8c0", _font(12))
        x += 88
    _evidence_bars(draw, e.frame_evidence, t, frames, (12, 58, width - 12, height - 8))
    return np.asarray(page)


def _evidence_bars(
    draw: ImageDraw.ImageDraw, evidence: Tensor, now: int, frames: int,
    box: tuple[int, int, int, int],
) -> None:  # fmt: skip
    """One bar a frame from the zero line up or down, the present one coloured."""
    if not len(evidence):
        return
    left, top, right, bottom = box
    low, high = min(0.0, float(evidence.min())), max(0.0, float(evidence.max()))
    unit = (bottom - top) / max(high - low, 1e-9)
    zero = top + high * unit
    step = (right - left) / frames
    for i in range(frames):
        end = zero - float(evidence[i * len(evidence) // frames]) * unit
        corners = (left + i * step + 1, min(zero, end), left + (i + 1) * step - 2, max(zero, end))
        draw.rectangle(corners, _NOW if i == now else _GREY)
    draw.line((left, zero, right, zero), "#9a9aa4")
