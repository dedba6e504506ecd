"""Attention roll-out for transformers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from whyact.explainers.base import Model, from_heat, scored
from whyact.types import Explanation, WhyactError


class AttentionRollout:
    """Attention multiplied up over the layers (Abnar and Zuidema, ACL 2020, eq. 1).

    ``0.5 * mean over heads + 0.5 * identity``, rows made to sum to one, from the last layer to the
    first. It says where information could come from, not what speaks for a class: the map is the
    same for every class. The row of the first of the ``prefix`` tokens is read where that is the
    class token that the network decides by, else the mean over the grid's rows.

    Args:
        model: see `whyact.explainers.base.Model`.
        layers: from the first to the last: `torch.nn.MultiheadAttention`, or modules whose output
            is the attention itself, (n, heads, tokens, tokens) or (n, tokens, tokens), as a softmax
            or the dropout after it. Each must run once in a forward pass.
        grid: of the tokens: (T', h, w), or (h, w) for a network that runs on every frame apart.
        prefix: class or register tokens before the grid's.
        class_token: the network decides by the first of them; False where it pools the grid's.

    Raises:
        WhyactError: no layers.
    """

    name = "attention_rollout"

    def __init__(
        self, *, model: Model, layers: Sequence[nn.Module], grid: tuple[int, ...], prefix: int = 0,
        class_token: bool = True,
    ) -> None:  # fmt: skip
        if not layers:
            raise WhyactError("Attention roll-out needs attention layers; it is for transformers.")
        self.model, self.layers, self.grid, self.prefix = model, tuple(layers), grid, prefix
        self.class_token = class_token and prefix > 0

    @torch.no_grad()
    def __call__(self, clips: Tensor, targets: Tensor | None = None) -> list[Explanation]:
        """One forward pass; arguments as in `Explainer`.

        Raises:
            WhyactError: a layer that runs more or less than once, or attention of another shape
                than the grid's.
        """
        with _listen(self.layers) as heard:
            targets, scores = scored(self.model, clips, targets)
        flow: Tensor | None = None
        for layer, found in zip(self.layers, heard, strict=True):
            if len(found) != 1:
                raise WhyactError(
                    f"The attention layer {type(layer).__name__} ran {len(found)} times in a "
                    "forward pass and must run once."
                )
            step = self._step(found[0])
            flow = step if flow is None else step @ flow
        assert flow is not None
        cells = self._cells(flow, len(clips))
        heat = F.interpolate(cells[:, None], tuple(clips.shape[2:]), mode="trilinear")[:, 0]
        return from_heat(self.name, heat, targets, scores)

    def _step(self, attention: Tensor) -> Tensor:
        tokens = self.prefix + torch.Size(self.grid).numel()
        if attention.ndim == 4:
            attention = attention.mean(1)
        if attention.ndim != 3 or attention.shape[1:] != (tokens, tokens):
            raise WhyactError(
                f"Expected attention (n, {tokens}, {tokens}) for grid {self.grid} and prefix "
                f"{self.prefix}, got {tuple(attention.shape)}; give the layer's grid and prefix."
            )
        mixed = attention.float() + torch.eye(tokens, device=attention.device)
        return mixed / mixed.sum(-1, keepdim=True)

    def _cells(self, flow: Tensor, batch: int) -> Tensor:
        """(B, T', h, w)."""
        row = flow[:, 0] if self.class_token else flow[:, self.prefix :].mean(1)
        return row[:, self.prefix :].reshape(batch, -1, *self.grid[-2:])


@contextmanager
def _listen(layers: Sequence[nn.Module]) -> Iterator[list[list[Tensor]]]:
    """The attention that each layer makes while the context is open."""
    heard: list[list[Tensor]] = [[] for _ in layers]
    handles: list[Any] = []

    def ask(module: nn.Module, inputs: Any, options: dict[str, Any]) -> Any:
        return inputs, {**options, "need_weights": True, "average_attn_weights": True}

    for found, layer in zip(heard, layers, strict=True):

        def keep(m: nn.Module, i: Any, output: Any, found: list[Tensor] = found) -> None:
            found.append(output[1] if isinstance(output, tuple) else output)

        if isinstance(layer, nn.MultiheadAttention):
            handles.append(layer.register_forward_pre_hook(ask, with_kwargs=True))
        handles.append(layer.register_forward_hook(keep))
    try:
        yield heard
    finally:
        for handle in handles:
            handle.remove()
