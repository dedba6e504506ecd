"""Batches in a seeded order that any number of workers and processes agree on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from whyact.data.protocol import ClipDataset
from whyact.types import Batch, Clip, Failure, WhyactError, collate

Request = tuple[int, int]
BLOCKS_AT_ONCE = 4
"""Shards whose clips are shuffled together."""


def collate_items(items: Sequence[tuple[int, Clip | Failure]]) -> Batch:
    """Stack what could be read; what could not goes to `Batch.failures`.

    The batch may hold no clip at all; its video is then (0, 3, 1, 1, 1).
    """
    clips = [(i, c) for i, c in items if isinstance(c, Clip)]
    failures = tuple(c for _, c in items if isinstance(c, Failure))
    if not clips:
        none = torch.zeros(0, dtype=torch.int64)
        return Batch(torch.zeros(0, 3, 1, 1, 1), none, (), none, index=none, failures=failures)
    return replace(collate([c for _, c in clips], [i for i, _ in clips]), failures=failures)


class _Indexed(Dataset[tuple[int, Clip | Failure]]):
    def __init__(self, dataset: ClipDataset) -> None:
        self.dataset = dataset

    def __getitem__(self, request: Request) -> tuple[int, Clip | Failure]:
        return request[0], self.dataset[request]


def epoch_batches(
    length: int, *, epoch: int, seed: int, batch_size: int, processes: int = 1, rank: int = 0,
    steps: int = 1, blocks: Sequence[int] = (), weights: Tensor | None = None,
) -> list[list[Request]]:  # fmt: skip
    """This process's micro-batches of a training epoch.

    The shuffled epoch is cut into global batches; each global batch into ``steps`` rounds of one
    micro-batch for each process. So the clips of an optimiser step do not depend on the number of
    processes or accumulation steps. A last, incomplete global batch is left out.

    Args:
        length: clips in the data set. epoch: reshuffles. seed: of the order.
        batch_size: global; cut to ``length`` for smaller sets.
        processes, rank: of the run. steps: accumulation steps.
        blocks: number of the shard of every clip: shards are shuffled, and clips within four
            neighbouring ones, so that each is read once; empty shuffles everything.
        weights: (length,), chances by which clips are drawn, with replacement; None takes every
            clip once.

    Raises:
        WhyactError: the global batch does not divide evenly.
    """
    batch_size = min(batch_size, length)
    parts = processes * steps
    if batch_size % parts:
        raise WhyactError(
            f"A global batch of {batch_size} does not divide into {processes} processes x {steps} "
            "accumulation steps; change training.batch_size or training.device_batch_size."
        )
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    if weights is None:
        order = torch.randperm(length, generator=generator).tolist()
    else:
        order = torch.multinomial(weights, length, True, generator=generator).tolist()
    if blocks:
        place = torch.randperm(max(blocks) + 1, generator=generator).tolist()
        order.sort(key=lambda i: place[blocks[i]] // BLOCKS_AT_ONCE)
    micro = batch_size // parts
    batches = []
    for start in range(0, length - batch_size + 1, batch_size):
        for step in range(steps):
            first = start + (step * processes + rank) * micro
            batches.append([(i, epoch) for i in order[first : first + micro]])
    return batches


def view_batches(
    length: int, *, views: int, batch_size: int, blocks: Sequence[int] = ()
) -> list[list[Request]]:
    """The batches of an evaluation: every view of every clip once, in order.

    With ``blocks`` (see `epoch_batches`), shard after shard.
    """
    order = sorted(range(length), key=blocks.__getitem__) if blocks else range(length)
    requests = [(i, v) for i in order for v in range(views)]
    return [requests[i : i + batch_size] for i in range(0, len(requests), batch_size)]


class _Batches:
    """Batches of the epoch that is being read; the loader asks for them anew every time."""

    def __init__(self) -> None:
        self.now: Sequence[list[Request]] = ()

    def __iter__(self) -> Iterator[list[Request]]:
        return iter(self.now)

    def __len__(self) -> int:
        return len(self.now)


def drawn(count: int) -> list[int]:
    """Rows of a data set in a fixed random order: lists are mostly sorted by class."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(0)).tolist()


def none_read(split: str) -> WhyactError:
    """What to raise where no clip of a split could be read."""
    return WhyactError(f"No clip of '{split}' could be read; `whyact data check` says why.")


def chosen(count: int, most: int) -> list[int]:
    """As many of a data set's rows as `at_most` says, drawn from all, in their own order."""
    return sorted(drawn(count)[: at_most(count, most)])


def at_most(count: int, most: int) -> int:
    """How many of ``count`` clips are asked for; all if ``most`` is 0.

    Raises:
        WhyactError: fewer than none.
    """
    if most < 0:
        raise WhyactError(f"--clips is {most}; give a number of clips, or 0 for all.")
    return min(most or count, count)


class Loader:
    """Reads batches, in order; its processes live on, with what they know of the files.

    Args:
        dataset: to read. workers: loader processes; 0 reads in this one.
    """

    def __init__(self, dataset: ClipDataset, *, workers: int = 0) -> None:
        self._batches = _Batches()
        self._loader = DataLoader(
            _Indexed(dataset),
            batch_sampler=cast("list[list[int]]", self._batches),
            num_workers=workers,
            persistent_workers=workers > 0,
            collate_fn=collate_items,
            pin_memory=torch.cuda.is_available(),
            # Forked workers inherit torch's thread pool in an unusable state.
            multiprocessing_context="spawn" if workers else None,
        )

    def __call__(self, batches: Sequence[list[Request]]) -> Iterator[Batch]:
        """Read these batches; one epoch at a time."""
        self._batches.now = list(batches)
        return iter(self._loader)


def load(
    dataset: ClipDataset, batches: Sequence[list[Request]], *, workers: int = 0
) -> Iterator[Batch]:
    """Read batches once, in order, with ``workers`` loader processes (0: in this one)."""
    return Loader(dataset, workers=workers)(batches)
