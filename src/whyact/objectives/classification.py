"""Right answers: the action, the action of every module on its own, and the scene."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from whyact.objectives.base import Objective, View
from whyact.objectives.terms import every_clip, label_loss, zero
from whyact.types import ActionOutput, Batch, WhyactError


class CrossEntropy(Objective):
    """Cross-entropy of the action; clips with label -1 don't count.

    Args:
        smoothing: label smoothing in [0, 1) (Szegedy et al., CVPR 2016, section 7).
    """

    name = "cross_entropy"

    def __init__(self, *, smoothing: float = 0.0) -> None:
        if not 0 <= smoothing < 1:
            raise WhyactError(
                f"cross_entropy_smoothing must be at least 0 and below 1, got {smoothing}."
            )
        self.smoothing = smoothing

    def loss(
        self, outputs: Mapping[str, ActionOutput], batch: Batch, views: Mapping[str, View]
    ) -> Tensor:
        """Mean over the labelled clips."""
        if batch.label.ndim != 1:
            raise WhyactError(
                "objectives.cross_entropy needs one class a clip, but the labels are multi-hot "
                f"{tuple(batch.label.shape)}: set it to 0 and use objectives.binary_cross_entropy."
            )
        return label_loss(outputs["clip"].logits, batch.label, self.smoothing)


class BinaryCrossEntropy(Objective):
    """Cross-entropy of every class on its own, for clips with several actions."""

    name = "binary_cross_entropy"

    def loss(
        self, outputs: Mapping[str, ActionOutput], batch: Batch, views: Mapping[str, View]
    ) -> Tensor:
        """Mean over clips and classes."""
        if batch.label.ndim != 2:
            raise WhyactError(
                "objectives.binary_cross_entropy needs multi-hot labels (B, Y), but they are "
                f"{tuple(batch.label.shape)}: set it to 0 and use objectives.cross_entropy."
            )
        return label_loss(outputs["clip"].logits, batch.label)


class DeepSupervision(Objective):
    """The action's cross-entropy on every module's own prediction, averaged over the modules.

    Source: Lee et al., Deeply-Supervised Nets (AISTATS 2015), with one shared classifier. Views
    that keep their action (mixed, pasted) count too, so that no module is taught on the biased
    clips alone.
    """

    name = "deep_supervision"

    def loss(
        self, outputs: Mapping[str, ActionOutput], batch: Batch, views: Mapping[str, View]
    ) -> Tensor:
        """Mean over modules and over labelled clips; 0 for a model without modules."""
        clips = every_clip(outputs, batch, views)
        label = torch.cat([b.label for _, b in clips])
        modules = list(outputs["clip"].module_logits)
        if not modules:
            return zero(outputs["clip"])
        terms = [
            label_loss(torch.cat([o.module_logits[m] for o, _ in clips]), label) for m in modules
        ]
        return torch.stack(terms).mean()


class Nuisance(Objective):
    """Cross-entropy of the scene, read from the nuisance code; needs scene labels.

    Clips and views whose scene is unknown (-1) don't count; a pasted clip has its background's
    scene. It is 0 for a model or a data set without scenes.
    """

    name = "nuisance"

    def loss(
        self, outputs: Mapping[str, ActionOutput], batch: Batch, views: Mapping[str, View]
    ) -> Tensor:
        """Mean over the clips with a known scene."""
        clips = every_clip(outputs, batch, views)
        logits = torch.cat([o.nuisance_logits for o, _ in clips])
        if logits.shape[1] == 0:
            return zero(outputs["clip"])
        return label_loss(logits, torch.cat([b.nuisance for _, b in clips]))
