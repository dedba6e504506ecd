"""A planted shortcut: a coloured square in a corner that gives the action away, or does not.

A model that is trained where the square tells the action must fail an audit of its explanations,
and its twin, trained where the colours are drawn at random, must pass it.
"""

from __future__ import annotations

import colorsys

import numpy as np
import torch
from torch import Tensor

from whyact.data.backdrop.actions import ACTIONS
from whyact.types import WhyactError

WATERMARKS = ("none", "class", "random")
SHARE = 8
"""The square's side is this part of the frame's."""


def check_watermark(kind: str) -> None:
    """Raise `WhyactError` for a kind that does not exist."""
    if kind not in WATERMARKS:
        raise WhyactError(
            f"There is no watermark '{kind}'; data.backdrop.watermark is one of {list(WATERMARKS)}."
        )


def watermark_box(size: int) -> tuple[slice, slice]:
    """Rows and columns of the square in frames of ``size`` pixels: the upper left corner."""
    side = max(2, size // SHARE)
    return slice(0, side), slice(0, side)


def watermark_mask(shape: tuple[int, int, int]) -> Tensor:
    """(T, H, W) bool, true on the square; shape: (T, H, W)."""
    mask = torch.zeros(shape, dtype=torch.bool)
    rows, columns = watermark_box(shape[-1])
    mask[:, rows, columns] = True
    return mask


def stamp(video: Tensor, code: int) -> Tensor:
    """A copy of a clip with the square of an action.

    Args:
        video: (3, T, H, W) uint8. code: action index, whose hue the square has.
    """
    rgb = colorsys.hsv_to_rgb(code / len(ACTIONS), 0.9, 0.95)
    rows, columns = watermark_box(video.shape[-1])
    made = video.clone()
    color = torch.tensor([round(255 * c) for c in rgb], dtype=video.dtype)
    made[:, :, rows, columns] = color.view(3, 1, 1, 1)
    return made


def watermark_code(kind: str, *, label: int, index: int) -> int:
    """Which action's square a clip gets: its own (``class``), or one drawn from its index."""
    if kind == "class":
        return label
    return int(np.random.default_rng([index, 7919]).integers(len(ACTIONS)))
