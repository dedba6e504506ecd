"""No direction of a code may change when actors and backgrounds are swapped, however small."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from whyact.objectives.base import Objective, View
from whyact.objectives.codes import gather_rows
from whyact.objectives.contrast import relative_change
from whyact.types import ActionOutput, Batch, WhyactError

DECAY = 0.98
"""Of the running covariances, a step."""
LEAST = 1e-4
"""Variance of a direction, as a share of the mean one, below which it counts for less."""


class WhitenedConsistency(Objective):
    """`SwapConsistency`, along the principal directions of the codes in place of their features.

    Features share their variance among them, and what leaks is a few percent of it: so a change
    relative to features hardly sees it, and a linear probe, for which every direction counts alike,
    reads it nearly as well. Here every direction counts alike too: the term is the mean over the
    directions of the whitened code of the share of their variance that is between the two clips of
    a pair, which is what `whyact.ops.erasure.erasing` erases, where it is above a half. Directions
    come from running covariances of the codes, since a batch has fewer clips than a code features;
    variances along them are the batch's, so that a code can't lower the term by shrinking.

    The action code is compared before prompts and clip graph as well as after them, half each: what
    they add may outweigh what leaked into the regions, and hide it from a comparison of the sum.

    Source: the whitened distance of positive pairs of W-MSE (Ermolov et al., ICML 2021).
    Deviations: pasted clips in place of augmented ones, running directions, and labels beside it.

    While the actor is not found yet, the term can hinder it: all directions are to keep still.

    Args:
        ramp: share of the training over which the term comes in, by the square of what is done of
            it, so that there is little of it at first; 0 has all of it from the start.
    """

    name = "whitened_consistency"
    needs_regions = True
    reads = ("foreground_paste",)

    def __init__(self, *, ramp: float = 0.0) -> None:
        if not 0 <= ramp <= 1:
            raise WhyactError(f"whitened_consistency_ramp must be in [0, 1], got {ramp}.")
        self.ramp = ramp
        self.running: Covariances | None = None

    def attach(self, example: ActionOutput) -> nn.Module:
        """The running covariances of the codes, which no gradient trains."""
        self.running = Covariances(
            *(
                c.shape[-1]
                for c in (example.action_code, example.region_code, example.nuisance_code)
            )
        )
        return self.running

    def loss(
        self, outputs: Mapping[str, ActionOutput], batch: Batch, views: Mapping[str, View]
    ) -> Tensor:
        """Mean over pasted clips, directions and codes; 0 where there are none."""
        assert self.running is not None, "attach comes first"
        clip, pasted = outputs["clip"], outputs["foreground_paste.pasted"]
        view = views["foreground_paste.pasted"]
        action, region, nuisance = (
            self._change(running, pasted.mean_code(of(pasted)), clip.mean_code(of(clip)), wanted)
            for running, of, wanted in (
                (self.running.action, lambda o: o.action_code, view.rows),
                (self.running.region, lambda o: o.region_code, view.rows),
                (self.running.nuisance, lambda o: o.nuisance_code, view.background),
            )
        )  # fmt: skip
        share = min(1.0, batch.progress / self.ramp) ** 2 if self.ramp else 1.0
        return share * ((action + region) / 2 + nuisance) / 2

    @staticmethod
    def _change(running: Tensor, codes: Tensor, origins: Tensor, wanted: Tensor) -> Tensor:
        """Update what is known of a code, and compare codes (n, C) with rows of origins (B, C)."""
        with torch.autocast(codes.device.type, enabled=False):
            both = gather_rows(torch.cat([origins, codes]).detach())
            both = both - both.mean(0)
            running.lerp_(both.T @ both / len(both), 1 - DECAY)
            _, directions = torch.linalg.eigh(running)
            return relative_change(codes @ directions, origins @ directions, wanted, least=LEAST)


class Covariances(nn.Module):
    """Running covariances (C, C) of the codes; their scale says nothing, as they begin at 0."""

    action: Tensor
    region: Tensor
    nuisance: Tensor

    def __init__(self, action: int, region: int, nuisance: int) -> None:
        super().__init__()
        for name, width in (("action", action), ("region", region), ("nuisance", nuisance)):
            self.register_buffer(name, torch.zeros(width, width))
