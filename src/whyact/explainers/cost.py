"""What an explanation costs, counted in passes of single clips through the model."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from whyact.explainers.base import Model


class CountedModel:
    """A model that counts the clips that go through it, forwards and backwards.

    A backward pass down to the pixels, without gradients of weights, has about the arithmetic of a
    forward pass, so it counts as one more.

    Args:
        model: see `whyact.explainers.base.Model`.

    Attributes:
        forward: clips of all forward passes. backward: of all backward passes.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.reset()

    def reset(self) -> None:
        """Start from zero."""
        self.forward, self.backward = 0, 0

    @property
    def passes(self) -> int:
        """Forward-pass equivalents of single clips."""
        return self.forward + self.backward

    def __call__(self, clips: Tensor, **how: Any) -> Any:
        """What the model gives for clips (B, 3, T, H, W), and whatever else it takes."""
        count = len(clips)
        self.forward += count
        output = self.model(clips, **how)
        logits = output if isinstance(output, Tensor) else output.logits
        if logits.requires_grad:

            def note(gradient: Tensor) -> None:
                self.backward += count

            logits.register_hook(note)
        return output
