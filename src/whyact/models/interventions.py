"""Change what passes between the recogniser's modules, to see what it does to the prediction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from whyact.models.recognizer import ActionRecognizer
from whyact.nn.contracts import Prompts
from whyact.types import ActionOutput, WhyactError


def decode_without(
    model: ActionRecognizer, tokens: Tensor, grid: tuple[int, int], keep: Mapping[str, Tensor]
) -> ActionOutput:
    """`ActionRecognizer.decode` with edges of the clip graph deleted.

    Args:
        model: with a clip graph. tokens, grid: as `ActionRecognizer.encode` gives them.
        keep: by edge type, see `whyact.nn.graph_prompt_gnn.GraphPromptGnn.forward`.
    """

    def add(module: nn.Module, inputs: Any, options: dict[str, Any]) -> Any:
        return inputs, {**options, "keep": keep}

    with _hook(model.graph_prompt_gnn.register_forward_pre_hook(add, with_kwargs=True)):
        return model.decode(tokens, grid)


def decode_with_prompts(
    model: ActionRecognizer, tokens: Tensor, grid: tuple[int, int], donor: Tensor
) -> ActionOutput:
    """`ActionRecognizer.decode` with each clip's prompts taken from another clip of the batch.

    Args:
        model, tokens, grid: as in `decode_without`. donor: (B,), row whose prompts a clip gets.

    Raises:
        WhyactError: another number of donors than clips.
    """
    if donor.shape != tokens.shape[:1]:
        raise WhyactError(f"Expected {len(tokens)} donors, got shape {tuple(donor.shape)}.")

    def swap(module: nn.Module, inputs: Any, output: Prompts) -> Prompts:
        return replace(output, prompts=output.prompts[donor], weights=output.weights[donor])

    with _hook(model.dynamic_prompts.register_forward_hook(swap)):
        return model.decode(tokens, grid)


@contextmanager
def _hook(handle: Any) -> Iterator[None]:
    try:
        yield
    finally:
        handle.remove()


def prompt_bank(model: ActionRecognizer) -> Tensor | None:
    """(M, C) prompts that the model mixes; None without."""
    bank = getattr(model.dynamic_prompts, "bank", None)
    return bank.detach() if isinstance(bank, torch.nn.Parameter) else None
