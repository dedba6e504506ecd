"""Scores of a model over a data set: the one evaluation pipeline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from rich.progress import track
from torch import Tensor, nn

from whyact.data.loader import load, view_batches
from whyact.data.protocol import ClipDataset
from whyact.types import Batch, Failure


@dataclass(frozen=True)
class Predictions:
    """What a model said of every clip that could be read in all its views.

    Attributes:
        ids: names, in data set order. index: (n,) position of each in the data set.
        logits: (n, Y), pooled over the views of each clip; (n, S, Y) where S scores were asked.
        labels: (n,) int64, or (n, Y) multi-hot.
        expected: clips that there should be. failures: those that could not be read.
    """

    ids: tuple[str, ...]
    index: Tensor
    logits: Tensor
    labels: Tensor
    expected: int
    failures: tuple[Failure, ...]

    @property
    def hits(self) -> Tensor:
        """(expected,) by place in the data set: 1 right, 0 wrong, NaN not read; of one label."""
        made = torch.full((self.expected,), torch.nan, dtype=torch.float64)
        made[self.index] = (self.logits.argmax(1) == self.labels).double()
        return made


@torch.no_grad()
def predict_dataset(
    model: nn.Module,
    dataset: ClipDataset,
    *,
    device: torch.device,
    batch_size: int = 32,
    workers: int = 0,
    pooling: str = "mean",
    title: str = "",
    score: Callable[[Batch], Tensor] | None = None,
) -> Predictions:
    """Score every clip, pooling its views.

    Args:
        model: maps (B, 3, T, H, W) in [0, 1] to an `ActionOutput`; put into evaluation mode.
        dataset: with ``dataset.views`` views a clip.
        batch_size: views a forward pass.
        pooling: of the views' logits: ``mean`` or ``max``.
        title: of the progress bar; empty shows none.
        score: makes logits (B, Y), or S of them (B, S, Y), of a batch; the model's own if None.
    """

    def own(batch: Batch) -> Tensor:
        logits: Tensor = model(batch.streams, **batch.given).logits
        return logits

    pool = {"mean": lambda views: views.mean(0), "max": lambda views: views.amax(0)}[pooling]
    was_training = model.training
    model.eval()
    batches = view_batches(
        len(dataset), views=dataset.views, batch_size=batch_size,
        blocks=getattr(dataset, "blocks", ()),
    )  # fmt: skip
    scores: dict[int, list[Tensor]] = {}
    pooled: dict[int, Tensor] = {}
    labels: dict[int, Tensor] = {}
    failures: dict[str, Failure] = {}
    steps = load(dataset, batches, workers=workers)
    for batch in track(steps, title, total=len(batches), disable=not title, transient=True):
        failures.update({f.id: f for f in batch.failures})
        if not len(batch):
            continue
        logits = (score or own)(batch.to(device)).float().cpu()
        if batch.class_order is not None:
            order = batch.class_order if logits.ndim == 2 else batch.class_order.unsqueeze(1)
            logits = logits.gather(-1, order.expand_as(logits))
        assert batch.index is not None
        for row, i in enumerate(batch.index.tolist()):
            scores.setdefault(i, []).append(logits[row])
            if len(scores[i]) == dataset.views:  # at once, as all views of all clips take much room
                pooled[i], labels[i] = pool(torch.stack(scores.pop(i))), batch.label[row]
    model.train(was_training)
    done, ids = sorted(pooled), dataset.ids
    return Predictions(
        ids=tuple(ids[i] for i in done),
        index=torch.tensor(done, dtype=torch.int64),
        logits=torch.stack([pooled[i] for i in done])
        if done
        else torch.zeros(0, len(dataset.classes)),
        labels=torch.stack([labels[i] for i in done]) if done else torch.zeros(0).long(),
        expected=len(dataset),
        failures=tuple(failures.values()),
    )
