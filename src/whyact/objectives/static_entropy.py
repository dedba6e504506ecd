"""A clip that shows no motion must not be recognised."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from whyact.objectives.base import Objective, View
from whyact.objectives.terms import check_share, draw_rows, without_action, zero
from whyact.ops.static import static_clip
from whyact.types import ActionOutput, Batch


class StaticEntropy(Objective):
    """``log Y - entropy`` of the prediction on one random frame, repeated: 0 at a uniform guess.

    Source: ALBAR (ICLR 2025), its entropy term; the gradient penalty is left out. The optional pan
    is an addition. It assumes that an action's static appearance is useless, which holds where
    motion defines the actions. For multi-hot labels the softmax over the classes is taken all the
    same.

    Args:
        share: of the batch that gets a static view.
        pan: largest simulated camera pan, in pixels a frame along each axis.
    """

    name = "static_entropy"

    def __init__(self, *, share: float = 0.25, pan: float = 0.0) -> None:
        check_share(self.name, share, pan)
        self.share, self.pan = share, pan

    def views(self, batch: Batch, generator: torch.Generator) -> dict[str, View]:
        """``static``: label -1, the scene kept, no masks."""
        rows = draw_rows(len(batch), self.share, generator)
        frame = torch.randint(batch.video.shape[2], (len(rows),), generator=generator)
        pan = self.pan * (2 * torch.rand(len(rows), 2, generator=generator) - 1)
        rows = rows.to(batch.video.device)
        kept = batch.rows(rows)
        video = static_clip(kept.video, frame, pan if self.pan else None)
        return {"static": View(without_action(kept, video), rows, rows)}

    def loss(
        self, outputs: Mapping[str, ActionOutput], batch: Batch, views: Mapping[str, View]
    ) -> Tensor:
        """Mean over the static clips, in [0, log Y]."""
        logits = outputs["static"].logits
        if len(logits) == 0:
            return zero(outputs["clip"])
        share = logits.log_softmax(1)
        return (math.log(logits.shape[1]) + (share.exp() * share).sum(1)).mean()
