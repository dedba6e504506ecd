"""Explainers that change the clip and look at the score: occlusion by space-time tubes."""

from __future__ import annotations

import torch
from captum.attr import Occlusion as CaptumOcclusion
from torch import Tensor

from whyact.explainers.base import Model, from_heat, logits_of, scored
from whyact.ops.fill import Fill, filling
from whyact.types import Explanation


class Occlusion:
    """Drop of the score when a space-time tube is filled in (Zeiler and Fergus, ECCV 2014).

    Through Captum; a cell's value is the mean drop over the tubes that cover it.

    Args:
        model: see `whyact.explainers.base.Model`.
        tube: (frames, height, width) of a tube in frames and pixels; sizes beyond the clip's are
            cut to it.
        stride: of the tubes, in the same units; ``tube`` if None.
        fill: what goes in place of a tube.
        batch_size: clips a forward pass; it does not change results.
    """

    name = "occlusion"

    def __init__(
        self,
        *,
        model: Model,
        tube: tuple[int, int, int] = (2, 8, 8),
        stride: tuple[int, int, int] | None = None,
        fill: Fill = "blur",
        batch_size: int = 16,
    ) -> None:
        self.model, self.tube, self.batch_size = model, tube, batch_size
        self.stride = stride or tube
        self.fill: Fill = fill

    @torch.no_grad()
    def __call__(self, clips: Tensor, targets: Tensor | None = None) -> list[Explanation]:
        """One forward pass a tube; arguments as in `Explainer`."""
        targets, scores = scored(self.model, clips, targets)
        size = tuple(clips.shape[2:])
        tube = tuple(min(a, b) for a, b in zip(self.tube, size, strict=True))
        stride = tuple(min(a, b) for a, b in zip(self.stride, tube, strict=True))
        drops = CaptumOcclusion(lambda x: logits_of(self.model, x)).attribute(
            clips, sliding_window_shapes=(3, *tube), strides=(3, *stride), target=targets,
            baselines=filling(clips, torch.ones_like(clips[:, 0]), self.fill),
            perturbations_per_eval=max(1, self.batch_size // len(clips)),
        )  # fmt: skip
        # A tube covers all colours, so all have its value.
        return from_heat(self.name, drops[:, 0], targets, scores)
