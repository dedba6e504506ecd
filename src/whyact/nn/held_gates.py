"""Hold what decides, so that gradients tell what each input gave and not what would change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

GATES = frozenset(
    {
        F.normalize, F.softmax, Tensor.exp, Tensor.rsqrt, Tensor.sigmoid,
        Tensor.softmax, Tensor.tanh, torch.exp, torch.rsqrt, torch.sigmoid, torch.softmax,
        torch.tanh,
    }
)  # fmt: skip
"""Functions whose results weigh, choose or scale something else."""


class HeldGates(TorchFunctionMode):
    """Within it a decoder is linear in its tokens for gradients; what it computes stays the same.

    Attention, gates and the deviations of normalisations count as constants, and a GELU as its
    input times its gate. Gradient times input is then what went through, and adds up: to the logit
    but for what constants (biases, prompts) add. With gates that move the products say little. A
    normalised token's length changes nothing, so that its gradient times itself is zero, and a
    softmax tells where else to look, not what was seen. The rule is that of conservative
    propagation in transformers (Ali et al., ICML 2022).

    What is not listed in `GATES` is followed as usual (a ReLU is linear with its gate as it is);
    the contract tests say whether a decoder has a gate that is missing there.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        """Run ``func`` with its gate held."""
        kwargs = kwargs or {}
        if func is F.layer_norm:
            return _layer_norm(*args, **kwargs)
        if func is F.gelu:
            return _gelu(*args, **kwargs)
        made = func(*args, **kwargs)
        return made.detach() if func in GATES else made


def _gelu(x: Tensor, approximate: str = "none") -> Tensor:
    assert approximate == "none"
    # The gate of an input of zero has to be known too, so it isn't found by division.
    return x * torch.special.ndtr(x).detach()


def _layer_norm(
    x: Tensor, shape: Sequence[int], weight: Tensor | None = None, bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    made: Tensor = _HeldNorm.apply(x, shape, weight, bias, eps)
    return made


class _HeldNorm(torch.autograd.Function):
    """`torch.nn.functional.layer_norm` over the last axis, whose deviation has no gradient."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, shape: Sequence[int], weight: Tensor | None, bias: Tensor | None,
        eps: float,
    ) -> Tensor:  # fmt: skip
        """Normalise x (..., C) as `torch.nn.functional.layer_norm` does."""
        assert len(shape) == 1
        made, _, scale = torch.native_layer_norm(x, shape, weight, bias, eps)
        ctx.save_for_backward(scale, weight)
        return made

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradient of x alone; within `HeldGates` nothing is trained."""
        scale, weight = ctx.saved_tensors
        (gradient,) = gradients
        gradient = gradient if weight is None else gradient * weight
        gradient = (gradient - gradient.mean(-1, keepdim=True)) * scale
        return gradient, None, None, None, None
