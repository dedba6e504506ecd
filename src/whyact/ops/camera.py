"""Estimate how the camera moved: shift, zoom and brightness of every frame of a clip; and move it.

Two steps. Neighbouring frames are matched by an exhaustive, coarse-to-fine search over whole-pixel
shifts with a truncated L1 residual; the truncation keeps actors from voting, and the search, unlike
phase correlation, does not fail on repeating textures. The composed shifts then start a robust
Gauss-Newton fit of every frame to the middle one (Lucas and Kanade, IJCAI 1981, with the weights of
Geman and McClure), which adds parts of a pixel, zoom and brightness and removes drift.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from whyact.ops.warp import inside, sample, similarity_grid

_TRUNCATION = 0.1
"""Grey difference above which a pixel counts as belonging to another object."""


@dataclass(frozen=True)
class Camera:
    """Where the content of the middle frame lies in every frame.

    A point at ``x`` in the middle frame, measured in pixels from the image centre, lies at
    ``(1 + zoom) * x + shift`` in frame t, and ``gain * frame_t`` has the middle frame's brightness.

    Attributes:
        shift: (B, T, 2) as (x, y) in pixels.
        zoom: (B, T).
        gain: (B, T).
    """

    shift: Tensor
    zoom: Tensor
    gain: Tensor

    def scaled(self, factor: float) -> Camera:
        """The same motion for frames that are ``factor`` times as large."""
        return Camera(self.shift * factor, self.zoom, self.gain)

    def rows(self, start: int, stop: int) -> Camera:
        """The motion of clips ``start`` to ``stop`` of the batch."""
        return Camera(self.shift[start:stop], self.zoom[start:stop], self.gain[start:stop])

    def grid(self, size: tuple[int, int], canvas: tuple[int, int]) -> Tensor:
        """Grid (B * T, *canvas, 2) that brings every frame into the middle frame's coordinates."""
        return similarity_grid(self.shift.flatten(0, 1), self.zoom.flatten(), size, canvas)

    def inverse_grid(self, canvas: tuple[int, int], size: tuple[int, int]) -> Tensor:
        """Grid (B * T, *size, 2) that brings an image in those coordinates back to every frame."""
        scale = 1 / (1 + self.zoom)
        shift = -self.shift * scale[..., None]
        return similarity_grid(shift.flatten(0, 1), scale.flatten() - 1, canvas, size)


def moving_camera(pan: Tensor, zoom: Tensor, frames: int, size: tuple[int, int]) -> Tensor:
    """Grid (n * T, H, W, 2) of a camera that moves evenly and shows a clip as it is half-way.

    Args:
        pan: (n, 2) as (x, y), from the first frame to the last, as a share of the frame's sides.
        zoom: (n,), by which share the picture widens meanwhile. frames: T. size: (H, W).
    """
    time = (torch.arange(frames, device=pan.device) - (frames - 1) / 2) / max(1, frames - 1)
    sides = pan.new_tensor(size[::-1])
    shift = pan[:, None] * sides * time[None, :, None]
    return similarity_grid(shift.flatten(0, 1), (zoom[:, None] * time).flatten(), size, size)


def chunk_size(video: Tensor) -> int:
    """Clips of (B, 3, T, H, W) that are best worked on at a time: few enough for a CPU's caches."""
    pixels = video[0, 0].numel() if len(video) else 1
    return max(1, 400_000 // pixels) if video.device.type == "cpu" else max(1, len(video))


def camera_motion(video: Tensor) -> Camera:
    """Estimate the camera's motion.

    Finds up to an eighth of the short side a frame. A camera that turns, or a near foreground that
    fills most of the frame, is beyond the model and gives its best shift and zoom.

    Args:
        video: (B, 3, T, H, W) float in [0, 1].
    """
    b, _, t, h, w = video.shape
    # Unequal weights, because many textures have equal-luminance colours.
    grey = video[:, 0] * 0.4 + video[:, 1] * 0.35 + video[:, 2] * 0.25
    grey = grey * (0.5 / grey.mean((2, 3), keepdim=True).clamp_min(0.02))
    middle = t // 2
    steps = _neighbour_shifts(grey)
    path = F.pad(steps.cumsum(1), (0, 0, 1, 0))
    shift = (path - path[:, middle : middle + 1]).flatten(0, 1).to(grey)
    frames = grey.reshape(b * t, 1, h, w)
    target = grey[:, middle : middle + 1].expand(b, t, h, w).reshape(b * t, 1, h, w)
    state = torch.cat([shift, shift.new_zeros(b * t, 1), shift.new_ones(b * t, 1)], 1)
    # Half the resolution fits as well as the full one and costs a quarter.
    factor = 2 if min(h, w) >= 32 else 1
    unit = state.new_tensor([factor, factor, 1, 1])
    if factor > 1:
        frames, target = F.avg_pool2d(frames, factor), F.avg_pool2d(target, factor)
    state = _fit(frames, target, state / unit, rounds=4) * unit
    state = state.view(b, t, 4)
    # The middle frame is the reference by definition.
    state[:, middle] = state.new_tensor([0, 0, 0, 1])
    brightness = video.mean((1, 3, 4)).clamp_min(0.02)
    gain = state[..., 3] * brightness[:, middle : middle + 1] / brightness
    return Camera(state[..., :2], state[..., 2], gain)


def _neighbour_shifts(grey: Tensor) -> Tensor:
    """(B, T - 1, 2) int64: the pixel at p in frame t lies at p + shift in frame t + 1."""
    b, t, h, w = grey.shape
    if t < 2:
        return torch.zeros(b, 0, 2, dtype=torch.int64, device=grey.device)
    first = grey[:, :-1].reshape(-1, 1, h, w)
    second = grey[:, 1:].reshape(-1, 1, h, w)
    pyramid = [(first, second)]
    while min(pyramid[-1][0].shape[-2:]) >= 64:
        first, second = pyramid[-1]
        pyramid.append((F.avg_pool2d(first, 2), F.avg_pool2d(second, 2)))
    shift = torch.zeros(len(first), 2, dtype=torch.int64, device=grey.device)
    for level, (first, second) in enumerate(reversed(pyramid)):
        reach = max(1, min(first.shape[-2:]) // 8)
        shift = (2 * shift).clamp(-reach, reach)
        shift = _search(first[:, 0], second[:, 0], shift, reach if level == 0 else 1, reach)
    return shift.view(b, t - 1, 2)


def _search(first: Tensor, second: Tensor, start: Tensor, radius: int, margin: int) -> Tensor:
    """Best whole-pixel shift within ``radius`` of ``start``; compares all but a margin of first."""
    h, w = first.shape[-2] - 2 * margin, first.shape[-1] - 2 * margin
    core = first[:, margin : margin + h, margin : margin + w]
    padded = F.pad(second[:, None], [radius] * 4, mode="replicate")[:, 0]
    corner = start + margin  # of the searched block, in padded coordinates
    n = torch.arange(len(first), device=first.device)[:, None, None]
    rows = corner[:, 1:] + torch.arange(h + 2 * radius, device=first.device)
    columns = corner[:, :1] + torch.arange(w + 2 * radius, device=first.device)
    block = padded[n, rows[:, :, None], columns[:, None, :]]
    width = 2 * radius + 1
    costs = []
    for dy in range(width):
        for dx in range(width):
            rest = (block[:, dy : dy + h, dx : dx + w] - core).abs_().clamp_max_(_TRUNCATION)
            # The small slope settles ties of repeating textures for the smaller shift.
            slope = 1e-4 * math.hypot(dx - radius, dy - radius)
            costs.append(rest.mean((1, 2)) + slope)
    best = torch.stack(costs, 1).argmin(1)
    return start + torch.stack([best % width - radius, best // width - radius], 1)


def _fit(frames: Tensor, target: Tensor, state: Tensor, rounds: int) -> Tensor:
    """Robust Gauss-Newton rounds on (n, 4): shift x, shift y, zoom, gain."""
    h, w = frames.shape[-2:]
    scale = max(h, w) / 2  # makes zoom comparable with the shifts, in pixels at the border
    x = (torch.arange(w, device=frames.device) - (w - 1) / 2) / scale
    y = (torch.arange(h, device=frames.device) - (h - 1) / 2)[:, None] / scale
    padded = F.pad(frames, (1, 1, 1, 1), mode="replicate")
    slope_x = (padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]) / 2
    slope_y = (padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]) / 2
    stack = torch.cat([frames, slope_x, slope_y], 1)
    unit = state.new_tensor([1, 1, scale, 1])
    bound = state.new_tensor([1.5, 1.5, 1.0, 0.2])
    ridge = torch.eye(4, device=state.device)
    for _ in range(rounds):
        grid = similarity_grid(state[:, :2], state[:, 2], (h, w), (h, w))
        image, along_x, along_y = sample(stack, grid).unbind(1)
        rest = (state[:, 3, None, None] * image - target[:, 0]).flatten(1)
        # Every seventh pixel is enough for the spread.
        spread = (2 * rest[:, ::7].abs().median(1, keepdim=True).values).clamp_min(0.01)
        weight = inside(grid).flatten(1) / (1 + (rest / spread).square()).square()
        slopes = torch.stack([along_x, along_y, along_x * x + along_y * y, image], 1).flatten(2)
        weighted = slopes * weight[:, None]
        normal = weighted @ slopes.transpose(1, 2)
        size = normal.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
        step = torch.linalg.solve(
            normal + ridge * (1e-4 * size + 1e-6), (weighted @ rest[:, :, None])[..., 0]
        )
        state = state - step.clamp(-bound, bound) / unit
    return state
