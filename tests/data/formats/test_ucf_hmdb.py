"""UCF101 and HMDB51: three official splits each, and their groups."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.data import miniatures

from whyact.data.formats.ucf_hmdb import read_hmdb51, read_ucf101
from whyact.types import WhyactError


@pytest.fixture(scope="module")
def ucf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return miniatures.ucf101(tmp_path_factory.mktemp("ucf"))


@pytest.fixture(scope="module")
def hmdb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return miniatures.hmdb51(tmp_path_factory.mktemp("hmdb"))


def ucf101(root: Path, split: str, fold: int = 0):
    lists = str(root / "ucfTrainTestlist")
    return read_ucf101(root=str(root), annotations=lists, split=split, fold=fold)


def hmdb51(root: Path, split: str, fold: int = 0):
    lists = str(root / "testTrainMulti_7030_splits")
    return read_hmdb51(root=str(root), annotations=lists, split=split, fold=fold)


def test_ucf_splits(ucf: Path) -> None:
    for fold in range(3):
        train, test = ucf101(ucf, "train", fold), ucf101(ucf, "test", fold)
        assert (len(train.records), len(test.records)) == (24, 6)
        assert {r.group for r in test.records} == {f"g{fold + 1:02d}"}
        assert not {r.group for r in train.records} & {r.group for r in test.records}
        assert not train.doubts
    first = ucf101(ucf, "test").records[0]
    assert first.id == "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi" and first.label == 0
    assert first.path.is_file() and len(ucf101(ucf, "all").records) == 30


def test_hmdb_splits(hmdb: Path) -> None:
    for fold in range(3):
        train, test = hmdb51(hmdb, "train", fold), hmdb51(hmdb, "test", fold)
        assert (len(train.records), len(test.records)) == (27, 6)
        assert {r.group for r in test.records} == {f"Film (#{fold + 1})"}
    everything = hmdb51(hmdb, "all")
    assert everything.classes == ("brush_hair", "cartwheel", "catch")
    assert len(everything.records) == 36 and all(r.path.is_file() for r in everything.records)


def test_extracted_frames_are_found_in_place_of_videos(ucf: Path, tmp_path: Path) -> None:
    shutil.copytree(ucf / "ucfTrainTestlist", tmp_path / "ucfTrainTestlist")
    name = "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01"
    miniatures.frame_folder(tmp_path / name, 0)
    listing = ucf101(tmp_path, "test")
    assert listing.records[0].path == tmp_path / name
    assert listing.records[1].path.name == "v_ApplyEyeMakeup_g01_c02.avi"  # missing, and kept


def test_a_label_that_is_not_its_folder_is_doubted(ucf: Path, tmp_path: Path) -> None:
    (tmp_path / "classInd.txt").write_text("1 Archery\n2 Bowling\n")
    (tmp_path / "trainlist01.txt").write_text("Archery/v_Archery_g01_c01.avi 2\n")
    listing = read_ucf101(root=str(ucf), annotations=str(tmp_path), split="train")
    assert listing.records[0].label == 1
    (doubt,) = listing.doubts
    assert "row 1: label 2 is Bowling, but the folder is Archery" in doubt


def test_bad_rows_are_named(ucf: Path, tmp_path: Path) -> None:
    def read(split: str = "train", fold: int = 0):
        return read_ucf101(root=str(ucf), annotations=str(tmp_path), split=split, fold=fold)

    (tmp_path / "classInd.txt").write_text("1 Archery\n3 Bowling\n")
    with pytest.raises(WhyactError, match=r"classInd\.txt, row 2: expected '2 ClassName'"):
        read()
    (tmp_path / "classInd.txt").write_text("1 Archery\n")
    with pytest.raises(WhyactError, match=r"expected trainlist01\.txt there"):
        read()
    for row, message in (
        ("Bowling/v_Bowling_g01_c01.avi 1", r"row 1: expected .* a class of classInd"),
        ("Archery/v_Archery_g01_c01.avi 5", r"row 1: label 5 is none of 1 to 1"),
        ("Archery/a.avi 1\nArchery/a.avi 1", r"'Archery/a\.avi' is listed twice"),
    ):
        (tmp_path / "trainlist01.txt").write_text(row + "\n")
        with pytest.raises(WhyactError, match=message):
            read()
    for fold in (-1, 3):
        with pytest.raises(WhyactError, match=rf"fold is {fold}; UCF101 has 3 official"):
            read(fold=fold)
    with pytest.raises(WhyactError, match=r"nowhere: no such folder \(data\.root\)"):
        read_ucf101(root="/nowhere")
    with pytest.raises(WhyactError, match=r"lost: no such folder \(data\.annotations\)"):
        read_ucf101(root=str(ucf), annotations="/lost")
    with pytest.raises(WhyactError, match=r"UCF101 has no split 'dev'"):
        read(split="dev")
    with pytest.raises(WhyactError, match=r"expected <class>_test_split1\.txt there"):
        read_hmdb51(root=str(ucf), annotations=str(tmp_path))
    (tmp_path / "run_test_split1.txt").write_text("a.avi 3\n")
    with pytest.raises(WhyactError, match=r"run_test_split1\.txt, row 1: expected 'video\.avi 0'"):
        read_hmdb51(root=str(ucf), annotations=str(tmp_path))
