"""Something-Something: lists, templates, frames, and the classes that a flip swaps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.data import miniatures

from whyact.data.formats.something import read_something_v1, read_something_v2
from whyact.data.listing import UNLABELLED, mirror_pairs, mirrored
from whyact.data.transforms import flip_map
from whyact.types import WhyactError


@pytest.fixture(scope="module")
def v1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return miniatures.something_v1(tmp_path_factory.mktemp("v1"))


@pytest.fixture(scope="module")
def v2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return miniatures.something_v2(tmp_path_factory.mktemp("v2"))


def read1(root: Path, split: str = "train"):
    return read_something_v1(root=str(root), annotations=str(root / "lists"), split=split)


def read2(root: Path, split: str = "train"):
    return read_something_v2(root=str(root), annotations=str(root / "lists"), split=split)


def test_v1_lists(v1: Path) -> None:
    train = read1(v1)
    assert len(train.classes) == 174 and len(train.records) == 12 and train.labelled
    assert train.classes[2] == "Turning the camera left while filming something"
    first = train.records[0]
    assert (first.id, first.label, first.path) == ("101", 2, v1 / "101")
    assert [r.label for r in read1(v1, "validation").records] == [2, 2, 4, 4, 30, 30]
    test = read1(v1, "test")
    assert [r.label for r in test.records] == [UNLABELLED] * 3 and not test.labelled
    assert len(read1(v1, "all").records) == 18


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (miniatures.FLIPS_V1, {(2, 4), (30, 41), (52, 66)}),
        (miniatures.FLIPS_V2, {(86, 87), (93, 94), (166, 167)}),
    ],
)
def test_flips_swap_the_official_pairs_and_nothing_else(names, pairs) -> None:
    classes = [names.get(i, f"Doing thing {i}") for i in range(174)]
    swap = flip_map(classes, mirror_pairs(classes))
    assert swap == {a: b for a, b in pairs} | {b: a for a, b in pairs}


def test_both_sets_bring_their_pairs(v1: Path, v2: Path) -> None:
    assert len(read1(v1).flip_pairs) == len(read2(v2).flip_pairs) == 3
    assert mirrored("leftover rightly left, right") == "leftover rightly right, left"


def test_v2_lists_and_templates(v2: Path, tmp_path: Path) -> None:
    train = read2(v2)
    assert len(train.classes) == 174 and train.classes[86] == miniatures.FLIPS_V2[86]
    assert [r.label for r in train.records] == [86] * 4 + [87] * 4 + [93] * 4
    assert train.records[0].path == v2 / "101.webm" and train.records[1].path == v2 / "102.mp4"
    assert not read2(v2, "test").labelled
    newer = miniatures.something_v2(tmp_path / "newer", newer=True)
    assert [r.id for r in read2(newer).records] == [r.id for r in train.records]


def test_newer_packages_of_v2_bring_the_answers_of_the_test_clips(v2: Path, tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    for name in ("labels", "test"):
        text = (v2 / "lists" / f"something-something-v2-{name}.json").read_text()
        (lists / f"{name}.json").write_text(text)
    ids = [r.id for r in read2(v2, "test").records]
    rows = [f"{name};{miniatures.FLIPS_V2[k]}" for name, k in zip(ids, (93, 86, 87), strict=True)]
    (lists / "test-answers.csv").write_text("\n".join(reversed(rows)) + "\n")
    found = read_something_v2(root=str(v2), annotations=str(lists), split="test")
    assert found.labelled and [r.label for r in found.records] == [93, 86, 87]
    (lists / "test-answers.csv").write_text("\n".join(rows[1:]) + "\n")
    with pytest.raises(WhyactError, match=rf"clip {ids[0]}: expected a 'template', got none"):
        read_something_v2(root=str(v2), annotations=str(lists), split="test")


def test_a_missing_clip_keeps_its_row(v2: Path, tmp_path: Path) -> None:
    rows = [{"id": "9", "template": "Pulling [something] from left to right"}]
    for name in ("labels", "train"):
        source = v2 / "lists" / f"something-something-v2-{name}.json"
        text = source.read_text() if name == "labels" else json.dumps(rows)
        (tmp_path / f"{name}.json").write_text(text)
    listing = read_something_v2(root=str(tmp_path), split="train")
    assert listing.records[0].path == tmp_path / "9.webm" and listing.records[0].label == 86


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "1", "template": "Eating [something]"}, r"clip 1: 'Eating something' is no class"),
        ({"id": "1"}, r"train\.json, clip 1: expected a 'template', got none"),
        ({"template": "x"}, r"train\.json, clip 1: expected an 'id'"),
    ],
)
def test_bad_rows_of_v2_are_named(tmp_path: Path, row, message) -> None:
    (tmp_path / "labels.json").write_text('{"Eating a cake": "0"}')
    (tmp_path / "train.json").write_text(json.dumps([row]))
    with pytest.raises(WhyactError, match=message):
        read_something_v2(root=str(tmp_path))


def test_bad_lists_are_named(tmp_path: Path) -> None:
    with pytest.raises(WhyactError, match=r"something-something-v2-labels\.json or labels\.json"):
        read_something_v2(root=str(tmp_path))
    (tmp_path / "labels.json").write_text('{"a": "0", "b": "2"}')
    with pytest.raises(WhyactError, match=r"labels\.json: expected the indices 0 to 1.*'1' is mis"):
        read_something_v2(root=str(tmp_path))
    (tmp_path / "labels.json").write_text("[]")
    with pytest.raises(WhyactError, match=r"labels\.json: expected class names with their index"):
        read_something_v2(root=str(tmp_path))
    (tmp_path / "labels.json").write_text("{")
    with pytest.raises(WhyactError, match=r"labels\.json: not valid JSON"):
        read_something_v2(root=str(tmp_path))
    (tmp_path / "something-something-v1-labels.csv").write_text("a\nb\n")
    train = tmp_path / "something-something-v1-train.csv"
    for text, message in (
        ("1;c\n", r"row 1: 'c' is no line of .*labels\.csv"),
        ("1;a\n2\n", r"row 2: expected 'id;label', got '2'"),
        ("1;a\n1;b\n", r"train list: '1' is listed twice"),
    ):
        train.write_text(text)
        with pytest.raises(WhyactError, match=message):
            read_something_v1(root=str(tmp_path))
    with pytest.raises(WhyactError, match=r"V1 has no split 'val'; choose from \['train'"):
        read_something_v1(root=str(tmp_path), split="val")
