"""Dense optical flow between frames, without weights: iterated Lucas-Kanade on a pyramid."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from whyact.ops.warp import box_mean, inside, sample

_SMALLEST = 16
"""Short side in pixels below which no further level of the pyramid is made."""


def optical_flow(first: Tensor, second: Tensor, *, radius: int = 3, rounds: int = 3) -> Tensor:
    """Where every pixel of ``first`` lies in ``second``.

    Lucas and Kanade (IJCAI 1981) with a square window, on a pyramid (Bouguet, 2000), all pixels at
    once. Deviations: a ridge keeps the flow at zero where the window has no texture, steps are at
    most one pixel a round, and the field is smoothed by the window between levels. Motion larger
    than about a quarter of the short side, and thin limbs before a textured scene, are beyond it.

    Args:
        first, second: (n, 3, H, W), RGB in [0, 1].
        radius: of the window in pixels. rounds: on each level.

    Returns:
        (n, 2, H, W) as (x, y) in pixels: ``first[p]`` looks like ``second[p + flow[p]]``.
    """
    pyramid = [(first, second)]
    while min(pyramid[-1][0].shape[-2:]) >= 2 * _SMALLEST:
        a, b = pyramid[-1]
        pyramid.append((F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)))
    flow = first.new_zeros(len(first), 2, *pyramid[-1][0].shape[-2:])
    for a, b in reversed(pyramid):
        size = a.shape[-2:]
        if flow.shape[-2:] != size:
            flow = 2 * F.interpolate(flow, size, mode="bilinear", align_corners=False)
        for _ in range(rounds):
            flow = flow + _step(a, b, flow, radius)
        flow = box_mean(flow, 1)
    return flow


def warp(images: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """``images[p + flow[p]]``, and where that lies inside the image.

    Args:
        images: (n, c, H, W). flow: (n, 2, H, W), as from `optical_flow`.

    Returns:
        (n, c, H, W), and (n, H, W) bool.
    """
    grid = _grid(flow)
    return sample(images, grid), inside(grid)


def _grid(flow: Tensor) -> Tensor:
    h, w = flow.shape[-2:]
    x = torch.arange(w, device=flow.device, dtype=flow.dtype) + flow[:, 0]
    y = torch.arange(h, device=flow.device, dtype=flow.dtype)[:, None] + flow[:, 1]
    return torch.stack([(2 * x + 1) / w - 1, (2 * y + 1) / h - 1], -1)


def _step(first: Tensor, second: Tensor, flow: Tensor, radius: int) -> Tensor:
    """One Gauss-Newton step (n, 2, H, W), at most a pixel long in each direction."""
    moved = warp(second, flow)[0]
    padded = F.pad((first + moved) / 2, (1, 1, 1, 1), mode="replicate")
    along_x = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    along_y = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    rest = first - moved
    terms = (along_x**2, along_y**2, along_x * along_y, along_x * rest, along_y * rest)
    sums = box_mean(torch.stack([t.sum(1) for t in terms], 1), radius)
    xx, yy, xy, xr, yr = sums.unbind(1)
    ridge = 1e-4
    xx, yy = xx + ridge, yy + ridge
    determinant = xx * yy - xy * xy
    step = torch.stack([yy * xr - xy * yr, xx * yr - xy * xr], 1) / determinant[:, None]
    return step.clamp(-1, 1)
