"""Evidence over a video of any length, window by window, in constant memory."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from whyact.models.recognizer import VideoModel
from whyact.nn.head import best_wished
from whyact.types import WhyactError


@torch.no_grad()
def wish_evidence(
    model: VideoModel, clip: Tensor, wished: Tensor, *, softmax: bool
) -> tuple[Tensor, Tensor]:
    """What a clip says for each of n wishes, and when.

    The evidence of a time step is its part of a wish's logit, which is the mean over steps. Unlike
    probabilities it is what the model's contributions add up to, and does not saturate: a frame
    that says a little for a class and one that says much for it may both have a probability of one.

    Args:
        model: in evaluation mode. clip: (3, T, H, W).
        wished: (n, Y), above 0 for the classes of each wish; of several the best counts.
        softmax: classes exclude each other. The softmax does not see what all classes have in
            common, so their mean is taken off each step. Otherwise each class has a probability of
            its own, and a model that can be asked is asked for every wish by itself.

    Returns:
        Evidence (T', n) in logits, and probabilities of the clip (n,).
    """
    tokens, grid = model.encode(clip[None])
    return token_evidence(model, tokens, grid, wished, softmax=softmax)


@torch.no_grad()
def token_evidence(
    model: VideoModel, tokens: Tensor, grid: tuple[int, int], wished: Tensor, *, softmax: bool
) -> tuple[Tensor, Tensor]:
    """`wish_evidence` of a clip's tokens (1, T', N, D) on their grid."""
    if not softmax and model.can_be_asked:
        found = model.score_wishes(tokens, grid, wished)
        return found.frame_logits[0].T, found.logits[0].sigmoid()
    logits = model.decode(tokens, grid).frame_logits
    if softmax:
        probability = (logits[0].mean(0).softmax(-1) @ wished.T).clamp(max=1.0)
        logits = logits - logits.mean(-1, keepdim=True)
    found = best_wished(logits.unsqueeze(1).expand(-1, len(wished), -1, -1), wished)
    return found.frame_logits[0].T, probability if softmax else found.logits[0].sigmoid()


def window_starts(length: int, window: int, hop: int) -> list[int]:
    """Starts of windows over ``length`` frames; the last one ends with the video."""
    if window < 1 or hop < 1 or hop > window:
        raise WhyactError(f"A window of {window} frames cannot move by {hop}.")
    last = max(0, length - window)
    return [*range(0, last, hop), last]


def video_evidence(
    score: Callable[[int, int], Tensor], *, length: int, window: int, hop: int = 0
) -> Tensor:
    """Evidence of every frame of a video, (length, n), the mean over the windows that see it.

    One window is in memory at a time; what grows with the video is this result only.

    Args:
        score: maps a window, frames ``start`` to ``stop`` of the video, to (T', n).
        length: frames of the video. window: w; a shorter video is one window.
        hop: frames between windows; half a window if 0.
    """
    total: Tensor | None = None
    counts = torch.zeros(length, 1)
    for start in window_starts(length, window, hop or max(1, window // 2)):
        stop = min(length, start + window)
        found = score(start, stop).float().cpu()
        # A time step stands for its frames, so that no evidence leaks to its neighbours.
        spread = F.interpolate(found.T[None], size=stop - start, mode="nearest")[0].T
        total = torch.zeros(length, found.shape[1]) if total is None else total
        total[start:stop] += spread
        counts[start:stop] += 1
    assert total is not None
    return total / counts
