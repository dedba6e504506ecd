"""Move images by a shift and a zoom, sample-wise and differentiably."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def similarity_grid(
    shift: Tensor, zoom: Tensor, source: tuple[int, int], target: tuple[int, int]
) -> Tensor:
    """Sampling grid of ``x_source = (1 + zoom) * x_target + shift``, both from the image centres.

    Args:
        shift: (n, 2) as (x, y) in pixels. zoom: (n,).
        source, target: (height, width) of the image that is read and of the one that is made.

    Returns:
        (n, height, width, 2) for `torch.nn.functional.grid_sample` with ``align_corners=False``.
    """
    axes = []
    for axis, (read, made) in enumerate(zip(source[::-1], target[::-1], strict=True)):
        line = torch.arange(made, device=shift.device, dtype=shift.dtype) - (made - 1) / 2
        pixels = (1 + zoom[:, None]) * line + shift[:, axis : axis + 1]
        axes.append(pixels * (2 / read))
    x, y = axes
    n, (height, width) = len(shift), target
    return torch.stack(
        [x[:, None, :].expand(n, height, width), y[:, :, None].expand(n, height, width)], -1
    )


def inside(grid: Tensor, source: tuple[int, int]) -> Tensor:
    """(n, height, width) bool: whether each grid point reads from inside the source image."""
    # Up to half a pixel beyond the outer pixel centres, which is the image's own border.
    limit = 1 + 1e-4
    del source
    return (grid.abs() <= limit).all(-1)


def sample(images: Tensor, grid: Tensor) -> Tensor:
    """Bilinear samples of ``images`` (n, c, h, w) at ``grid``; outside, the nearest pixel."""
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)
