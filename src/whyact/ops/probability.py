"""What logits mean: one action a clip, or each for itself."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

Probabilities = Callable[[Tensor], Tensor]
"""Maps logits (..., Y) to probabilities (..., Y); `one_of` where a clip has one action, else the
sigmoid."""


def one_of(logits: Tensor) -> Tensor:
    """Probabilities (..., Y) of classes of which a clip has one."""
    return logits.softmax(-1)
