"""Clips that show no action, or none for a while: one frame, repeated."""

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
        pan: (B, 2) as (x, y), pixels that the content moves a frame, rounded to whole ones; the
            frame itself is shown at the middle of the clip, and its mirror image continues it
            beyond its border.

    Returns:
        (B, 3, T, H, W).
    """
    start = torch.zeros_like(frame)
    return paused_clip(video, frame, start, start + video.shape[2], pan)[0]


def paused_clip(
    video: Tensor, frame: Tensor, start: Tensor, stop: Tensor, pan: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Hold one frame of each clip from ``start`` to ``stop``, and play the clip around it.

    The clip plays up to the held frame before the pause and on from it afterwards; where it has no
    more frames its first or last one is held too.

    Args:
        video: (B, 3, T, H, W).
        frame: (B,) int64, frame to hold. start, stop: (B,) int64, from where to where.
        pan: (B, 2), see `static_clip`; during the pause only, around its middle.

    Returns:
        The clips (B, 3, T, H, W); and (B, T) bool, where time stands still: the frames before and
        after are the same.
    """
    b, _, length, height, width = video.shape
    frame, start, stop = (x.to(video.device)[:, None] for x in (frame, start, stop))
    time = torch.arange(length, device=video.device)[None]
    played = frame + (time - start).clamp_max(0) + (time - stop + 1).clamp_min(0)
    shown = played.clamp(0, length - 1)
    row = torch.arange(b, device=video.device)[:, None]
    images = video.transpose(1, 2)[row, shown]
    same = torch.ones_like(shown[:, :1], dtype=torch.bool)
    same = torch.cat([same, shown[:, 1:] == shown[:, :-1], same], 1)
    still = same[:, 1:] & same[:, :-1]
    if pan is not None and bool(pan.any()):
        moved = torch.minimum((time - start).clamp_min(0), stop - 1 - start)
        # Whole pixels: interpolation would blur these clips, and a model would know them by that.
        shift = (-pan.to(video)[:, None] * (moved - (stop - 1 - start) / 2)[..., None]).round()
        shift, size = shift.flatten(0, 1), (height, width)
        grid = similarity_grid(shift, shift.new_zeros(len(shift)), size, size)
        images = sample(images.flatten(0, 1), grid, padding="reflection").unflatten(0, (b, length))
    return images.transpose(1, 2), still
