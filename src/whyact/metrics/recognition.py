"""Recognition scores with bootstrap intervals over clips."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_confusion_matrix,
    multiclass_f1_score,
    multilabel_average_precision,
)

MEASURES = ("top1", "top5", "mean_class", "macro_f1", "map")
"""Shares that `recognition_scores` gives for single labels, and ``map`` for several."""


def bootstrap_interval(
    values: Tensor, *, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of ``values`` (n,); (nan, nan) is never returned.

    Raises:
        ValueError: no values; the caller reports N/A instead.
    """
    if not len(values):
        raise ValueError("no values to bootstrap")
    generator = torch.Generator().manual_seed(seed)
    picks = torch.randint(len(values), (draws, len(values)), generator=generator)
    means = values.double()[picks].mean(1)
    tail = (1 - level) / 2
    low, high = torch.quantile(means, torch.tensor([tail, 1 - tail], dtype=means.dtype)).tolist()
    return low, high


def recognition_scores(logits: Tensor, labels: Tensor) -> dict[str, Any]:
    """Score clips.

    Args:
        logits: (n, Y). labels: (n,) int64, or (n, Y) multi-hot.

    Returns:
        For single labels ``top1``, ``top5``, ``mean_class`` (mean over the classes that occur),
        ``macro_f1`` (the same classes) and ``top1_interval``; for multi-label sets ``map`` over
        the classes that occur. Shares in [0, 1]. ``clips`` counts them. Empty input gives None.
    """
    if not len(labels):
        return {"clips": 0, "top1": None, "top5": None, "mean_class": None}
    classes = logits.shape[1]
    if labels.ndim == 2:
        seen = labels.bool().any(0)
        per_class = multilabel_average_precision(
            logits.sigmoid(), labels.long(), num_labels=classes, average=None
        )
        return {"clips": len(labels), "map": float(per_class[seen].mean())}
    seen = torch.bincount(labels, minlength=classes) > 0

    def over_seen(metric: Callable[..., Tensor]) -> float:
        return float(metric(logits, labels, num_classes=classes, average=None)[seen].mean())

    hits = (logits.argmax(1) == labels).double()
    five = logits.topk(min(5, classes), dim=1).indices
    return {
        "clips": len(labels),
        "top1": float(hits.mean()),
        "top1_interval": list(bootstrap_interval(hits)),
        "top5": float((five == labels[:, None]).any(1).double().mean()),
        "mean_class": over_seen(multiclass_accuracy),
        "macro_f1": over_seen(multiclass_f1_score),
    }


def confusion_matrix(logits: Tensor, labels: Tensor) -> Tensor:
    """Counts (Y, Y), rows are true classes, columns predictions."""
    return multiclass_confusion_matrix(logits, labels, num_classes=logits.shape[1])
