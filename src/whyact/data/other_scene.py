"""The people of a real clip before a painted scene, without labels or masks."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor

from whyact.data.backdrop.scenes import SCENES, paint, paint_noise
from whyact.ops.motion import MAX_AREA, MIN_AREA, whole_actors
from whyact.ops.paste import paste_foreground


def before_other_scene(video: Tensor, rng: np.random.Generator, *, pan: float = 0.0) -> Tensor:
    """A clip (3, T, H, W) uint8 whose moving actors are before one of Backdrop's scenes, or noise.

    Where no actors are found, by `whyact.ops.motion.whole_actors`, the clip comes back as it is.

    Args:
        video: the clip. rng: draws the scene and its way.
        pan: furthest way of the scene over the clip along each axis, as a share of the longer
            side: it passes behind the actors as before a camera that follows them. 0 stands still.
    """
    _, t, h, w = video.shape
    clip = video[None].float() / 255
    actors = whole_actors(clip).float()
    if not MIN_AREA < float(actors.mean()) < MAX_AREA:
        return video
    side, scene = max(h, w), int(rng.integers(len(SCENES) + 1))
    reach = math.ceil(pan * side)
    large = side + reach
    image = paint(scene, rng, large) if scene < len(SCENES) else paint_noise(rng, large)
    painted = pil_to_tensor(image).float() / 255
    behind = torch.stack([painted[:, y : y + h, x : x + w] for y, x in _way(t, reach, rng)], 1)
    made = paste_foreground(clip, actors, behind[None], feather=min(h, w) // 112)
    return (made[0] * 255).round().to(torch.uint8)


def _way(frames: int, reach: int, rng: np.random.Generator) -> list[list[int]]:
    """(y, x) of the scene in each frame, in pixels from 0 to ``reach``, at an even speed."""
    if not reach:
        return [[0, 0]] * frames
    first, last = rng.uniform(0, reach, (2, 2))
    way: list[list[int]] = np.linspace(first, last, frames).round().astype(int).tolist()
    return way
