"""The people of a real clip before a painted scene, without labels or masks."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor

from whyact.data.backdrop.scenes import SCENES, paint, paint_noise
from whyact.ops.motion import MAX_AREA, MIN_AREA, whole_actors
from whyact.ops.paste import paste_foreground


def before_other_scene(video: Tensor, rng: np.random.Generator) -> Tensor:
    """A clip (3, T, H, W) uint8 whose moving actors are before one of Backdrop's scenes, or noise.

    Where no actors are found, by `whyact.ops.motion.whole_actors`, the clip comes back as it is.
    """
    _, t, h, w = video.shape
    clip = video[None].float() / 255
    actors = whole_actors(clip).float()
    if not MIN_AREA < float(actors.mean()) < MAX_AREA:
        return video
    side, scene = max(h, w), int(rng.integers(len(SCENES) + 1))
    image = paint(scene, rng, side) if scene < len(SCENES) else paint_noise(rng, side)
    painted = pil_to_tensor(image)[None, :, None, :h, :w].float() / 255
    made = paste_foreground(
        clip, actors, painted.expand(-1, -1, t, -1, -1), feather=min(h, w) // 112
    )
    return (made[0] * 255).round().to(torch.uint8)
