"""The head must listen to the regions that lie on what moves."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from whyact.objectives.base import Objective, View
from whyact.objectives.terms import every_clip, zero
from whyact.types import ActionOutput, Batch, WhyactError

FULL_SHARE = 0.25
"""A token cell counts as foreground from this covered share on: limbs are thinner than cells."""


class Foreground(Objective):
    """``-log`` of the share of the head's attention that lies on the label-free foreground.

    The attention of a cell is ``sum_k region_weights[k] * assignment[k, cell] / mass[k]``; it sums
    to one over the clip. Its share on the foreground (`whyact.ops.motion`, pooled to the token
    grid) is taken over the frames that have any; clips without are left out. It is 0 when the head
    reads the moving actor only, wherever inside. Views that carry a foreground (pasted clips, whose
    actor is the same before another background) count like clips. Regions keep the freedom to find
    more of the actor than the motion cue does: cells beside a cell of the foreground are not
    punished when they are covered in part, and the other objectives decide among the rest.
    """

    name = "foreground"
    needs_foreground = True

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
            share, found = attended_share(output, clips.foreground)
            terms.append(-share.clamp_min(1e-4).log() * found)
            known.append(found)
        if not terms:
            return zero(outputs["clip"])
        return torch.cat(terms).sum() / torch.cat(known).sum().clamp_min(1)


def attended_share(output: ActionOutput, foreground: Tensor) -> tuple[Tensor, Tensor]:
    """Share of the head's attention on the foreground, and which clips have one.

    Args:
        output: of B clips.
        foreground: (B, T, H, W) in [0, 1].

    Returns:
        (B,) in [0, 1], and (B,) bool.
    """
    frames = output.region_weights.shape[1]
    pooled = F.adaptive_avg_pool3d(foreground[:, None], (frames, *output.grid))[:, 0].flatten(2)
    target = (pooled / FULL_SHARE).clamp(max=1)
    mass = output.assignment.sum(-1, keepdim=True).clamp_min(1e-6)
    heat = (output.region_weights[..., None] * output.assignment / mass).float().sum(2)
    # A frame has a foreground where one cell, at least, is half of one.
    seen = (target.amax(-1) > 0.5).to(heat)
    on = ((heat * target).sum(-1) * seen).sum(1)
    total = (heat.sum(-1) * seen).sum(1)
    known: Tensor = seen.any(1)
    return on / total.clamp_min(1e-6), known
