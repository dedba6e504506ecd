"""Every annotated pair of players is a clip: around its keyframe, cut to the two of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.data import miniatures

from whyact.data.folds import carve
from whyact.data.formats.sports_hhi import MARGIN, REACH, read_sports_hhi
from whyact.data.shards import write_shards
from whyact.data.transforms import TestTransform
from whyact.data.video_dataset import VideoDataset
from whyact.types import Clip, Failure, WhyactError


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return miniatures.sports_hhi(tmp_path_factory.mktemp("sports"))


def read(root: Path, split: str = "train", **given: str):
    return read_sports_hhi(
        root=str(root), annotations=str(root / "annotations"), split=split, **given
    )


def test_pairs_of_the_list(root: Path) -> None:
    train = read(root)
    assert len(train.classes) == 34 and train.classes[2] == "interaction 3"
    assert [r.label for r in train.records] == [2, 6] * 6
    assert {r.group for r in train.records} == {"v_train_0", "v_train_1", "v_train_2"}
    first, third = train.records[0], train.records[2]
    # Frame 5 is the fifth image, for the names begin at 1; 4 - 32 is before the beginning.
    assert first.span == (0, 4 + REACH + 1) and third.span == (0, 29 + REACH + 1)
    # Persons at 0.05 … 0.2 and 0.25 … 0.4: 0.35 wide together, 0.07 more on each side.
    assert MARGIN == 0.2 and first.box == pytest.approx((0.0, 0.08, 0.47, 0.92))
    assert len({r.id for r in train.records}) == 12
    assert len(read(root, "all").records) == 20


def test_val_takes_whole_films_whatever_the_classes_in_them(root: Path) -> None:
    fit, val = (carve(read(root), split) for split in ("fit", "val"))
    films = [{r.group for r in part.records} for part in (fit, val)]
    assert films[0].isdisjoint(films[1]) and [len(f) for f in films] == [2, 1]


def clips(listing) -> VideoDataset:
    return VideoDataset(
        listing=listing, frames=3, sampling="dense", stride=2, train_transform=None,
        test_transform=TestTransform(short_side=16, size=16, stretch=True),
    )  # fmt: skip


def test_clips_are_cut_to_the_pair_and_lie_around_the_keyframe(root: Path) -> None:
    data = clips(read(root))
    colours = []
    for index in range(4):
        item = data[index, 0]
        assert isinstance(item, Clip)
        colours.append(int(item.video.float().mean((1, 2, 3)).argmax()))
    assert colours == [0, 1, 0, 1]  # the left half is red, the right one green
    early, late = data[0, 0], data[2, 0]
    assert isinstance(early, Clip) and isinstance(late, Clip)
    # Spans are frames 0 … 36 and 0 … 39; three frames, two apart, in the middle of each.
    assert torch.round(early.times * 12).tolist() == [16, 18, 20]
    assert torch.round(late.times * 12).tolist() == [17, 19, 21]


def test_a_keyframe_in_the_middle_of_a_film_is_the_middle_frame(tmp_path: Path) -> None:
    made = tmp_path / "annotations"
    made.mkdir()
    (made / "sports_action_list.pbtxt").write_text('item {\n  name: "pass"\n  label_id: 1\n}')
    row = "basketball/v_1,50,0,0,.5,.5,.5,.5,1,1,1,3,4\n"
    (made / "sports_train_v1.csv").write_text(row)
    (tmp_path / "basketball").mkdir()
    miniatures.clip(tmp_path / "basketball" / "v_1.mp4", 0, frames=100)
    listing = read(tmp_path)
    assert listing.records[0].span == (50 - REACH, 50 + REACH + 1)
    item = clips(listing)[0, 0]
    assert isinstance(item, Clip) and torch.round(item.times * 25).tolist() == [48, 50, 52]


def test_a_lost_film_and_one_that_ends_too_soon_are_failures(root: Path, tmp_path: Path) -> None:
    lists = tmp_path / "annotations"
    lists.mkdir()
    for name in ("sports_action_list.pbtxt", "sports_train_v1.csv"):
        (lists / name).write_text((root / "annotations" / name).read_text())
    row = "v_short,80,0,0,.5,.5,.5,.5,1,1,1,3,4\n"
    (lists / "sports_train_v1.csv").write_text(row + row.replace("short", "lost"))
    miniatures.clip(tmp_path / "v_short.mp4", 0, frames=12)
    data = clips(read(tmp_path))
    short, lost = data[0, 0], data[1, 0]
    assert isinstance(short, Failure) and "has 12 frames, but a clip begins at frame 48" in str(
        short.reason
    )
    assert isinstance(lost, Failure) and "no such file" in lost.reason


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("v,1,0,0,1,1,0,0,1", r"train_v1\.csv, row 1: expected 'video,frame,' then eight"),
        ("v,1,0,0,30,40,0,0,1,1,3,0,1", r"row 1: expected boxes .* from 0 to 1"),
        ("v,1,0,0,1,1,0,0,1,1,99,0,1", r"row 1: class 99 is not in the action list"),
        ("v,1,0,0,1,1,0,0,.5,1,3,0,1\nv,1,0,0,1,1,0,0,.5,1,7,0,1", r"row 2: the pair of row 1"),
    ],
)
def test_bad_rows_are_named(root: Path, tmp_path: Path, rows: str, message: str) -> None:
    source = root / "annotations" / "sports_action_list.pbtxt"
    (tmp_path / source.name).write_text(source.read_text())
    (tmp_path / "sports_train_v1.csv").write_text(rows)
    with pytest.raises(WhyactError, match=message):
        read_sports_hhi(root=str(tmp_path))
    (tmp_path / source.name).write_text("item { }")
    with pytest.raises(WhyactError, match=r"pbtxt: expected a name and an id"):
        read_sports_hhi(root=str(tmp_path))


def test_the_fingerprint_knows_the_boxes_and_shards_are_refused(root: Path, tmp_path: Path) -> None:
    listing = read(root)
    first, *others = listing.records
    moved = replace(listing, records=(replace(first, box=(0.0, 0.0, 0.1, 0.1)), *others))
    assert clips(moved).fingerprint != clips(listing).fingerprint
    with pytest.raises(WhyactError, match="parts of films"):
        write_shards(listing, tmp_path, megabytes=1)
