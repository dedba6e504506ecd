"""While time stands still, nothing is done, whatever was done before."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from whyact.objectives.base import Objective, View
from whyact.objectives.terms import check_share, draw_rows, without_action, zero
from whyact.ops.static import paused_clip
from whyact.types import ActionOutput, Batch

LEAST = 0.5
"""Shortest pause, as a share of the clip."""


class Pause(Objective):
    """No time step of a pause has an opinion: which class, or, for several labels, whether any.

    A frame is held for half of the clip or longer, up to all of it, and the clip plays before and
    after. Only the evidence of single time steps within the pause is trained. So a posture that an
    action ends in, or one that rules others out, is no evidence of it, and neither is the memory
    of what came before: evidence stays where something happens. Labels of clips are enough.

    It assumes that motion defines the actions, as `StaticEntropy` does, whose loss is of whole
    still clips: these a model can come to know as such and go on remembering in all others. The
    loss is the divergence of the prediction from a uniform guess, KL(uniform || prediction), whose
    gradient, unlike the entropy's, does not vanish where a prediction is sure; with several labels
    the cross-entropy of each class' absence.

    Args:
        share: of the batch that gets a paused view.
        pan: largest simulated camera pan during the pause, in pixels a frame along each axis.
    """

    name = "pause"

    def __init__(self, *, share: float = 0.25, pan: float = 0.0) -> None:
        check_share(self.name, share, pan)
        self.share, self.pan = share, pan

    def views(self, batch: Batch, generator: torch.Generator) -> dict[str, View]:
        """``paused``: label -1, the scene kept, no masks."""
        rows = draw_rows(len(batch), self.share, generator)
        n, length = len(rows), batch.video.shape[2]
        least = math.ceil(LEAST * length)

        def draw(below: Tensor) -> Tensor:
            return (torch.rand(n, generator=generator) * below).long()

        held = least + draw(torch.full((n,), length - least + 1))
        start = draw(length - held + 1)
        frame = draw(torch.full((n,), length))
        pan = self.pan * (2 * torch.rand(n, 2, generator=generator) - 1)
        rows = rows.to(batch.video.device)
        kept = batch.rows(rows)
        video, still = paused_clip(
            kept.video, frame, start, start + held, pan if self.pan else None
        )
        return {"paused": View(without_action(kept, video), rows, rows, still)}

    def loss(
        self, outputs: Mapping[str, ActionOutput], batch: Batch, views: Mapping[str, View]
    ) -> Tensor:
        """Mean over the still time steps of the paused clips."""
        logits, still = outputs["paused"].frame_logits, views["paused"].still
        if still is None or not len(logits):
            return zero(outputs["clip"])
        # A time step counts where all of its frames do.
        moving = F.adaptive_max_pool1d((~still).float(), logits.shape[1])
        counts = 1 - moving
        if batch.label.ndim == 2:
            each = F.softplus(logits).mean(-1)
        else:
            each = -logits.log_softmax(-1).mean(-1) - math.log(logits.shape[-1])
        return (each * counts).sum() / counts.sum().clamp_min(1)
