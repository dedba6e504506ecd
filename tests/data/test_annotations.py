"""Listings of folders, list files and UT-Interaction, and the errors that name file and row."""

from __future__ import annotations

from pathlib import Path

import pytest

from whyact.data.annotations import UT_INTERACTION, read_folder, read_list, read_ut_interaction
from whyact.data.folds import group_fold
from whyact.data.listing import Listing
from whyact.types import WhyactError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def rows(listing: Listing) -> list[tuple[str, object]]:
    return [(r.id, r.label) for r in listing.records]


def listed(root: Path, text: str, *, classes: str = "") -> Listing:
    (root / "train.txt").write_text(text, encoding="utf-8")
    if classes:
        (root / "classes.txt").write_text(classes, encoding="utf-8")
    return read_list(root=str(root), annotations=str(root), split="train")


def test_folders_are_classes(tmp_path: Path) -> None:
    touch(tmp_path, "walk/b.mp4", "walk/a.mp4", "bow/broken.xyz", ".cache/x.mp4", "walk/.hidden")
    touch(tmp_path, "bow/frames/00001.jpg", "notes.txt")
    listing = read_folder(root=str(tmp_path))
    assert listing.classes == ("bow", "walk") and not listing.multi_label
    # What is no video is listed too: reading it gives a failure instead of silence.
    assert rows(listing) == [
        ("bow/broken.xyz", 0), ("bow/frames", 0), ("walk/a.mp4", 1), ("walk/b.mp4", 1)
    ]  # fmt: skip
    assert listing.records[2].path == tmp_path / "walk" / "a.mp4"


def test_splits_of_folders(tmp_path: Path) -> None:
    touch(tmp_path, "train/walk/a.mp4", "train/bow/b.mp4", "test/walk/c.mp4", "test/bow/d.mp4")
    assert rows(read_folder(root=str(tmp_path), split="test")) == [("bow/d.mp4", 0),
                                                                  ("walk/c.mp4", 1)]  # fmt: skip
    with pytest.raises(WhyactError, match=r"no folder for split 'val', only test, train"):
        read_folder(root=str(tmp_path), split="val")
    touch(tmp_path / "vehicles", "train/a.mp4", "bus/b.mp4")  # here "train" is a class
    assert read_folder(root=str(tmp_path / "vehicles"), split="val").classes == ("bus", "train")


def test_folders_without_clips_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(WhyactError, match=r"expected <class>/<clip> below it, found no clips"):
        read_folder(root=str(tmp_path))
    with pytest.raises(WhyactError, match=r"nowhere: no such folder \(data\.root\)"):
        read_folder(root=str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("row", "path", "label"),
    [
        ("a.mp4 3", "a.mp4", 3),
        ("a.mp4,3", "a.mp4", 3),
        ("a.mp4, 3", "a.mp4", 3),
        ("a.mp4\t3", "a.mp4", 3),
        ("  sub/a.mp4   3  ", "sub/a.mp4", 3),
        ('"a b.mp4" 3', "a b.mp4", 3),
        ('"a b.mp4",3', "a b.mp4", 3),
        ("a b.mp4,3", "a b.mp4", 3),
        ('"a, b.mp4" 3', "a, b.mp4", 3),
        ('"a, b.mp4",3', "a, b.mp4", 3),
        ('"say ""hi"".mp4" 3', 'say "hi".mp4', 3),
        ("it's.mp4 3", "it's.mp4", 3),
        ("動画.mp4 3", "動画.mp4", 3),
    ],
)
def test_rows_with_quotes_blanks_and_commas(tmp_path: Path, row, path, label) -> None:
    listing = listed(tmp_path, f"first.mp4 0\n\n{row}\n")
    assert rows(listing) == [("first.mp4", 0), (path, label)]
    assert listing.records[1].path == tmp_path / path
    assert listing.classes == ("class 0", "class 1", "class 2", "class 3")


def test_rows_with_several_labels(tmp_path: Path) -> None:
    listing = listed(tmp_path, "a.mp4 0 2\nb.mp4 1\n", classes="x\ny\nz\nunused\n")
    assert listing.multi_label and rows(listing) == [("a.mp4", (0, 2)), ("b.mp4", (1,))]
    assert listing.classes == ("x", "y", "z", "unused")


def test_frame_lists_hold_the_number_of_frames(tmp_path: Path) -> None:
    touch(tmp_path, "clips/v1/00001.jpg", "clips/v2/00001.jpg")
    listing = listed(tmp_path, "clips/v1 120 2\nclips/v2 80 0\nclips/lost 77 1\n")
    assert rows(listing) == [("clips/v1", 2), ("clips/v2", 0), ("clips/lost", 1)]
    assert not listing.multi_label and len(listing.classes) == 3


def test_lists_made_on_windows_and_named_by_file(tmp_path: Path) -> None:
    file = tmp_path / "my list.csv"
    file.write_bytes(b"\xef\xbb\xbfa.mp4,1\r\nb.mp4,0\r\n")
    assert rows(read_list(root=str(tmp_path), annotations=str(file), split="train")) == [
        ("a.mp4", 1), ("b.mp4", 0)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.mp4 0\nb.mp4\n", r"train\.txt, row 2: expected 'path label', got 'b\.mp4'"),
        ("a.mp4 0\n\nb.mp4 walk\n", r"train\.txt, row 3: .*number, got 'walk'"),
        ("a b.mp4 0\n", r"train\.txt, row 1: .*got 'b\.mp4'.*Quote paths"),
        ("a.mp4 -1\n", r"train\.txt, row 1: .*non-negative number, got '-1'"),
        ("a.mp4 1.5\n", r"row 1: .*got '1\.5'"),
        ("a.mp4 ²\n", r"row 1: .*got '²'"),
        (",3\n", r"row 1: expected 'path label', got ',3'"),
        ("a.mp4 0\nb.mp4 1\na.mp4 1\n", r"row 3: 'a\.mp4' is listed twice \(row 1\)"),
        ("a.mp4 0\n./a.mp4 1\n", r"row 2: '\./a\.mp4' is listed twice \(row 1\)"),
        ("\n  \n", r"train\.txt: the list is empty"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(WhyactError, match=message):
        listed(tmp_path, text)


def test_bad_lists_are_named(tmp_path: Path) -> None:
    with pytest.raises(WhyactError, match=r"No list file for split 'val': looked for .*val\.txt"):
        read_list(root=str(tmp_path), annotations=str(tmp_path), split="val")
    with pytest.raises(WhyactError, match=r"classes\.txt: 2 class names, but .* label 2"):
        listed(tmp_path, "a.mp4 2\n", classes="x\n\ny\n")
    (tmp_path / "train.txt").write_bytes(b"\xff\xfe\x00 0\n")
    with pytest.raises(WhyactError, match=r"train\.txt: expected text in UTF-8"):
        read_list(root=str(tmp_path), annotations=str(tmp_path), split="train")


@pytest.fixture
def interactions(tmp_path: Path) -> Path:
    """The names of the real set: ten sequences, six classes; 'readme' and class 7 are foreign."""
    number = 0
    for sequence in range(1, 11):
        for label in range(6):
            touch(tmp_path, f"{number}_{sequence}_{label}.avi")
            number += 1
    touch(tmp_path, "readme.avi", "99_1_7.avi")
    return tmp_path


def check_folds(root: str) -> None:
    everything = set(rows(read_ut_interaction(root=root, split="all")))
    tested: list[tuple[str, object]] = []
    for fold in range(10):
        parts = {
            split: group_fold(read_ut_interaction(root=root), split=split, fold=fold)
            for split in ("train", "fit", "val", "test")
        }
        groups = {name: {r.group for r in part.records} for name, part in parts.items()}
        assert len(groups["test"]) == len(groups["val"]) == 1 and len(groups["train"]) == 9
        assert not groups["test"] & (groups["train"] | groups["fit"] | groups["val"])
        assert (
            not groups["val"] & groups["fit"] and groups["val"] | groups["fit"] == (groups["train"])
        )
        assert set(rows(parts["train"])) | set(rows(parts["test"])) == everything
        tested += rows(parts["test"])
    assert len(tested) == len(set(tested)) and set(tested) == everything


def test_no_sequence_is_in_test_and_training(interactions: Path) -> None:
    check_folds(str(interactions))
    listing = group_fold(read_ut_interaction(root=str(interactions)), split="test", fold=2)
    assert listing.classes == UT_INTERACTION and len(listing.records) == 6
    assert rows(listing)[1] == ("13_3_1.avi", 1) and listing.records[1].group == "3"


def test_the_real_set_has_ten_folds(shared_data: Path) -> None:
    root = shared_data / "ut_interaction_set1"
    if not root.is_dir():
        pytest.skip(f"no UT-Interaction under {shared_data}")
    check_folds(str(root))
    assert len(read_ut_interaction(root=str(root)).records) == 60


def test_wrong_folds_and_splits_are_named(interactions: Path) -> None:
    listing = read_ut_interaction(root=str(interactions))
    for fold in (-1, 10):
        with pytest.raises(WhyactError, match=rf"data\.fold is {fold}; the set has folds 0 to 9"):
            group_fold(listing, fold=fold, split="test")
    with pytest.raises(WhyactError, match=r"no split 'dev'; choose from \['test', 'val'"):
        group_fold(listing, fold=0, split="dev")
    (interactions / "empty").mkdir()
    with pytest.raises(WhyactError, match=r"files named N_sequence_class\.avi, found none"):
        read_ut_interaction(root=str(interactions / "empty"))
