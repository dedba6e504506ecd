"""Noisy linear imputation: fill a hole from its rim, so that little of its outline remains."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_WEIGHTS = ((1 / 12, 1 / 6, 1 / 12), (1 / 6, 0.0, 1 / 6), (1 / 12, 1 / 6, 1 / 12))
"""Of a pixel's neighbours: direct ones count twice as much as diagonal ones."""


def impute(
    video: Tensor, mask: Tensor, *, tolerance: float = 1e-3, rounds: int = 200
) -> tuple[Tensor, Tensor]:
    """Fill masked pixels so that each is the weighted mean of its eight neighbours in its frame.

    Source: ROAD (Rong et al., ICML 2022, sec. 4.2), without the noise, which the caller adds. The
    linear system is solved by conjugate gradients for all frames at once, each level of a pyramid
    starting from the coarser one, instead of by a sparse solver for one image. A frame without a
    known pixel gets the clip's mean colour.

    Args:
        video: (B, 3, T, H, W). mask: (B, T, H, W) bool, true where pixels are to be filled.
        tolerance: largest error of an equation, in the clip's units. rounds: at most.

    Returns:
        (B, 3, T, H, W), and the largest error of an equation in each clip, (B,).
    """
    b, c, t, h, w = video.shape
    images = video.transpose(1, 2).reshape(b * t, c, h, w)
    hole = mask.reshape(b * t, 1, h, w).to(video)
    known = 1 - hole
    empty = known.sum((1, 2, 3), keepdim=True) == 0
    mean = _mean_colour(video, mask).repeat_interleave(t, 0)[:, :, None, None]
    x, error = _solve(torch.where(empty, mean, images), hole * ~empty, tolerance, rounds)
    return x.view(b, t, c, h, w).transpose(1, 2), error.view(b, t).amax(1)


def _mean_colour(video: Tensor, mask: Tensor) -> Tensor:
    """(B, 3): of the pixels that are known; of all where none is."""
    share = (~mask.bool()).to(video)[:, None]
    total = share.sum((2, 3, 4))
    known = (video * share).sum((2, 3, 4)) / total.clamp_min(1)
    return torch.where(total > 0, known, video.mean((2, 3, 4)))


def _solve(images: Tensor, hole: Tensor, tolerance: float, rounds: int) -> tuple[Tensor, Tensor]:
    """Fill the holes of (n, c, H, W); starts from the solution at half the size."""
    h, w = images.shape[-2:]
    known = 1 - hole
    pads = (0, w % 2, 0, h % 2)
    weight = F.avg_pool2d(F.pad(known, pads), 2)
    small = F.avg_pool2d(F.pad(images * known, pads), 2) / weight.clamp_min(1e-8)
    closed = (weight == 0).to(images)
    if min(h, w) > 2 and bool(closed.any()):
        small, _ = _solve(small, closed, tolerance, rounds)
    start = F.interpolate(small, scale_factor=2, mode="bilinear", align_corners=False)
    x = images * known + hole * start[..., :h, :w]
    return _conjugate_gradients(x, hole, tolerance, rounds)


def _laplacian(x: Tensor, kernel: Tensor, total: Tensor) -> Tensor:
    """``sum of weights * x - weighted sum of neighbours``; neighbours outside do not count."""
    n, c, h, w = x.shape
    around = F.conv2d(x.reshape(n * c, 1, h, w), kernel, padding=1).view(x.shape)
    return total * x - around


def _conjugate_gradients(
    x: Tensor, hole: Tensor, tolerance: float, rounds: int
) -> tuple[Tensor, Tensor]:
    """Solve ``laplacian(x) = 0`` on the hole for every (image, colour) apart."""
    kernel = x.new_tensor(_WEIGHTS)[None, None]
    total = F.conv2d(torch.ones_like(x[:1, :1]), kernel, padding=1)
    rest = -hole * _laplacian(x, kernel, total)
    step = rest
    square = rest.square().sum((2, 3), keepdim=True)
    for _ in range(rounds):
        # An image that is done stays, so that its pixels do not depend on the others.
        open_ = rest.abs().amax((1, 2, 3), keepdim=True) > tolerance
        if not bool(open_.any()):
            break
        pushed = hole * _laplacian(step, kernel, total)
        curvature = (step * pushed).sum((2, 3), keepdim=True)
        length = torch.where(open_ & (curvature > 1e-20), square / curvature.clamp_min(1e-20), 0)
        x, rest = x + length * step, rest - length * pushed
        after = rest.square().sum((2, 3), keepdim=True)
        step = rest + after / square.clamp_min(1e-20) * step
        square = after
    return x, rest.abs().amax((1, 2, 3))
