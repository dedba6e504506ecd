"""Pixel transforms on uint8 clips, with the same parameters for every frame."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from whyact.data.boxes import Window, through
from whyact.data.other_scene import before_other_scene
from whyact.data.views import CROPS
from whyact.ops.motion_field import mirror_flow
from whyact.types import WhyactError


def resize_short(video: Tensor, side: int) -> Tensor:
    """Scale (..., H, W) so that the shorter side is ``side``; nothing to do returns the input."""
    return _scale(video, side, stretch=False)


def _scaled(h: int, w: int, side: int, stretch: bool) -> tuple[int, int]:
    """Height and width of a frame whose shorter side (stretched: both) becomes ``side``."""
    if stretch:
        return side, side
    scale = side / min(h, w)
    return max(side, round(h * scale)), max(side, round(w * scale))


def _scale(video: Tensor, side: int, stretch: bool) -> Tensor:
    h, w = _scaled(video.shape[-2], video.shape[-1], side, stretch)
    return video if video.shape[-2:] == (h, w) else _resize(video, h, w)


def _resize(video: Tensor, h: int, w: int) -> Tensor:
    # Masks are scaled like pixels and then cut at one half, so that they stay on their pixels.
    mask = video.dtype == torch.bool
    flat = video.reshape(-1, 1, *video.shape[-2:])
    flat = flat.byte() * 255 if mask else flat
    out: Tensor = F.resize(flat, [h, w], interpolation=InterpolationMode.BILINEAR, antialias=True)
    out = out.reshape(*video.shape[:-2], h, w)
    return out > 127 if mask else out


def flip_map(classes: Sequence[str], pairs: Sequence[tuple[str, str]]) -> dict[int, int]:
    """Label after a horizontal flip, for the classes that a flip swaps.

    Raises:
        WhyactError: a pair names a class that does not exist.
    """
    swap: dict[int, int] = {}
    for pair in pairs:
        unknown = [name for name in pair if name not in classes]
        if unknown:
            raise WhyactError(
                f"data.transform.flip_pairs names '{unknown[0]}', no class of the data set."
            )
        a, b = classes.index(pair[0]), classes.index(pair[1])
        swap[a], swap[b] = b, a
    return swap


def swap_label(label: int | Tensor, swap: Mapping[int, int]) -> int | Tensor:
    """The label of a flipped clip; ``swap`` is as `flip_map` made it. Twice is nothing."""
    if isinstance(label, Tensor):
        order = [swap.get(i, i) for i in range(len(label))]
        return label[order]
    return swap.get(label, label)


class TrainTransform:
    """Random crop, flip, scene and colour jitter; one draw for all frames and the mask.

    Args:
        short_side, stretch, size, crop, min_area, flip, flip_pairs, color_jitter, other_scene: see
            `whyact.config.TransformConfig`.
        classes: names, which ``flip_pairs`` refers to.
    """

    def __init__(
        self, *, short_side: int, size: int, stretch: bool = False, crop: str = "random_resized",
        min_area: float = 0.5, flip: float = 0.5, flip_pairs: Sequence[tuple[str, str]] = (),
        classes: Sequence[str] = (), color_jitter: float = 0.0, other_scene: float = 0.0,
    ) -> None:  # fmt: skip
        if crop not in ("random_resized", "random", "center"):
            raise WhyactError(
                f"data.transform.train_crop is '{crop}'; choose random_resized, random or center."
            )
        _check_sides(short_side, size)
        self.short_side, self.size, self.crop, self.min_area = short_side, size, crop, min_area
        self.stretch = stretch
        self.flip, self.color_jitter, self.other_scene = flip, color_jitter, other_scene
        self.swap = flip_map(classes, flip_pairs)

    def __call__(
        self, video: Tensor, mask: Tensor | None, label: int | Tensor, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor | None, int | Tensor]:
        """Transform video (3, T, H, W) uint8, mask (T, H, W) bool or None, and label."""
        video, mask, _, label, _ = self.geometry(video, mask, None, label, rng)
        return self.photometry(self.scene(video, rng), rng), mask, label

    def geometry(
        self, video: Tensor, mask: Tensor | None, flow: Tensor | None, label: int | Tensor,
        rng: np.random.Generator, boxes: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None, Tensor | None, int | Tensor, Tensor | None]:  # fmt: skip
        """Crop and flip a clip, its mask, stored flow (2, T, H, W) uint8 and boxes by one draw."""
        if self.stretch or self.crop != "random_resized":  # that crop scales by itself
            video = _scale(video, self.short_side, self.stretch)
            mask = _scale(mask, self.short_side, self.stretch) if mask is not None else None
            flow = _scale(flow, self.short_side, self.stretch) if flow is not None else None
        tall, wide = video.shape[-2:]
        if flow is not None and flow.shape[-2:] != (tall, wide):  # stored in another size
            flow = _resize(flow, tall, wide)
        top, left, h, w = self._box(tall, wide, rng)
        video = _crop(video, top, left, h, w, self.size)
        mask = _crop(mask, top, left, h, w, self.size) if mask is not None else None
        flow = _crop(flow, top, left, h, w, self.size) if flow is not None else None
        window = left / wide, top / tall, (left + w) / wide, (top + h) / tall
        if rng.random() < self.flip:
            video = video.flip(-1)
            mask = mask.flip(-1) if mask is not None else None
            flow = mirror_flow(flow) if flow is not None else None
            label = swap_label(label, self.swap)
            window = window[2], window[1], window[0], window[3]
        return video, mask, flow, label, None if boxes is None else through(boxes, window)

    def _box(self, h: int, w: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
        size = self.size
        if self.crop == "random_resized":
            side = math.sqrt(rng.uniform(self.min_area, 1.0)) * min(h, w)
            aspect = math.sqrt(rng.uniform(3 / 4, 4 / 3))
            ch, cw = min(h, round(side / aspect)), min(w, round(side * aspect))
        else:
            ch = cw = size
        if self.crop == "center":
            return (h - ch) // 2, (w - cw) // 2, ch, cw
        return int(rng.integers(h - ch + 1)), int(rng.integers(w - cw + 1)), ch, cw

    def scene(self, video: Tensor, rng: np.random.Generator) -> Tensor:
        """Change the scene of some clips."""
        if self.other_scene and rng.random() < self.other_scene:
            return before_other_scene(video, rng)
        return video

    def photometry(self, video: Tensor, rng: np.random.Generator) -> Tensor:
        """Change the colours of the clip; one draw for all frames."""
        s = self.color_jitter
        if not s:
            return video
        frames: Tensor = video.transpose(0, 1)
        frames = F.adjust_brightness(frames, float(rng.uniform(1 - s, 1 + s)))
        frames = F.adjust_contrast(frames, float(rng.uniform(1 - s, 1 + s)))
        frames = F.adjust_saturation(frames, float(rng.uniform(1 - s, 1 + s)))
        frames = F.adjust_hue(frames, float(rng.uniform(-s, s)) / 4)
        return frames.transpose(0, 1)


class TestTransform:
    """The deterministic pipeline of evaluation, prediction and explanation.

    Args:
        short_side, stretch, size: see `whyact.config.TransformConfig`.
        crops: 1 (centre), 3 (along the longer side) or 10 (corners, centre, and their flips).
    """

    __test__ = False  # not a test case, whatever its name

    def __init__(
        self, *, short_side: int, size: int, stretch: bool = False, crops: int = 1
    ) -> None:
        if crops not in CROPS:
            raise WhyactError(f"crops is {crops}; choose from {list(CROPS)}.")
        _check_sides(short_side, size)
        self.short_side, self.size, self.crops = short_side, size, crops
        self.stretch = stretch

    def __call__(
        self, video: Tensor, mask: Tensor | None, crop: int = 0
    ) -> tuple[Tensor, Tensor | None]:
        """Transform video (3, T, H, W) uint8 and mask (T, H, W); crop is 0 … crops - 1."""
        video = _scale(video, self.short_side, self.stretch)
        top, left = self._corner(video.shape[-2], video.shape[-1], crop)
        size = self.size
        video = _crop(video, top, left, size, size, size)
        if mask is not None:
            mask = _crop(_scale(mask, self.short_side, self.stretch), top, left, size, size, size)
        if self.mirrors(crop):
            video, mask = video.flip(-1), mask.flip(-1) if mask is not None else None
        return video, mask

    def flow(self, flow: Tensor, crop: int = 0) -> Tensor:
        """The same crop of the stored flow (2, T, H, W) uint8."""
        cut, _ = self(flow, None, crop)
        return mirror_flow(cut.flip(-1)) if self.mirrors(crop) else cut

    def boxes(self, boxes: Tensor, h: int, w: int, crop: int = 0) -> Tensor:
        """The same crop's boxes (T, O, 5), from those of frames of h x w pixels."""
        tall, wide = _scaled(h, w, self.short_side, self.stretch)
        top, left = self._corner(tall, wide, crop)
        sides = left / wide, (left + self.size) / wide
        left_side, right_side = reversed(sides) if self.mirrors(crop) else sides
        window: Window = (left_side, top / tall, right_side, (top + self.size) / tall)
        return through(boxes, window)

    def mirrors(self, crop: int) -> bool:
        """Whether a crop is flipped."""
        return self.crops == 10 and crop >= 5

    def _corner(self, h: int, w: int, crop: int) -> tuple[int, int]:
        down, right = h - self.size, w - self.size
        if self.crops == 1:
            return down // 2, right // 2
        if self.crops == 3:
            return (down // 2, right * crop // 2) if w >= h else (down * crop // 2, right // 2)
        spots = ((0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2))
        return spots[crop % 5]


def _check_sides(short_side: int, size: int) -> None:
    if short_side < size:
        raise WhyactError(
            f"data.transform.short_side ({short_side}) must be at least data.transform.size "
            f"({size})."
        )


def _crop(video: Tensor, top: int, left: int, h: int, w: int, size: int) -> Tensor:
    cut = video[..., top : top + h, left : left + w]
    return cut if (h, w) == (size, size) else _resize(cut, size, size)
