"""The interface of all explainers, and what they share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from whyact.types import Explanation, WhyactError

Model = Callable[[Tensor], Any]
"""Maps clips (B, 3, T, H, W), RGB in [0, 1], to logits (B, Y) or to an output with ``logits``."""


class Explainer(Protocol):
    """A method that explains clips; the model is given to its constructor.

    Attributes:
        name: of the method; `whyact.types.Explanation.method` of what it returns.
    """

    name: str

    def __call__(self, clips: Tensor, targets: Tensor | None = None) -> list[Explanation]:
        """Explain every clip.

        Args:
            clips: (B, 3, T, H, W), RGB in [0, 1].
            targets: (B,) classes to explain; the predicted ones if None.
        """
        ...


def logits_of(model: Model, clips: Tensor) -> Tensor:
    """Logits (B, Y) of a model that returns them or an output that has them.

    Raises:
        WhyactError: the model returns something else.
    """
    output = model(clips)
    logits = output if isinstance(output, Tensor) else getattr(output, "logits", None)
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(clips):
        came = tuple(logits.shape) if isinstance(logits, Tensor) else type(output).__name__
        raise WhyactError(
            f"Expected logits ({len(clips)}, classes) from the model for {len(clips)} clips, "
            f"got {came}; wrap it in a function that returns logits."
        )
    return logits


def check_clips(clips: Tensor) -> None:
    """Raise `WhyactError` unless clips are (B, 3, T, H, W) float."""
    if clips.ndim != 5 or clips.shape[1] != 3 or not clips.is_floating_point():
        raise WhyactError(
            "Expected clips of shape (B, 3, T, H, W), RGB as float in [0, 1], got "
            f"{tuple(clips.shape)} of {clips.dtype}."
        )


def choose_targets(logits: Tensor, targets: Tensor | None) -> Tensor:
    """The given classes (B,), or the predicted ones.

    Raises:
        WhyactError: another number of targets than clips, or a class that the model has not.
    """
    if targets is None:
        return logits.argmax(1)
    if targets.shape != logits.shape[:1]:
        raise WhyactError(f"Expected {len(logits)} targets, got shape {tuple(targets.shape)}.")
    wrong = targets[(targets < 0) | (targets >= logits.shape[1])]
    if len(wrong):
        raise WhyactError(
            f"There is no class {int(wrong[0])}; the model has {logits.shape[1]}, from 0."
        )
    return targets.to(logits.device)


def picked(logits: Tensor, targets: Tensor) -> Tensor:
    """(B,), each clip's logit of its target."""
    return logits.gather(1, targets[:, None]).squeeze(1)


@torch.no_grad()
def scored(model: Model, clips: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The classes (B,) to explain, the predicted ones if None, and their logits (B,)."""
    check_clips(clips)
    logits = logits_of(model, clips)
    targets = choose_targets(logits, targets)
    return targets, picked(logits, targets)


def from_heat(
    method: str,
    heat: Tensor,
    targets: Tensor,
    scores: Tensor,
    extra: Sequence[dict[str, Any]] | None = None,
) -> list[Explanation]:
    """Explanations that consist of heat maps alone.

    Args:
        method: name. heat: (B, T, H, W), of which the positive part is taken.
        targets, scores: (B,). extra: of each explanation.

    Raises:
        WhyactError: a heat map with values that are no finite numbers.
    """
    if not bool(torch.isfinite(heat).all()):
        raise WhyactError(f"{method}: the heat map has values that are no finite numbers.")
    heat = heat.detach().clamp_min(0).cpu()
    return [
        Explanation(
            method=method,
            target=int(targets[b]),
            heat=heat[b],
            score=float(scores[b]),
            extra=dict(extra[b]) if extra else {},
        )
        for b in range(len(heat))
    ]
