"""Folds share no clip and no group; the same seed gives the same folds."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data import miniatures

from whyact.config import Config
from whyact.data.catalog import listing_of
from whyact.data.folds import carve, group_fold, groups_of, random_fold
from whyact.data.listing import Listing, Record
from whyact.types import WhyactError


def listing(rows: list[tuple[int, int]]) -> Listing:
    """One clip for each (class, group)."""
    records = [Record(Path(f"{i}.mp4"), str(i), c, f"g{g}") for i, (c, g) in enumerate(rows)]
    return Listing(tuple(f"class {i}" for i in range(4)), tuple(records))


ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), min_size=12, max_size=80)


def units(of: Listing) -> set[tuple[object, str]]:
    return {(r.label, r.group) for r in of.records}


@settings(deadline=None, max_examples=60)
@given(rows=ROWS, seed=st.integers(0, 99), count=st.integers(2, 5))
def test_random_folds_partition_the_clips_and_keep_groups_together(rows, seed, count) -> None:
    whole = listing(rows)
    if len(units(whole)) < count:
        return

    def part(fold: int, split: str) -> Listing:
        return random_fold(whole, count=count, seed=seed, fold=fold, split=split)

    tested = [r.id for fold in range(count) for r in part(fold, "test").records]
    assert sorted(tested) == sorted(r.id for r in whole.records)
    for fold in range(count):
        parts = {s: part(fold, s) for s in ("train", "fit", "val", "test")}
        assert not units(parts["train"]) & units(parts["test"])
        assert not units(parts["fit"]) & units(parts["val"])
        assert units(parts["fit"]) | units(parts["val"]) == units(parts["train"])
        assert part(fold, "test") == parts["test"]
    if len({(r.label, r.group) for r in whole.records}) == len(whole.records):  # single clips
        for label in range(4):
            sizes = [sum(r.label == label for r in part(f, "test").records) for f in range(count)]
            assert max(sizes) - min(sizes) <= 1


def test_groups_of_several_classes_stay_together_where_they_are_told_to_be_such() -> None:
    whole = listing([(c, g) for g in range(10) for c in range(4)])
    for fold in range(5):
        test, train = (
            random_fold(whole, count=5, seed=1, fold=fold, split=s, across_classes=True)
            for s in ("test", "train")
        )
        assert len(test.records) == 8 and len({r.group for r in test.records}) == 2
        assert not {r.group for r in test.records} & {r.group for r in train.records}


def test_random_folds_of_ut_interaction_keep_sequences_whole(tmp_path: Path) -> None:
    config = Config().data
    config.type, config.root = "ut_interaction", str(miniatures.ut_interaction(tmp_path / "set"))
    config.folding, config.fold_count = "random", 3
    parts = {s: {r.group for r in listing_of(config, s).records} for s in ("train", "test")}
    assert len(parts["test"]) == 1 and len(parts["train"]) == 2
    assert not parts["test"] & parts["train"]


def test_other_seeds_make_other_folds() -> None:
    whole = listing([(i % 4, i) for i in range(40)])
    folds = {
        tuple(r.id for r in random_fold(whole, count=5, seed=s, fold=0, split="test").records)
        for s in range(4)
    }
    assert len(folds) == 4 and all(len(f) == 8 for f in folds)


def test_leave_one_group_out() -> None:
    whole = listing([(i % 2, i % 11) for i in range(22)])
    assert groups_of(whole) == [f"g{i}" for i in range(11)]  # 10 after 9, not after 1
    test = group_fold(whole, fold=10, split="test")
    assert {r.group for r in test.records} == {"g10"}
    assert {r.group for r in group_fold(whole, fold=10, split="val").records} == {"g0"}
    assert len(group_fold(whole, fold=10, split="train").records) == 20


@settings(deadline=None, max_examples=40)
@given(rows=ROWS)
def test_carving_takes_a_part_of_every_class(rows) -> None:
    whole = listing(rows)
    single = all(len({g for c, g in rows if c == k}) < 2 for k in range(4))
    if single:
        return
    fit, val = carve(whole, "fit"), carve(whole, "val")
    assert not units(fit) & units(val) and units(fit) | units(val) == units(whole)
    assert len(fit.records) + len(val.records) == len(whole.records)
    for label in range(4):
        groups = {g for c, g in rows if c == label}
        held = {r.group for r in val.records if r.label == label}
        assert len(held) == (max(1, round(0.1 * len(groups))) if len(groups) > 1 else 0)


def test_wrong_folds_are_named() -> None:
    whole = listing([(0, 0), (0, 1), (1, 2)])
    with pytest.raises(WhyactError, match=r"data\.fold_count is 9; expected 2 to 3"):
        random_fold(whole, count=9, seed=0, fold=0, split="test")
    with pytest.raises(WhyactError, match=r"data\.fold is 3; the set has folds 0 to 2"):
        group_fold(whole, fold=3, split="test")
    with pytest.raises(WhyactError, match=r"no split 'dev'"):
        group_fold(whole, fold=0, split="dev")
    with pytest.raises(WhyactError, match=r"no 'val' to carve.*training\.select: last"):
        carve(listing([(0, 0), (1, 0)]), "val")
