"""Batches of clips that hold different numbers of persons and objects."""

import torch

from whyact.types import Clip, collate


def with_boxes(count: int | None) -> Clip:
    boxes = None if count is None else torch.full((2, count, 5), 0.5)
    return Clip(video=torch.zeros(3, 2, 4, 4, dtype=torch.uint8), label=0, id="c", boxes=boxes)


def test_boxes_are_padded_to_the_clip_with_most() -> None:
    boxes = collate([with_boxes(1), with_boxes(3)]).boxes
    assert boxes is not None and boxes.shape == (2, 2, 3, 5)
    real = ~boxes.isnan().all(-1)
    assert real[:, 0].tolist() == [[True, False, False], [True, True, True]]


def test_a_clip_without_boxes_leaves_the_batch_without() -> None:
    assert collate([with_boxes(1), with_boxes(None)]).boxes is None
    assert collate([with_boxes(None)]).boxes is None
