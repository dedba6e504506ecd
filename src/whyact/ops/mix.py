"""Blend a static frame of another clip into a clip (StillMix)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def draw_beta(count: int, alpha: float, generator: torch.Generator) -> Tensor:
    """(count,) float32 draws from Beta(alpha, alpha), determined by the generator."""
    # torch's own Beta sampler takes no generator; NumPy's is seeded by one draw from it.
    seed = int(torch.randint(2**62, (1,), generator=generator))
    return torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, count)).float()


def mix_static(video: Tensor, still: Tensor, share: Tensor) -> Tensor:
    """``share * video + (1 - share) * still``, the still frame repeated over time.

    Source: StillMix (Li et al., ICCV 2023), eq. 1. Deviation: the frame is drawn uniformly, not
    from a bank of frames that a 2-D network finds most biased.

    Args:
        video: (B, 3, T, H, W).
        still: (B, 3, H, W), a frame of a different clip.
        share: (B,) in [0, 1].
    """
    part = share.to(video).view(-1, 1, 1, 1, 1)
    return part * video + (1 - part) * still[:, :, None]
