"""Pieces that several objectives share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from whyact.objectives.base import View
from whyact.types import ActionOutput, Batch, WhyactError

UNDEFINED = -1
"""Label or nuisance of a clip that has none."""


def zero(output: ActionOutput) -> Tensor:
    """A loss of 0 that `backward` accepts."""
    return output.logits.sum() * 0.0


def label_loss(logits: Tensor, label: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy over the clips that have a label; 0 where none has.

    Args:
        logits: (B, Y).
        label: (B,) int64, or (B, Y) float multi-hot, which takes the binary cross-entropy;
            ``UNDEFINED`` clips are left out.
        smoothing: share of the target that is spread over all classes.
    """
    if label.ndim == 2:
        kept = label[:, 0] != UNDEFINED
        target = label.to(logits) * (1 - smoothing) + smoothing / 2
        each = F.binary_cross_entropy_with_logits(logits, target, reduction="none").mean(1)
    else:
        kept = label != UNDEFINED
        each = F.cross_entropy(
            logits, label, ignore_index=UNDEFINED, reduction="none", label_smoothing=smoothing
        )
    return (each * kept).sum() / kept.sum().clamp_min(1)


def every_clip(
    outputs: Mapping[str, ActionOutput], batch: Batch, views: Mapping[str, View]
) -> list[tuple[ActionOutput, Batch]]:
    """The outputs of the clips and of all views, each with what it was computed from."""
    return [
        (outputs["clip"], batch),
        *((outputs[name], view.batch) for name, view in views.items()),
    ]


def draw_rows(count: int, share: float, generator: torch.Generator) -> Tensor:
    """A ``share`` of the rows 0 … count - 1, at least one where the share isn't 0, in any order."""
    wanted = min(count, max(1, round(count * share))) if share > 0 else 0
    return torch.randperm(count, generator=generator)[:wanted]


def draw_partners(
    rows: Tensor, candidates: Tensor, label: Tensor, generator: torch.Generator
) -> Tensor:
    """For each row another one, with a different label where there is one.

    Args:
        rows: (n,) rows that look for a partner.
        candidates: (m,) rows to choose from; for each of ``rows`` another one must be among them.
        label: (B,) or (B, Y) of all rows, on the CPU.
        generator: on the CPU.

    Returns:
        (n,) partners; none for no rows.
    """
    if not len(rows):
        return rows
    score = torch.rand(len(rows), len(candidates), generator=generator)
    score = score - same_label(label[rows], label[candidates]).to(score)
    score[rows[:, None] == candidates[None]] = -torch.inf
    return candidates[score.argmax(1)]


def same_label(first: Tensor, second: Tensor) -> Tensor:
    """(n, m) bool: which of the labels (n,) equal which of (m,); multi-hot (n, Y), (m, Y) alike."""
    same = first[:, None] == second[None]
    return same.all(-1) if same.ndim > 2 else same


def without_action(batch: Batch, video: Tensor) -> Batch:
    """Other clips (B, 3, T, H, W) in their place: labels undefined, no actors, the scenes kept."""
    label = torch.full_like(batch.label, UNDEFINED)
    return replace(batch, video=video, label=label, mask=None, foreground=None)


def check_share(name: str, share: float, pan: float = 0.0) -> None:
    """Refuse a share of the batch, or a camera pan, that objective ``name`` cannot have.

    Raises:
        WhyactError: a share beyond (0, 1], or a pan below 0.
    """
    if not 0 < share <= 1:
        raise WhyactError(f"{name}_share must be above 0 and at most 1, got {share}.")
    if pan < 0:
        raise WhyactError(f"{name}_pan must be at least 0, got {pan}.")
