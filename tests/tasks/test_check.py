"""A check names what is wrong with a set, goes on where it was, and counts against the lists."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.data import miniatures

from whyact.cli import main
from whyact.config import Config
from whyact.data.inspection import inspect_all, inspect_clip
from whyact.tasks.check import Check, check_data


def config(kind: str, root: Path, lists: str = "", **changes) -> Config:
    made = Config()
    made.data.type, made.data.root, made.data.test = kind, str(root), ["test"]
    made.data.annotations = str(root / lists) if lists else ""
    for key, value in changes.items():
        setattr(made.data, key, value)
    return made


def said(check: Check) -> set[tuple[str, str, str]]:
    return {(f.kind, f.split, f.clip) for f in check.findings}


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return miniatures.folder(tmp_path_factory.mktemp("clean") / "root")


def test_a_clean_folder(clean: Path, tmp_path: Path) -> None:
    found = check_data(config("folder", clean), output=tmp_path)
    assert found.findings == () and found.official == {"train": None, "val": None, "test": None}
    assert found.clips == {"train": (12, 12), "val": (6, 6), "test": (6, 6)}


def test_everything_that_can_be_wrong(clean: Path, tmp_path: Path, capsys) -> None:
    root = tmp_path / "bad"
    shutil.copytree(clean, root)
    (root / "train" / "bow" / "notes.mp4").write_text("not a video")
    shutil.copy(root / "train" / "bow" / "clip 0.mp4", root / "test" / "bow" / "leaked.mp4")
    shutil.copy(root / "train" / "kick" / "clip 1.avi", root / "train" / "wave" / "twin.avi")
    (root / "val" / "kick" / "gone.mp4").symlink_to(root / "nowhere.mp4")
    found = check_data(config("folder", root), output=tmp_path / "out")
    assert said(found) == {
        ("unreadable", "train", "bow/notes.mp4"), ("duplicate", "test", "bow/leaked.mp4"),
        ("mislabelled", "train", "kick/clip 1.avi"), ("missing", "val", "kick/gone.mp4"),
    }  # fmt: skip
    texts = " ".join(f.text for f in found.findings)
    assert "notes.mp4: " in texts and "is also in train as" in texts
    assert "the same, with different labels" in texts and "no such file" in texts
    report = json.loads(found.report.read_text())
    assert report["clips"]["train"] == {"listed": 14, "readable": 13}
    assert len(report["findings"]) == 4
    file = tmp_path / "config.yaml"
    file.write_text(f"data: {{type: folder, root: '{root}', test: [test]}}\n")
    assert main(["data", "check", str(file), "--out", str(tmp_path / "cli")]) == 1
    printed = capsys.readouterr().out
    assert "1 unreadable" in printed and "1 missing" in printed and "Report: " in printed


def test_lost_frames_of_a_listed_folder_are_told(tmp_path: Path) -> None:
    root = miniatures.listed(tmp_path / "list")
    (root / "test 1" / "img_00007.jpg").unlink()
    made = config("list", root, annotations=str(root))
    found = check_data(made, output=tmp_path / "out")
    (lost,) = [f for f in found.findings if f.kind == "missing"]  # its splits are copies, too
    assert lost.clip == "test 1" and lost.text.endswith("11 of the 12 frames of its list.")


def test_official_counts_and_classes(tmp_path: Path) -> None:
    root = miniatures.ucf101(tmp_path / "ucf")
    found = check_data(config("ucf101", root, "ucfTrainTestlist", fold=-1), output=tmp_path)
    counts = [f for f in found.findings if f.kind == "count"]
    assert len(counts) == len(found.findings) == 7
    assert found.official["test of fold 1"] == 3734
    assert any("names 24 clips; officially there are 9537" in f.text for f in counts)
    assert any("3 classes; officially there are 101" in f.text for f in counts)
    # A clip of a test group in the training list, and one under another class.
    name = "Archery/v_Archery_g01_c01.avi"
    lists = root / "ucfTrainTestlist" / "trainlist01.txt"
    lists.write_text(lists.read_text() + f"{name} 3\n")
    leaky = check_data(config("ucf101", root, "ucfTrainTestlist"), output=tmp_path)
    kinds = said(leaky)
    assert ("duplicate", "test", name) in kinds and ("mislabelled", "train", name) in kinds
    assert ("duplicate", "test", "") in kinds  # the group


def test_a_film_may_give_one_class_to_train_and_another_to_test(tmp_path: Path) -> None:
    """HMDB51 is split class by class, so its official lists share films between classes."""
    root = miniatures.hmdb51(tmp_path / "hmdb")
    lists = root / "testTrainMulti_7030_splits"
    for file in lists.glob("*_split1.txt"):
        if not file.name.startswith("catch"):  # "Film (#1)" tests "catch" only
            file.write_text(file.read_text().replace("avi 2 ", "avi 1 "))
    found = check_data(config("hmdb51", root, lists.name), output=tmp_path)
    assert {f.kind for f in found.findings} == {"count"}
    catch = lists / "catch_test_split1.txt"
    catch.write_text(catch.read_text().replace("_1.avi 2", "_1.avi 1", 1))
    leaky = check_data(config("hmdb51", root, lists.name), output=tmp_path)
    texts = [f.text for f in leaky.findings if f.kind == "duplicate"]
    assert texts == ["1 groups have clips of one class in both train and test, e.g. Film (#1)."]


def test_an_interrupted_check_goes_on(clean: Path, tmp_path: Path, monkeypatch) -> None:
    paths = sorted(p for p in clean.rglob("*") if p.is_file())
    journal = tmp_path / "journal.jsonl"
    first = inspect_all(paths, journal=journal)
    for _ in range(5):
        next(first)
    first.close()
    with journal.open("a") as log:
        log.write('{"path": "half')  # killed while writing
    looked: list[str] = []

    def counting(path: str, *, deep: bool = False):
        looked.append(path)
        return inspect_clip(path, deep=deep)

    monkeypatch.setattr("whyact.data.inspection.inspect_clip", counting)
    found = list(inspect_all(paths, journal=journal))
    assert len(found) == len(paths) and looked == [str(p) for p in paths[5:]]
    assert not any(f.error for f in found)
    looked.clear()
    assert list(inspect_all(paths, journal=journal)) and len(looked) <= 1  # the half line's clip
    list(inspect_all(paths[:2], journal=journal, deep=True))
    assert looked[-2:] == [str(p) for p in paths[:2]]  # a deep look is another thing


def test_processes_find_the_same(clean: Path, tmp_path: Path) -> None:
    paths = sorted(p for p in clean.rglob("*") if p.is_file())
    one = list(inspect_all(paths, journal=tmp_path / "one"))
    two = list(inspect_all(paths, journal=tmp_path / "two", workers=2))
    assert one == two and len({i.content for i in one}) == len(paths)
