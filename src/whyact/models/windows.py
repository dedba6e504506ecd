"""Evidence over a video of any length, window by window, in constant memory."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from whyact.models.recognizer import VideoModel
from whyact.types import WhyactError

Read = Callable[[int, int], Tensor]
"""Gives frames ``start`` to ``stop`` of a video as (3, stop - start, H, W) float in [0, 1]."""


@torch.no_grad()
def wished_evidence(model: VideoModel, clip: Tensor, wished: Tensor, *, softmax: bool) -> Tensor:
    """Probability of each wish at every time step of a clip, (T', n).

    A model that splits its graph is asked for each wish by itself; others tell from one pass.

    Args:
        model: in evaluation mode. clip: (3, T, H, W). wished: (n, Y).
        softmax: classes exclude each other; otherwise each has a probability of its own.
    """
    tokens, grid = model.encode(clip[None])
    if not softmax:
        return model.score_wishes(tokens, grid, wished).frame_logits[0].T.sigmoid()
    frames = model.decode(tokens, grid).frame_logits[0].softmax(-1)
    return (frames @ wished.T).clamp(max=1.0)


@torch.no_grad()
def class_evidence(model: VideoModel, clip: Tensor, *, classes: int, softmax: bool) -> Tensor:
    """Logit of each class at every time step of a clip, (T', Y); their mean is the clip's logit.

    Unlike probabilities they are what the model's contributions add up to, and do not saturate: a
    frame that says a little for a class and one that says much for it may both have a probability
    of one.

    Args:
        model: in evaluation mode. clip: (3, T, H, W). classes: Y.
        softmax: classes exclude each other. The softmax does not see what all classes have in
            common, so their mean is taken off each step. Otherwise a model that splits its graph
            is asked for every class by itself.
    """
    tokens, grid = model.encode(clip[None])
    return token_evidence(model, tokens, grid, classes=classes, softmax=softmax)


@torch.no_grad()
def token_evidence(
    model: VideoModel, tokens: Tensor, grid: tuple[int, int], *, classes: int, softmax: bool
) -> Tensor:
    """`class_evidence` of a clip's tokens (1, T', N, D) on their grid."""
    if softmax:
        logits = model.decode(tokens, grid).frame_logits[0]
        return logits - logits.mean(-1, keepdim=True)
    return model.score_wishes(tokens, grid, torch.eye(classes).to(tokens)).frame_logits[0].T


def window_starts(length: int, window: int, hop: int) -> list[int]:
    """Starts of windows over ``length`` frames; the last one ends with the video."""
    if window < 1 or hop < 1 or hop > window:
        raise WhyactError(f"A window of {window} frames cannot move by {hop}.")
    last = max(0, length - window)
    return [*range(0, last, hop), last]


def video_evidence(
    score: Callable[[Tensor], Tensor], read: Read, *, length: int, window: int, hop: int = 0
) -> Tensor:
    """Evidence of every frame of a video, (length, n), the mean over the windows that see it.

    One window is in memory at a time; what grows with the video is this result only.

    Args:
        score: maps a window (3, w, H, W) to (T', n). read: see `Read`.
        length: frames of the video. window: w; a shorter video is one window.
        hop: frames between windows; half a window if 0.
    """
    total: Tensor | None = None
    counts = torch.zeros(length, 1)
    for start in window_starts(length, window, hop or max(1, window // 2)):
        stop = min(length, start + window)
        found = score(read(start, stop)).float().cpu()
        # A time step stands for its frames, so that no evidence leaks to its neighbours.
        spread = F.interpolate(found.T[None], size=stop - start, mode="nearest")[0].T
        total = torch.zeros(length, found.shape[1]) if total is None else total
        total[start:stop] += spread
        counts[start:stop] += 1
    assert total is not None
    return total / counts
