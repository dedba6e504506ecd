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


def test_all_tensors_of_a_batch_are_pinned(monkeypatch) -> None:
    pinned: list[int] = []
    monkeypatch.setattr(
        torch.Tensor, "pin_memory", lambda self: (pinned.append(self.numel()), self + 1)[1]
    )
    batch = collate([with_boxes(1)])
    made = batch.pin_memory()
    assert len(pinned) == 5  # video, label, nuisance, index, boxes
    assert made.ids == batch.ids and bool((made.video == batch.video + 1).all())
