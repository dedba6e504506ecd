"""Clips that show no action: one frame, repeated."""

from __future__ import annotations

import torch
from torch import Tensor

from whyact.ops.warp import sample, similarity_grid


def static_clip(video: Tensor, frame: Tensor, pan: Tensor | None = None) -> Tensor:
    """Tile one frame of each clip over time, with an optional simulated camera pan.

    Source: SCUFO (Li et al., ICCV 2023) and the static branch of ALBAR (ICLR 2025). The pan is an
    addition: without it a model can tell these clips by their stillness alone.

    Args:
        video: (B, 3, T, H, W).
        frame: (B,) int64, frame to repeat.
        pan: (B, 2) as (x, y), pixels that the content moves a frame; the frame itself is shown at
            the middle of the clip, and its mirror image continues it beyond its border.

    Returns:
        (B, 3, T, H, W).
    """
    b, channels, length, height, width = video.shape
    still = video[torch.arange(b, device=video.device), :, frame.to(video.device)]
    tiled = still[:, :, None].expand(b, channels, length, height, width)
    if pan is None or not bool(pan.any()):
        return tiled.clone()
    time = torch.arange(length, device=video.device, dtype=video.dtype) - (length - 1) / 2
    shift = -(pan.to(video)[:, None] * time[:, None]).reshape(-1, 2)
    size = (height, width)
    grid = similarity_grid(shift, shift.new_zeros(len(shift)), size, size)
    images = tiled.transpose(1, 2).reshape(b * length, channels, height, width)
    moved = sample(images, grid, padding="reflection")
    return moved.view(b, length, channels, height, width).transpose(1, 2)
