"""Recognition scores with bootstrap intervals over clips."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torchmetrics.functional.classification import (
    multilabel_average_precision,
)

from whyact.metrics.bootstrap import draws_of_measures, measures, percentile_interval

MEASURES = ("top1", "top5", "mean_class", "macro_f1", "map")
"""Shares that `recognition_scores` gives for single labels, and ``map`` for several."""


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
    scores: dict[str, Any] = dict(measures(logits, labels))
    if intervals:
        for name, values in draws_of_measures(logits, labels).items():
            scores[f"{name}_interval"] = percentile_interval(values)
    return {"clips": len(labels), **scores}


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
    classes = logits.shape[1]
    pairs = labels * classes + logits.argmax(1)  # torchmetrics refuses a single class
    return pairs.bincount(minlength=classes**2).view(classes, classes)


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
