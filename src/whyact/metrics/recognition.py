"""Recognition scores with bootstrap intervals over clips."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_confusion_matrix,
    multiclass_f1_score,
    multilabel_average_precision,
)

from whyact.metrics.bootstrap import (
    draws_of_measures,
    expected_calibration_error,
    percentile_interval,
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


def recognition_scores(logits: Tensor, labels: Tensor, *, intervals: bool = True) -> dict[str, Any]:
    """Score clips.

    Args:
        logits: (n, Y). labels: (n,) int64, or (n, Y) multi-hot.
        intervals: add the 95 % bootstrap interval of each measure, as ``<measure>_interval``.

    Returns:
        For single labels ``top1``, ``top5``, ``mean_class`` (mean over the classes that occur),
        ``macro_f1`` (the same classes) and ``ece``, the expected calibration error; for multi-label
        sets ``map`` over the classes that occur. Shares in [0, 1]. ``clips`` counts them. Empty
        input gives None.
    """
    if not len(labels):
        return {"clips": 0, "top1": None, "top5": None, "mean_class": None}
    if labels.ndim == 2 and not bool(labels.any()):
        return {"clips": len(labels), "map": None}
    scores = _measures(logits, labels)
    if intervals:
        for name, values in draws_of_measures(logits, labels).items():
            scores[f"{name}_interval"] = percentile_interval(values)
    return {"clips": len(labels), **scores}


def _measures(logits: Tensor, labels: Tensor) -> dict[str, Any]:
    classes = logits.shape[1]
    if labels.ndim == 2:
        seen = labels.bool().any(0)
        per_class = _average_precisions(logits, labels)
        return {"map": float(per_class[seen].mean())}
    seen = torch.bincount(labels, minlength=classes) > 0

    def over_seen(metric: Callable[..., Tensor]) -> float:
        return float(metric(logits, labels, num_classes=classes, average=None)[seen].mean())

    hits = (logits.argmax(1) == labels).double()
    five = logits.topk(min(5, classes), dim=1).indices
    return {
        "top1": float(hits.mean()),
        "top5": float((five == labels[:, None]).any(1).double().mean()),
        "mean_class": over_seen(multiclass_accuracy),
        "macro_f1": over_seen(multiclass_f1_score),
        "ece": expected_calibration_error(logits, labels),
    }


def _average_precisions(logits: Tensor, labels: Tensor) -> Tensor:
    """(Y,), meaningless for classes without a clip; of ranks, as a sigmoid ties high logits."""
    ranks = logits.unique(return_inverse=True)[1].double() / logits.numel()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No positive samples")
        return multilabel_average_precision(
            ranks, labels.long(), num_labels=logits.shape[1], average=None
        )


def confusion_matrix(logits: Tensor, labels: Tensor) -> Tensor:
    """Counts (Y, Y), rows are true classes, columns predictions."""
    return multiclass_confusion_matrix(logits, labels, num_classes=logits.shape[1])


def per_class_scores(
    logits: Tensor, labels: Tensor, classes: Sequence[str]
) -> list[dict[str, Any]]:
    """One row a class: ``class``, ``clips``, and what was measured, None where no clip has it.

    For single labels ``recall``, ``precision`` and ``f1``; for several ``average_precision``.

    Args:
        logits: (n, Y). labels: (n,) or (n, Y) multi-hot. classes: Y names.
    """
    if labels.ndim == 2:
        counts = labels.sum(0).long()
        measured = {"average_precision": _average_precisions(logits, labels)}
    else:
        matrix = confusion_matrix(logits, labels).double()
        counts, named, right = matrix.sum(1).long(), matrix.sum(0), matrix.diagonal()
        measured = {
            "recall": right / counts,
            "precision": right / named.clamp(min=1),
            "f1": 2 * right / (counts + named).clamp(min=1),
        }
    return [
        {"class": name, "clips": int(counts[i])}
        | {k: float(v[i]) if counts[i] else None for k, v in measured.items()}
        for i, name in enumerate(classes)
    ]
