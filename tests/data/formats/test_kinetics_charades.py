"""Kinetics' tables and folders; Charades' several labels."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.data import miniatures

from whyact.data.formats.charades import read_charades
from whyact.data.formats.kinetics import read_kinetics
from whyact.types import Interval, WhyactError


@pytest.fixture(scope="module")
def kinetics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return miniatures.kinetics(tmp_path_factory.mktemp("kinetics"))


@pytest.fixture(scope="module")
def charades(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return miniatures.charades(tmp_path_factory.mktemp("charades"))


def test_kinetics_finds_clips_in_class_folders_and_flat(kinetics: Path) -> None:
    def read(split: str):
        return read_kinetics(root=str(kinetics), annotations=str(kinetics / "lists"), split=split)

    train = read("train")
    assert train.classes == ("arm wrestling", "juggling (fire)", "zumba")
    assert train.records[1].path == kinetics / "arm_wrestling" / "-t0_1_000001_000011.mp4"
    assert train.records[1].group == "-t0_1"
    validation, test = read("validation"), read("test")
    assert [r.label for r in validation.records] == [0, 0, 1, 1, 2, 2]
    assert validation.records[0].path == kinetics / "-v0_0_000000_000010.mp4"
    assert not test.labelled and test.records[2].path.parent == kinetics / "test"
    assert all(r.path.is_file() for part in (train, validation, test) for r in part.records)
    assert len(read("all").records) == 18


def test_bad_tables_are_named(kinetics: Path, tmp_path: Path) -> None:
    def read(split: str = "train"):
        return read_kinetics(root=str(kinetics), annotations=str(tmp_path), split=split)

    for text, message in (
        ("label,id\n", r"train\.csv: expected the columns .* no 'youtube_id'"),
        ("label,youtube_id,time_start,time_end\nx,a,1,b\n", r"row 2: expected times .* and 'b'"),
    ):
        (tmp_path / "train.csv").write_text(text)
        with pytest.raises(WhyactError, match=message):
            read()
    (tmp_path / "train.csv").write_text("label,youtube_id,time_start,time_end\nx,a,1,2\n")
    assert read().records[0].path == kinetics / "x" / "a_000001_000002.mp4"  # missing, and kept
    (tmp_path / "val.csv").write_text("label,youtube_id,time_start,time_end\ny,b,1,2\n")
    with pytest.raises(WhyactError, match=r"val\.csv, row 2: label 'y' is not in the training"):
        read("validation")


def test_charades_videos_have_several_classes_or_none(charades: Path) -> None:
    listing = read_charades(root=str(charades), annotations=str(charades / "Charades"))
    assert listing.multi_label and len(listing.classes) == 157 and len(listing.records) == 9
    assert listing.classes[92] == "Doing thing 92"
    labels = [r.label for r in listing.records]
    assert labels == [(92,), (92, 147), (0,), (92,), (92, 147), (0,), (92,), (92, 147), ()]
    assert listing.records[5].group == "S1" and listing.labelled
    assert listing.records[1].intervals == (
        Interval(147, 0.0, 12.6), Interval(92, 11.9, 21.2), Interval(92, 1.0, 2.0)
    )  # fmt: skip
    assert listing.records[8].intervals == ()


def test_bad_charades_lists_are_named(tmp_path: Path) -> None:
    (tmp_path / "Charades_v1_classes.txt").write_text("c000 Holding\nwalking\n")
    with pytest.raises(WhyactError, match=r"classes\.txt, row 2: expected 'c000 Name'"):
        read_charades(root=str(tmp_path))
    (tmp_path / "Charades_v1_classes.txt").write_text("c000 Holding\n")
    (tmp_path / "Charades_v1_train.csv").write_text("id,subject\n")
    with pytest.raises(WhyactError, match=r"train\.csv: there is no column 'actions'"):
        read_charades(root=str(tmp_path))
    for bad in ("c000", "c000 0 b"):
        (tmp_path / "Charades_v1_train.csv").write_text(f"id,actions\nA,{bad}\n")
        with pytest.raises(WhyactError, match=rf"video A: expected 'c092 .*got '{bad}'"):
            read_charades(root=str(tmp_path))
    (tmp_path / "Charades_v1_train.csv").write_text("id,actions\nA,c001 0 1\n")
    with pytest.raises(WhyactError, match=r"video A: no class 'c001' in .*classes\.txt"):
        read_charades(root=str(tmp_path))
