"""The order of an epoch does not depend on processes, accumulation steps or interruptions."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from whyact.data.loader import Loader, Request, chosen, epoch_batches, load, view_batches
from whyact.types import Clip, Failure, WhyactError


class Numbers:
    """Clip i of round r is filled with i; every seventh cannot be read."""

    classes = ("even", "odd")
    scenes: tuple[str, ...] = ()
    labels = tuple(i % 2 for i in range(30))
    groups = ids = tuple(map(str, range(30)))
    views, fingerprint = 2, "none"

    def __len__(self) -> int:
        return 30

    def __getitem__(self, request: tuple[int, int]) -> Clip | Failure:
        index, turn = request
        if index % 7 == 3:
            return Failure(str(index), "seventh")
        video = torch.full((3, 2, 4, 4), index, dtype=torch.uint8)
        return Clip(video=video, label=index % 2, id=str(index), nuisance=turn)


def global_batches(processes: int, steps: int, **settings) -> list[list[Request]]:
    """The clips of every optimiser step, gathered over processes and accumulation steps."""
    ranks = [
        epoch_batches(**settings, processes=processes, steps=steps, rank=r)
        for r in range(processes)
    ]
    assert len({len(batches) for batches in ranks}) == 1
    gathered = []
    for start in range(0, len(ranks[0]), steps):
        rounds = [batches[start + s] for s in range(steps) for batches in ranks]
        assert len({len(micro) for micro in rounds}) == 1
        gathered.append(list(itertools.chain.from_iterable(rounds)))
    return gathered


@settings(deadline=None, max_examples=80)
@given(
    length=st.integers(12, 200), epoch=st.integers(0, 9), seed=st.integers(0, 2**20),
    parts=st.sampled_from([(1, 2), (1, 3), (2, 1), (2, 2), (3, 1), (2, 3), (4, 3), (12, 1)]),
)  # fmt: skip
def test_global_batches_do_not_depend_on_processes_and_steps(length, epoch, seed, parts) -> None:
    order = {"length": length, "epoch": epoch, "seed": seed, "batch_size": 12}
    alone = global_batches(1, 1, **order)
    assert alone == global_batches(*parts, **order)
    assert len(alone) == length // 12
    seen = [i for batch in alone for i, _ in batch]
    assert len(seen) == len(set(seen)) and set(seen) <= set(range(length))
    assert {e for batch in alone for _, e in batch} == {epoch}


def test_epochs_and_seeds_shuffle_anew() -> None:
    orders = [
        tuple(i for i, _ in epoch_batches(50, epoch=e, seed=s, batch_size=50)[0])
        for e, s in [(0, 0), (1, 0), (0, 1), (1, 1)]
    ]
    assert len(set(orders)) == 4 and all(sorted(order) == list(range(50)) for order in orders)


def test_a_set_smaller_than_the_batch_is_one_batch() -> None:
    assert [len(b) for b in epoch_batches(6, epoch=0, seed=0, batch_size=256)] == [6]


def test_a_batch_that_does_not_divide_is_an_error() -> None:
    with pytest.raises(
        WhyactError, match=r"batch of 10 does not divide into 2 processes x 3 accumulation steps"
    ):
        epoch_batches(40, epoch=0, seed=0, batch_size=10, processes=2, steps=3)


def test_every_view_of_every_clip_is_evaluated_once() -> None:
    batches = view_batches(7, views=3, batch_size=4)
    assert [r for batch in batches for r in batch] == [(i, v) for i in range(7) for v in range(3)]
    assert all(len(batch) <= 4 for batch in batches)


def test_a_resumed_epoch_goes_on_where_it_stopped() -> None:
    batches = epoch_batches(30, epoch=2, seed=5, batch_size=6)
    whole = list(load(Numbers(), batches))
    rest = list(load(Numbers(), epoch_batches(30, epoch=2, seed=5, batch_size=6)[3:]))
    assert len(whole) == 5 and len(rest) == 2
    for one, two in zip(whole[3:], rest, strict=True):
        assert torch.equal(one.video, two.video) and one.ids == two.ids


def test_batches_come_in_order_with_their_failures() -> None:
    requests = [[(0, 0), (3, 0), (4, 1)], [(10, 0), (17, 0)], [(29, 1)]]
    batches = list(load(Numbers(), requests))
    assert [b.ids for b in batches] == [("0", "4"), (), ("29",)]
    assert [[f.id for f in b.failures] for b in batches] == [["3"], ["10", "17"], []]
    assert batches[0].index is not None and batches[0].index.tolist() == [0, 4]
    assert batches[0].nuisance.tolist() == [0, 1] and batches[0].label.tolist() == [0, 0]
    assert batches[0].video[:, 0, 0, 0, 0].tolist() == [0, 4]
    assert [len(b) for b in batches] == [2, 0, 1]


def test_a_loader_reads_epoch_after_epoch() -> None:
    loader = Loader(Numbers(), workers=1)
    for epoch in range(2):
        batches = epoch_batches(30, epoch=epoch, seed=0, batch_size=10)
        read = list(loader(batches))
        assert [b.nuisance.tolist() for b in read] == [[epoch] * len(b) for b in read]
        wanted = [[i for i, _ in batch if i % 7 != 3] for batch in batches]
        assert [b.index.tolist() for b in read if b.index is not None] == wanted
    first = next(loader(epoch_batches(30, epoch=5, seed=0, batch_size=10)))  # and left there
    again = next(loader(epoch_batches(30, epoch=6, seed=0, batch_size=10)))
    assert set(first.nuisance.tolist()) == {5} and set(again.nuisance.tolist()) == {6}


def test_some_of_the_rows_all_of_them_and_no_negative_number() -> None:
    assert (
        chosen(5, 0) == list(range(5)) and len(chosen(5, 2)) == 2 and chosen(5, 9) == chosen(5, 0)
    )
    with pytest.raises(WhyactError, match="--clips is -3; give a number of clips, or 0 for all"):
        chosen(10, -3)
