"""Move images by a shift and a zoom, and small sliding-window operations on masks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def similarity_grid(
    shift: Tensor, zoom: Tensor, source: tuple[int, int], target: tuple[int, int]
) -> Tensor:
    """Sampling grid of ``x_source = (1 + zoom) * x_target + shift``, both from the image centres.

    Args:
        shift: (n, 2) as (x, y) in pixels.
        zoom: (n,).
        source: (height, width) of the image that is read.
        target: (height, width) of the image that is made.

    Returns:
        (n, height, width, 2) in [-1, 1] where the grid lies inside the source, as
        `torch.nn.functional.grid_sample` takes it with ``align_corners=False``.
    """
    lines = []
    for axis, (read, made) in enumerate(zip(source[::-1], target[::-1], strict=True)):
        line = torch.arange(made, device=shift.device, dtype=shift.dtype) - (made - 1) / 2
        lines.append(((1 + zoom[:, None]) * line + shift[:, axis : axis + 1]) * (2 / read))
    n, (height, width) = len(shift), target
    x = lines[0][:, None, :].expand(n, height, width)
    y = lines[1][:, :, None].expand(n, height, width)
    return torch.stack([x, y], -1)


def inside(grid: Tensor) -> Tensor:
    """(n, height, width) bool: whether each grid point lies inside the image that it reads."""
    x, y = grid.unbind(-1)
    return (x.abs() <= 1) & (y.abs() <= 1)


def sample(images: Tensor, grid: Tensor, padding: str = "border") -> Tensor:
    """Bilinear samples of ``images`` (n, c, h, w) at ``grid``.

    Args:
        images: what is read.
        grid: from `similarity_grid`.
        padding: what lies outside: ``border`` (nearest pixel), ``reflection`` or ``zeros``.
    """
    return F.grid_sample(images, grid, padding_mode=padding, align_corners=False)


def box_mean(maps: Tensor, radius: int | tuple[int, int]) -> Tensor:
    """Mean over a window of ``2 * radius + 1`` pixels of (..., H, W); only pixels inside count."""
    vertical, horizontal = (radius, radius) if isinstance(radius, int) else radius
    return _line_mean(_line_mean(maps, vertical, -2), horizontal, -1)


def _line_mean(maps: Tensor, radius: int, axis: int) -> Tensor:
    # Differences of running sums cost the same for every radius; avg_pool2d does not.
    size = maps.shape[axis]
    radius = min(radius, size - 1)
    if radius == 0:
        return maps
    pad = (radius + 1, radius) if axis == -1 else (0, 0, radius + 1, radius)
    total = F.pad(maps, pad).cumsum(axis)
    window = 2 * radius + 1
    sums = total.narrow(axis, window, size) - total.narrow(axis, 0, size)
    place = torch.arange(size, device=maps.device)
    count = (place + radius).clamp_max(size - 1) - (place - radius).clamp_min(0) + 1
    return sums / (count if axis == -1 else count[:, None])


def dilate(maps: Tensor, radius: int) -> Tensor:
    """Largest value in a square window of ``2 * radius + 1`` pixels of (..., H, W)."""
    # Two passes of shifted maxima are several times faster than max_pool2d on a CPU.
    for axis in (-1, -2):
        size, grown = maps.shape[axis], maps.clone()
        for step in range(1, min(radius, size - 1) + 1):
            for near, far in ((0, step), (step, 0)):
                part = grown.narrow(axis, near, size - step)
                torch.maximum(part, maps.narrow(axis, far, size - step), out=part)
        maps = grown
    return maps


def erode(maps: Tensor, radius: int) -> Tensor:
    """Smallest value in a square window of ``2 * radius + 1`` pixels; outside counts as full."""
    return -dilate(-maps, radius)


def blur(images: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (..., H, W), cut off at three sigma, edges repeated."""
    reach = max(1, round(3 * sigma))
    offsets = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    kernel = torch.softmax(-offsets.square() / (2 * sigma**2), 0)
    flat = images.reshape(-1, 1, *images.shape[-2:])
    flat = F.conv2d(F.pad(flat, (reach, reach, 0, 0), mode="replicate"), kernel.view(1, 1, 1, -1))
    flat = F.conv2d(F.pad(flat, (0, 0, reach, reach), mode="replicate"), kernel.view(1, 1, -1, 1))
    return flat.view(images.shape)
