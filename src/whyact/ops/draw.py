"""Random numbers that belong to a clip, so that no result depends on how clips are batched."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import torch
from torch import Tensor


def clip_generators(clips: Tensor, seed: int = 0) -> list[torch.Generator]:
    """A generator for every clip, on the CPU, seeded by the clip's pixels.

    Args:
        clips: (B, 3, T, H, W), RGB in [0, 1]; pixels count to one part in 255.
        seed: another seed gives other numbers.
    """
    made = []
    for clip in clips.detach():
        pixels = clip.float().clamp(0, 1).mul(255).round().byte().cpu().contiguous().numpy()
        made.append(torch.Generator().manual_seed(zlib.crc32(pixels.data, seed)))
    return made


def clip_rand(
    generators: Sequence[torch.Generator], shape: Sequence[int], like: Tensor, normal: bool = False
) -> Tensor:
    """(B, *shape) of uniform numbers in [0, 1), or of standard normal ones, a row a generator."""
    draw = torch.randn if normal else torch.rand
    return torch.stack([draw(tuple(shape), generator=g) for g in generators]).to(like)
