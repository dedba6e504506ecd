"""Protocols of asking: where the wishes that a model is scored under come from, and their leak."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from whyact.models.recognizer import VideoModel
from whyact.types import Batch


@dataclass(frozen=True)
class Protocol:
    """How wishes are made.

    Attributes:
        name: of the protocol. reads_labels: whether the wishes come from the labels of the test.
        title: what is done, in words.
    """

    name: str
    reads_labels: bool
    title: str


PROTOCOLS = (
    Protocol("no_prompt", False, "one unprompted pass"),
    Protocol("label_free", False, "every class by itself, the same full list for every clip"),
    Protocol("predicted", False, "the classes that the unprompted pass finds, all in one wish"),
    Protocol("oracle", True, "the true classes, all in one wish: it gives them away"),
)
"""Protocols of `asked_logits`, in its order."""


def multi_hot(label: Tensor, classes: int) -> Tensor:
    """Labels (B, Y) of (B,) or (B, Y); -1 marks a clip whose label is unknown: all zero."""
    return F.one_hot(label + 1, classes + 1)[:, 1:] if label.ndim == 1 else label


@torch.no_grad()
def asked_logits(model: VideoModel, batch: Batch) -> Tensor:
    """Scores of a batch under all `PROTOCOLS`, with the video and without it.

    Without the video all tokens are zero, and no box is where one was, so that what still scores
    can only come from the wishes: it is the leak of the protocol.

    Args:
        model: in evaluation mode. batch: on the model's device, video float in [0, 1].

    Returns:
        (B, 2, 4, Y): with the video, and without; one row a protocol.
    """
    label = batch.label
    if batch.class_order is not None:  # a mirrored view shows the class that it is swapped with
        classes = batch.class_order.shape[1]
        label = multi_hot(label, classes).gather(1, batch.class_order)
    return asked_tokens(model, *model.encode(batch.streams), label, batch.boxes)


@torch.no_grad()
def asked_tokens(
    model: VideoModel, tokens: Tensor, grid: tuple[int, int], label: Tensor,
    boxes: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """`asked_logits` of tokens (B, T', N, D) and labels, (B,) or (B, Y) multi-hot."""
    nobody = None if boxes is None else torch.full_like(boxes, torch.nan)
    seen = _each(model, tokens, grid, label, boxes)
    return torch.stack([seen, _each(model, torch.zeros_like(tokens), grid, label, nobody)], 1)


def _each(
    model: VideoModel, tokens: Tensor, grid: tuple[int, int], label: Tensor, boxes: Tensor | None
) -> Tensor:
    plain = model.decode(tokens, grid, boxes=boxes).logits
    classes = plain.shape[1]
    label = multi_hot(label, classes)
    each = model.score_wishes(tokens, grid, torch.eye(classes).to(plain), boxes).logits
    best = F.one_hot(plain.argmax(1), classes).bool()
    predicted = (plain > 0) | best
    asked = [model.decode(tokens, grid, w.to(plain), boxes).logits for w in (predicted, label)]
    return torch.stack([plain, each, *asked], 1)
