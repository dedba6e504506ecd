"""What belongs to the scene stays as it is over the clip, and regions move smoothly."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from whyact.objectives.base import Objective, View
from whyact.objectives.codes import gather_rows
from whyact.types import ActionOutput, Batch


class TemporalConsistency(Objective):
    """Flicker of the nuisance code plus jerk of the regions; both are this project's own.

    Flicker: the mean squared difference between neighbouring frames' nuisance codes (mean over
    regions), over twice their variance across clips and frames, those of all processes. As it is
    relative, a code can't lower it by shrinking; it is about 1 for a code that ignores which clip
    it is in, and 0 for one that is constant within clips and differs between them.

    Jerk: the mean squared *second* difference of the regions' centres, in units of half the frame,
    weighted by how much the head listens to each region. Regions that follow an actor at a steady
    pace cost nothing, unlike under a penalty on the first difference, whose cheapest answer is a
    region that never moves. The action code is left alone, because an action is change.
    """

    name = "temporal_consistency"
    needs_regions = True

    def loss(
        self, outputs: Mapping[str, ActionOutput], batch: Batch, views: Mapping[str, View]
    ) -> Tensor:
        """Mean over clips."""
        output = outputs["clip"]
        return flicker(output.nuisance_code, output.node_mask) + jerk(output)


def flicker(code: Tensor, mask: Tensor | None = None) -> Tensor:
    """Scalar, see `TemporalConsistency`; 0 for codes (B, T', K, C) of width 0 or a single frame.

    Padding, where ``mask`` (B, T', K) is False, does not count; an empty mask is none.
    """
    frames = code.float().mean(2)
    if mask is not None and mask.numel():
        real = mask.unsqueeze(-1)
        frames = (code.float() * real).sum(2) / real.sum(2).clamp_min(1)
    if frames.shape[1] < 2 or frames.shape[2] == 0:
        return code.sum() * 0.0
    change = (frames[:, 1:] - frames[:, :-1]).square().sum(-1).mean()
    spread = gather_rows(frames.flatten(0, 1)).var(0, unbiased=False).sum()
    return change / (2 * spread + 1e-6)


def jerk(output: ActionOutput) -> Tensor:
    """Scalar, see `TemporalConsistency`; 0 for fewer than three time steps."""
    if output.assignment.shape[1] < 3:
        return output.assignment.sum() * 0.0
    path = centres(output.assignment, output.grid)
    second = (path[:, 2:] - 2 * path[:, 1:-1] + path[:, :-2]).square().sum(-1)
    # The weight says which regions matter; it must not learn to avoid the ones that move.
    weight = output.region_weights.detach()[:, 1:-1]
    if output.node_mask.numel():  # a box that is missing in one of the three frames has no path
        real = output.node_mask
        weight = weight * (real[:, :-2] & real[:, 1:-1] & real[:, 2:])
    return ((weight * second).sum((1, 2)) / weight.sum((1, 2)).clamp_min(1e-6)).mean()


def centres(assignment: Tensor, grid: tuple[int, int]) -> Tensor:
    """(B, T', K, 2), mass centre of each region as (x, y) in [-1, 1]."""
    h, w = grid
    rows, columns = torch.meshgrid(
        (torch.arange(h, device=assignment.device) * 2 + 1) / h - 1,
        (torch.arange(w, device=assignment.device) * 2 + 1) / w - 1,
        indexing="ij",
    )
    place = torch.stack([columns, rows], -1).reshape(h * w, 2).to(assignment)
    share = assignment / assignment.sum(-1, keepdim=True).clamp_min(1e-6)
    return share @ place
