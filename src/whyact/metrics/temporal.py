"""Localisation in time: detected intervals against true ones, and frames against their labels.

Every list has one entry a clip; intervals of a clip are in one unit, frames or seconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from whyact.metrics.recognition import recognition_scores
from whyact.types import Interval, WhyactError

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
"""Temporal IoU of THUMOS14's and ActivityNet's protocols, as far as weak supervision reports."""

Clips = Sequence[Sequence[Interval]]


def temporal_iou(first: Interval, second: Interval) -> float:
    """Overlap over union of two intervals, whatever their actions; 0 for empty ones."""
    overlap = min(first.stop, second.stop) - max(first.start, second.start)
    if overlap <= 0:
        return 0.0
    return overlap / (first.stop - first.start + second.stop - second.start - overlap)


def average_precision(truth: Clips, found: Clips, action: int, threshold: float) -> float | None:
    """Area under the precision-recall curve of one action, interpolated as in ActivityNet.

    Detections are taken by falling score over all clips (ties in the order of the clips). Each is
    right if it overlaps a true interval of its clip and action, not yet found, by at least
    ``threshold``; the one of largest overlap is then found. So a second detection of the same
    interval is wrong.

    Returns:
        In [0, 1]; None where no clip holds the action.
    """
    _check(truth, found)
    total = sum(t.action == action for clip in truth for t in clip)
    if not total:
        return None
    ranked = sorted(
        ((d, clip) for clip, all_of in enumerate(found) for d in all_of if d.action == action),
        key=lambda pair: -pair[0].score,
    )
    open_ones = {
        clip: [t for t in all_of if t.action == action] for clip, all_of in enumerate(truth)
    }
    hits = np.zeros(len(ranked))
    for rank, (detection, clip) in enumerate(ranked):
        best = max(open_ones[clip], key=lambda t: temporal_iou(t, detection), default=None)
        if best is not None and temporal_iou(best, detection) >= threshold:
            hits[rank] = 1
            open_ones[clip].remove(best)
    right = hits.cumsum()
    precision = right / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((envelope * hits).sum() / total)


def detection_map(
    truth: Clips, found: Clips, thresholds: Sequence[float] = THRESHOLDS
) -> dict[str, float | None]:
    """Mean average precision over the actions that occur, by temporal IoU.

    Returns:
        ``map@0.1`` … and ``map``, their mean; None where no clip holds any action.
    """
    actions = sorted({t.action for clip in truth for t in clip})
    scores: dict[str, float | None] = {}
    for threshold in thresholds:
        each = [average_precision(truth, found, a, threshold) for a in actions]
        known = [value for value in each if value is not None]
        scores[f"map@{threshold:g}"] = float(np.mean(known)) if known else None
    values = [v for v in scores.values() if v is not None]
    return {**scores, "map": float(np.mean(values)) if values else None}


def frame_labels(intervals: Sequence[Interval], frames: int, classes: int) -> Tensor:
    """(frames, classes) of 0 and 1: the actions of every frame, from intervals in frames."""
    labels = torch.zeros(frames, classes)
    for one in intervals:
        # Frames whose middles lie in it; ``round`` would take halves to even numbers.
        start, stop = (max(0, math.ceil(x - 0.5)) for x in (one.start, one.stop))
        labels[start:stop, one.action] = 1.0
    return labels


def frame_map(evidence: Sequence[Tensor], truth: Clips) -> float | None:
    """Mean average precision of frames, over the actions that occur (Charades' protocol).

    Args:
        evidence: (T, Y) a clip, logits or any other order. truth: intervals in frames.
    """
    _check(truth, evidence)
    if not len(evidence):
        return None
    labels = [frame_labels(t, *e.shape) for t, e in zip(truth, evidence, strict=True)]
    score: float | None = recognition_scores(
        torch.cat(list(evidence)), torch.cat(labels), intervals=False
    )["map"]
    return score


def _check(truth: Sequence[object], found: Sequence[object]) -> None:
    if len(truth) != len(found):
        raise WhyactError(f"Expected one entry a clip, got {len(truth)} and {len(found)} of them.")
