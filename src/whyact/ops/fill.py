"""Replace a region of a clip, to see what a model makes of the rest."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from whyact.ops.plate import background_plate
from whyact.ops.warp import blur
from whyact.types import WhyactError

Fill = Literal["blur", "mean", "plate", "frame", "noise"]
FILLS: tuple[Fill, ...] = get_args(Fill)
IMAGENET_MEAN = (0.485, 0.456, 0.406)


def fill_region(
    video: Tensor,
    mask: Tensor,
    fill: Fill,
    mean: tuple[float, float, float] = IMAGENET_MEAN,
    generator: torch.Generator | None = None,
) -> Tensor:
    """``(1 - mask) * video + mask * filling``.

    Args:
        video: (B, 3, T, H, W) float in [0, 1].
        mask: (B, T, H, W) in [0, 1], bool allowed; soft values blend.
        fill: see `filling`.
        mean: of ``mean``.
        generator: of ``noise``.
    """
    share = mask.to(video)[:, None]
    return video + share * (filling(video, mask, fill, mean, generator) - video)


def filling(
    video: Tensor,
    mask: Tensor,
    fill: Fill,
    mean: tuple[float, float, float] = IMAGENET_MEAN,
    generator: torch.Generator | None = None,
) -> Tensor:
    """What `fill_region` puts in place of a region, (B, 3, T, H, W).

    ``blur``: the clip, blurred by an eighth of its short side; it does not depend on the mask and
    keeps the region's rough colours. ``mean``: one colour. ``plate``: the camera-compensated
    background that other frames show there (`whyact.ops.plate`). ``frame``: the same pixel of the
    nearest frame in which it is not masked, the earlier of two; the blur where there is none.
    ``noise``: uniform noise.

    Raises:
        WhyactError: an unknown fill-in.
    """
    if fill == "blur":
        return _blurred(video)
    if fill == "mean":
        return video.new_tensor(mean).view(1, 3, 1, 1, 1).expand_as(video)
    if fill == "plate":
        return background_plate(video, mask.to(video))
    if fill == "frame":
        return _nearest_frame(video, mask)
    if fill == "noise":
        device = generator.device if generator is not None else video.device
        noise = torch.rand(video.shape, generator=generator, device=device)
        return noise.to(video)
    raise WhyactError(f"Unknown fill-in '{fill}'; choose from {list(FILLS)}.")


def _blurred(video: Tensor) -> Tensor:
    return blur(video, min(video.shape[-2:]) / 8)


def _nearest_frame(video: Tensor, mask: Tensor) -> Tensor:
    length = video.shape[2]
    free = mask.to(video)[:, None] < 0.5
    filled, done = torch.where(free, video, _blurred(video)), free
    for distance in range(1, length):
        for step in (distance, -distance):
            # Frame t takes frame t - step.
            to, source = _window(length, step), _window(length, -step)
            use = free[:, :, source] & ~done[:, :, to]
            filled[:, :, to] = torch.where(use, video[:, :, source], filled[:, :, to])
            done = done.clone()
            done[:, :, to] |= use
    return filled


def _window(length: int, step: int) -> slice:
    """Frames that have another one ``step`` frames before them (after them where negative)."""
    return slice(max(0, step), min(length, length + step))
