"""The head must listen to the regions that lie on what moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from whyact.objectives.base import Objective, View
from whyact.objectives.terms import every_clip, zero
from whyact.types import ActionOutput, Batch, WhyactError

FULL_SHARE = 0.5
"""A token cell counts as foreground from this covered share on."""


class Foreground(Objective):
    """The head's attention lies on the label-free foreground, and covers it.

    The attention of a cell is its part of the regions' weights (`ActionOutput.over_cells`); it sums
    to one over the clip. Two terms, each over the frames that have a foreground
    (`whyact.ops.motion`, pooled to the token grid); clips without are left out:

    - ``-log`` of the attention's share on the foreground: 0 when the head reads the moving actor
      only, wherever inside. Cells beside the foreground are not punished when they are covered in
      part, so regions may find more of the actor than the motion cue does.
    - ``coverage`` times the divergence KL(foreground || attention on it), in each frame: 0 when the
      attention inside is even, so that the explanation shows the actor and not one spot of it.

    Views that carry a foreground (pasted clips, whose actor is the same before another background)
    count like clips.

    Args:
        coverage: weight of the second term.
    """

    name = "foreground"
    needs_regions = True
    needs_foreground = True

    def __init__(self, *, coverage: float = 0.0) -> None:
        if not coverage >= 0:
            raise WhyactError(f"foreground_coverage must be at least 0, got {coverage}.")
        self.coverage = coverage

    def loss(
        self, outputs: Mapping[str, ActionOutput], batch: Batch, views: Mapping[str, View]
    ) -> Tensor:
        """Mean over the clips with a foreground."""
        if batch.foreground is None:
            raise WhyactError(
                "The foreground objective needs Batch.foreground; call ObjectiveSet.prepare before."
            )
        terms, known = [], []
        for output, clips in every_clip(outputs, batch, views):
            if clips.foreground is None or len(clips) == 0:
                continue
            heat, target, seen = attention_and_target(output, clips.foreground)
            share = attended_share(heat, target, seen)
            found = seen.any(1)
            term = -share.clamp_min(1e-9).log()
            if self.coverage:
                term = term + self.coverage * unevenness(heat, target, seen)
            terms.append(term * found)
            known.append(found)
        if not terms:
            return zero(outputs["clip"])
        return torch.cat(terms).sum() / torch.cat(known).sum().clamp_min(1)


def attention_map(output: ActionOutput, size: Sequence[int]) -> Tensor:
    """Where the head looks, (B, T, H, W) in [0, 1): 0.5 where it looks as much as on average.

    It is ``d / (1 + d)`` of the attention's density d on a cell, over that of an even look; so it
    says nothing, 0.5 everywhere, of a model that has not learnt where to look.

    Args:
        output: of B clips. size: (T, H, W) of the clips.
    """
    heat = output.over_cells(output.region_weights).float()
    density = heat * heat[0].numel()
    odds = (density / (1 + density)).unflatten(2, output.grid)
    return F.interpolate(odds[:, None], tuple(size), mode="trilinear")[:, 0]


def attention_and_target(output: ActionOutput, foreground: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The head's attention to cells, and the foreground on the same grid.

    Args:
        output: of B clips. foreground: (B, T, H, W) in [0, 1].

    Returns:
        Attention (B, T', N), which sums to one over the clip; foreground (B, T', N) in [0, 1]; and
        the frames that have one, (B, T') bool: one cell, at least, is a quarter of a full one.
    """
    frames = output.region_weights.shape[1]
    pooled = F.adaptive_avg_pool3d(foreground[:, None], (frames, *output.grid))[:, 0].flatten(2)
    target = (pooled / FULL_SHARE).clamp(max=1)
    heat = output.over_cells(output.region_weights).float()
    return heat, target, target.amax(-1) > 0.25


def attended_share(heat: Tensor, target: Tensor, seen: Tensor) -> Tensor:
    """Share of the attention on the foreground, (B,), over the frames that have one."""
    on = ((heat * target).sum(-1) * seen).sum(1)
    return on / (heat.sum(-1) * seen).sum(1).clamp_min(1e-6)


def unevenness(heat: Tensor, target: Tensor, seen: Tensor) -> Tensor:
    """KL(foreground || attention on it), (B,): mean over the frames that have a foreground."""
    wanted = target / target.sum(-1, keepdim=True).clamp_min(1e-6)
    inside = heat * target
    found = inside / inside.sum(-1, keepdim=True).clamp_min(1e-6)
    gap = wanted * (wanted.clamp_min(1e-6).log() - found.clamp_min(1e-6).log())
    return (gap.sum(-1) * seen).sum(1) / seen.sum(1).clamp_min(1)
