"""Change what passes between the recogniser's modules, to see what it does to the prediction."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import MethodType
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from whyact.models.recognizer import ActionRecognizer, VideoModel
from whyact.models.vocabulary import Wanted
from whyact.nn.box_graph import BoxSpatialGraph
from whyact.nn.contracts import Prompts
from whyact.types import WhyactError

_Module = TypeVar("_Module", bound=nn.Module)


@dataclass(frozen=True)
class Intervention:
    """What is changed; nothing by default.

    Attributes:
        keep: by edge type, what the gates of the clip graph are multiplied by
            (`whyact.nn.graph_prompt_gnn.GraphPromptGnn.forward`); 0 deletes an edge.
        donor: (B,), row of the batch whose prompts a clip gets; None for its own.
        without: prompts of a frame that are switched off: gone from guides and graph alike, so the
            output has fewer. Unlike a prompt of zeros they take no attention from the others.
    """

    keep: Mapping[str, Tensor] = field(default_factory=dict)
    donor: Tensor | None = None
    without: Collection[int] = ()


def intervened(model: ActionRecognizer, change: Intervention) -> ActionRecognizer:
    """A model with the same weights that makes this change in every forward pass.

    ``model`` itself stays as it is, so several threads can change it at once.
    """
    changed = _shallow(model)
    changed.dynamic_prompts = _calling(
        model.dynamic_prompts, lambda make: partial(_edited, make, change)
    )
    if change.keep:
        changed.graph_prompt_gnn = _calling(
            model.graph_prompt_gnn, lambda refine: partial(refine, keep=change.keep)
        )
    return changed


def wishing(model: VideoModel, wanted: Wanted) -> VideoModel:
    """A model with the same weights that is asked for this in every forward pass."""
    return _calling(model, lambda forward: partial(forward, wanted=wanted))


def with_boxes(model: VideoModel, boxes: Tensor | None) -> VideoModel:
    """A model with the same weights that gives these boxes to every clip that comes without.

    So explainers and tests, which know pixels only, work on a clip of a model that reads boxes. One
    that finds regions by itself, or no boxes, give the model back.

    Args:
        model: any. boxes: (T, O, 5) of one clip, see `whyact.types.Batch.boxes`.
    """
    graph = getattr(model, "spatial_graph", None)
    if boxes is None or not isinstance(graph, BoxSpatialGraph):
        return model
    changed, made = _shallow(model), _shallow(graph)
    made.given = boxes
    changed.spatial_graph = made
    return changed


def _edited(make: Callable[..., Prompts], change: Intervention, *args: Any, **how: Any) -> Prompts:
    """Prompts as they are made, then changed."""
    made = make(*args, **how)
    if change.donor is not None:
        if change.donor.shape != made.prompts.shape[:1]:
            raise WhyactError(
                f"Expected {len(made.prompts)} donors, got shape {tuple(change.donor.shape)}."
            )
        made = replace(made, prompts=made.prompts[change.donor], weights=made.weights[change.donor])
    if change.without:
        kept = _kept(made.prompts.shape[2], change.without).to(made.prompts.device)
        made = replace(made, prompts=made.prompts[:, :, kept], weights=made.weights[:, :, kept])
    return made


def _kept(prompts: int, without: Collection[int]) -> Tensor:
    if missing := [p for p in without if not 0 <= p < prompts]:
        raise WhyactError(f"There is no prompt {missing[0]}; the model has {prompts} a frame.")
    return torch.tensor([p for p in range(prompts) if p not in without], dtype=torch.int64)


def _shallow(module: _Module) -> _Module:
    """A copy that shares parameters and submodules, but whose submodules can be exchanged."""
    made = copy.copy(module)
    made.__dict__["_modules"] = dict(module._modules)
    changed = module.__dict__.get("forward")
    if isinstance(changed, MethodType):  # of the copy, not of what it was copied from
        made.__dict__["forward"] = MethodType(changed.__func__, made)
    return made


def _calling(module: _Module, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> _Module:
    """A shallow copy of a module with its forward pass wrapped, over what wraps it already."""
    made = _shallow(module)
    inner = cast(MethodType, made.forward)

    def forward(self: nn.Module, *args: Any, **how: Any) -> Any:
        return wrap(MethodType(inner.__func__, self))(*args, **how)

    made.__dict__["forward"] = MethodType(forward, made)
    return made


def prompt_bank(model: ActionRecognizer) -> Tensor | None:
    """(M, C) prompts that the model mixes; None without."""
    bank = getattr(model.dynamic_prompts, "bank", None)
    return bank.detach() if isinstance(bank, torch.nn.Parameter) else None
