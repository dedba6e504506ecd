"""ROAD: accuracy after the hottest, and after the coldest, tubes are imputed from their rim."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from whyact.metrics.faithfulness import check_clips_and_heat, cuts, tube_ranks
from whyact.ops.draw import clip_generators, clip_rand
from whyact.ops.impute import impute
from whyact.types import WhyactError


@dataclass(frozen=True)
class Road:
    """Whether the class is still named, by share of tubes that are imputed.

    Attributes:
        fractions: (S,) of tubes.
        most, least: (B, S), 1 where the target is still the prediction after the most relevant, or
            the least relevant, tubes have gone.
    """

    fractions: Tensor
    most: Tensor
    least: Tensor

    @property
    def gap(self) -> Tensor:
        """(B,) in [-1, 1]: most relevant first minus least relevant first; lower is better."""
        return (self.most - self.least).mean(1)


@torch.no_grad()
def road(
    score: Callable[[Tensor], Tensor],
    clips: Tensor,
    heat: Tensor,
    targets: Tensor,
    *,
    fractions: Sequence[float] = (0.25, 0.5, 0.75),
    tube: tuple[int, int, int] = (2, 8, 8),
    noise: float = 0.01,
    tolerance: float = 3e-3,
    batch_size: int = 8,
    seed: int = 0,
) -> Road:
    """Remove and debias (ROAD, Rong et al., ICML 2022), with space-time tubes in place of pixels.

    The imputation is noisy and linear (`whyact.ops.impute`), in every frame apart, so that the
    outline of what is removed tells the model little. It looks like a blur, so maps that point at
    sharp things gain: read it beside deletion with other fill-ins, and beside the controls. Public
    implementations for images fail silently on clips. Costs ``2 * len(fractions)`` forward passes.

    Args:
        score: maps clips (n, 3, T, H, W) to logits or probabilities (n, Y).
        clips: (B, 3, T, H, W). heat: (B, T, H, W). targets: (B,) class indices.
        fractions: of tubes that go, each between 0 and 1. tube: (frames, height, width).
        noise: standard deviation of the noise, drawn from the clip's pixels. tolerance: of the
            imputation's equations. batch_size: clips a forward pass; it does not change results.
        seed: for ties between tubes, and of the noise.

    Raises:
        WhyactError: fractions out of range, or shapes that do not match.
    """
    check_clips_and_heat(clips, heat, targets)
    if not fractions or not all(0 < f < 1 for f in fractions):
        raise WhyactError(f"ROAD needs fractions between 0 and 1, got {list(fractions)}.")
    order = tube_ranks(heat.to(clips.device), tube, clips, seed)
    tubes = order[0].numel()
    counts = [round(f * tubes) for f in fractions]
    bounds = [(0, c) for c in counts] + [(tubes - c, tubes) for c in counts]
    grain = noise * clip_rand(clip_generators(clips, seed), clips.shape[1:], clips, normal=True)
    found = []
    for rows, masks in cuts(clips, order, bounds, tube=tube, batch_size=batch_size):
        filled, _ = impute(clips[rows], masks > 0.5, tolerance=tolerance)
        edited = (filled + masks[:, None] * grain[rows]).clamp(0, 1)
        found.append(score(edited).argmax(1) == targets.to(clips.device)[rows])
    hits = torch.cat(found).double().view(len(clips), -1)
    split = len(counts)
    return Road(torch.tensor(fractions).double(), hits[:, :split], hits[:, split:])
