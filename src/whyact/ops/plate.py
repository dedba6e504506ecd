"""The clip without what moves: a plate, stitched from all frames, and holes filled in."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from whyact.ops.camera import Camera, camera_motion, chunk_size
from whyact.ops.warp import inside, sample


def background_plate(
    video: Tensor, mask: Tensor | None = None, camera: Camera | None = None
) -> Tensor:
    """What the camera would have seen in every frame without the things that move.

    The frames are aligned, and each point takes the median of the frames that see it; the result is
    mapped back to every frame, with that frame's brightness.

    Args:
        video: (B, 3, T, H, W) float in [0, 1].
        mask: (B, T, H, W) in [0, 1]; pixels above one half are left out of the median, and points
            that no frame shows without them are filled in smoothly from around them.
        camera: from `whyact.ops.camera.camera_motion`; estimated where None.

    Returns:
        (B, 3, T, H, W) float in [0, 1].
    """
    if camera is None and len(video) > (size := chunk_size(video)):
        parts = [slice(i, i + size) for i in range(0, len(video), size)]
        return torch.cat(
            [background_plate(video[p], None if mask is None else mask[p]) for p in parts]
        )
    camera = camera or camera_motion(video)
    b, channels, t, h, w = video.shape
    plate = stitch(video, camera, mask)
    canvas = (plate.shape[-2], plate.shape[-1])
    spread = plate[:, None].expand(b, t, *plate.shape[1:]).flatten(0, 1)
    frames = sample(spread, camera.inverse_grid(canvas, (h, w)))
    frames = (frames / camera.gain.view(-1, 1, 1, 1)).clamp(0, 1)
    return frames.view(b, t, channels, h, w).transpose(1, 2)


def stitch(video: Tensor, camera: Camera, mask: Tensor | None = None) -> Tensor:
    """Median of the aligned frames, (B, 3, height, width), with the middle frame at its centre.

    The canvas is large enough for the widest pan of the batch, at most twice the frame.
    """
    b, channels, t, h, w = video.shape
    frames = video.transpose(1, 2).flatten(0, 1) * camera.gain.reshape(-1, 1, 1, 1)
    reach = camera.shift.abs().amax() + camera.zoom.abs().amax() * max(h, w) / 2
    margin = min(math.ceil(float(reach)), max(h, w) // 2)
    canvas = (h + 2 * margin, w + 2 * margin)
    grid = camera.grid((h, w), canvas)
    seen = inside(grid)[:, None]
    if mask is not None:
        seen = seen & (sample(mask.reshape(b * t, 1, h, w), grid) <= 0.5)
    layers = sample(frames, grid).view(b, t, channels, *canvas)
    plate = _median(layers, seen.view(b, t, 1, *canvas))
    known = plate.isfinite()
    if mask is None:
        # Only corners that no frame shows; they must be finite and are hardly read.
        return torch.where(known, plate, layers[:, t // 2])
    return pull_push(torch.where(known, plate, torch.zeros_like(plate)), known[:, :1])


def _median(layers: Tensor, seen: Tensor) -> Tensor:
    """Median over axis 1 of the seen layers, the upper one of two; infinite where none is seen."""
    # Unseen layers go by turns to either end, so that the middle of the sorted stack stays the
    # median and no index has to be looked up.
    count = layers.shape[1]
    turn = ((~seen).cumsum(1, dtype=torch.int32) + (count + 1) % 2) & 1
    far = (turn.to(layers) - 0.5) * float("inf")
    stack = list(torch.where(seen, layers, far).unbind(1))
    for low, up in _sorting_network(len(stack)):
        stack[low], stack[up] = (
            torch.minimum(stack[low], stack[up]),
            torch.maximum(stack[low], stack[up]),
        )
    return stack[count // 2]


@lru_cache(maxsize=64)
def _sorting_network(size: int) -> tuple[tuple[int, int], ...]:
    """Compare-and-swap pairs that sort ``size`` values (Batcher's odd-even merge sort)."""
    pairs = []
    p = 1
    while p < size:
        k = p
        while k >= 1:
            for j in range(k % p, size - k, 2 * k):
                for i in range(j, min(j + k, size - k)):
                    if i // (2 * p) == (i + k) // (2 * p):
                        pairs.append((i, i + k))
            k //= 2
        p *= 2
    return tuple(pairs)


def pull_push(images: Tensor, known: Tensor) -> Tensor:
    """Fill unknown pixels smoothly from the known ones around them.

    Source: the pull-push pyramid of Gortler et al., The Lumigraph (SIGGRAPH 1996), section 3.4,
    with box filters.

    Args:
        images: (n, c, h, w); unknown pixels must be finite.
        known: (n, 1, h, w) bool.
    """
    if bool(known.all()) or min(images.shape[-2:]) < 2:
        return images
    weight = known.to(images)
    share = F.avg_pool2d(weight, 2, ceil_mode=True, count_include_pad=False)
    coarse = F.avg_pool2d(images * weight, 2, ceil_mode=True, count_include_pad=False)
    coarse = coarse / share.clamp_min(1e-6)
    coarse = pull_push(coarse, share > 0)
    height, width = images.shape[-2:]
    fine = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
    return torch.where(known, images, fine[..., :height, :width])
