"""A clip with another clip's frame blended in keeps its action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from whyact.objectives.base import Objective, View
from whyact.objectives.terms import UNDEFINED, check_share, draw_partners, draw_rows, label_loss
from whyact.ops.mix import draw_beta, mix_static
from whyact.types import ActionOutput, Batch, WhyactError


class BackgroundMix(Objective):
    """Cross-entropy on clips into which a static frame of a different clip is mixed.

    Source: StillMix (Li et al., ICCV 2023), see `whyact.ops.mix.mix_static`. Deviation: the frame
    comes from a clip of the batch, with another label where there is one.

    Args:
        share: of the batch that gets a mixed view.
        alpha: the clip's share is drawn from Beta(alpha, alpha).
        smoothing: label smoothing.
    """

    name = "background_mix"

    def __init__(self, *, share: float = 0.5, alpha: float = 200.0, smoothing: float = 0.0) -> None:
        check_share(self.name, share)
        if alpha <= 0:
            raise WhyactError(f"background_mix_alpha must be above 0, got {alpha}.")
        self.share, self.alpha, self.smoothing = share, alpha, smoothing

    def views(self, batch: Batch, generator: torch.Generator) -> dict[str, View]:
        """``mixed``: label kept, scene -1 (two are visible); no clips where the batch has one."""
        rows = draw_rows(len(batch), self.share, generator)
        if len(batch) < 2:
            rows = rows[:0]
        partners = draw_partners(rows, torch.arange(len(batch)), batch.label.cpu(), generator)
        frame = torch.randint(batch.video.shape[2], (len(rows),), generator=generator)
        share = draw_beta(len(rows), self.alpha, generator)
        device = batch.video.device
        rows, partners, frame = rows.to(device), partners.to(device), frame.to(device)
        kept = batch.rows(rows)
        video = mix_static(kept.video, batch.video[partners, :, frame], share)
        nuisance = torch.full_like(kept.nuisance, UNDEFINED)
        return {"mixed": View(replace(kept, video=video, nuisance=nuisance), rows, partners)}

    def loss(
        self, outputs: Mapping[str, ActionOutput], batch: Batch, views: Mapping[str, View]
    ) -> Tensor:
        """Mean over the mixed clips."""
        return label_loss(outputs["mixed"].logits, views["mixed"].batch.label, self.smoothing)
