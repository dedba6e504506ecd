"""A folder in which every tenth file is damaged: training names them, evaluation counts them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import av
import pytest
from PIL import Image
from tests.data.media import write_audio
from tests.data.miniatures import clip

from whyact.cli import main
from whyact.config import Config
from whyact.tasks.predict import predict
from whyact.tasks.train import train

CLASSES = ("bow", "kick")
AWKWARD = 'it\'s a "clip", 動画 ünd %20 #1.mp4'


def damage(folder: Path) -> set[str]:
    """One file of every kind of damage; gives their names."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = clip(folder / "whole.mp4", 0, 77, frames=30).read_bytes()
    (folder / "whole.mp4").unlink()
    (folder / "truncated.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.mp4").touch()
    Image.new("RGB", (8, 8)).save(folder / "picture.jpg")
    (folder / "picture.jpg").rename(folder / "wrong extension.mp4")
    write_audio(folder / "audio only.mp4")
    with av.open(str(folder / "zero length.avi"), "w") as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        out.start_encoding()
    (folder / "read me.txt").write_text("these are my clips")
    (folder / f"cut {AWKWARD}").write_bytes(whole[:200])
    locked = folder / "locked.mp4"
    if os.geteuid():
        locked.write_bytes(whole)
        locked.chmod(0)
    else:  # the superuser reads everything but a link that leads to itself
        locked.symlink_to(locked)
    return {p.name for p in folder.iterdir()}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 clips a split, of which 8 are damaged; the awkward path is among the good ones."""
    made = tmp_path_factory.mktemp("damaged") / 'my "clips", all'
    for offset, split in enumerate(("train", "val", "test")):
        for label, name in enumerate(CLASSES):
            for k in range(36):
                file = AWKWARD if k == 0 else f"{k:02d}.{'avi' if k % 5 == 1 else 'mp4'}"
                clip(made / split / name / file, label, 40 * offset + k, frames=6)
        assert len(damage(made / split / "bow")) - 36 == 8
    return made


@pytest.fixture(scope="module")
def run(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = Config(name="damaged", output=str(tmp_path_factory.mktemp("runs")))
    config.data.type, config.data.root, config.data.test = "folder", str(root), ["test"]
    config.data.clip.frames, config.data.protocol = 4, "2x3"
    config.data.transform.short_side, config.data.transform.size = 24, 16
    config.model.type, config.model.backbone.width = "pooled", 16
    config.training.epochs, config.training.batch_size = 1, 10
    config.training.warmup_steps, config.training.device = 1, "cpu"
    return train(config).folder


def names(split: str, root: Path) -> set[str]:
    bow = {p.name for p in (root / split / "bow").iterdir()}
    return {f"bow/{n}" for n in bow if not n[:2].isdecimal() and n != AWKWARD}


def test_training_completes_and_names_them(run: Path, root: Path) -> None:
    record = json.loads((run / "record.json").read_text())
    assert set(record["unreadable"]) == names("train", root) and len(record["unreadable"]) == 8
    assert set(record["unreadable_in_validation"]) == names("val", root)
    reasons = record["unreadable"]
    for name, reason in {
        "truncated.mp4": "truncated", "empty.mp4": "empty (0 bytes)",
        "audio only.mp4": "no video stream in it (only audio)", "read me.txt": "",
        "wrong extension.mp4": "a text, picture or playlist", "locked.mp4": "cannot be opened",
        "zero length.avi": "", f"cut {AWKWARD}": "truncated",
    }.items():  # fmt: skip
        assert reason in reasons[f"bow/{name}"] and str(root) in reasons[f"bow/{name}"]


def test_evaluation_counts_them_and_scores_the_rest(run: Path, root: Path, capsys) -> None:
    record = json.loads((run / "evaluation" / "test" / "scores.json").read_text())
    scores = record["scores"]
    assert (scores["expected"], scores["decoded"], scores["failed"]) == (80, 72, 8)
    assert set(record["failures"]) == names("test", root) and scores["clips"] == 72
    assert main(["evaluate", str(run)]) == 0
    assert "over 72 of 80 clips; 8 could not be read, e.g." in capsys.readouterr().out


def test_the_score_is_the_one_computed_by_hand(run: Path, root: Path) -> None:
    """The middle view of every file that decodes, one by one, through the single-video path."""
    main(["evaluate", str(run), f"--output={run / 'single'}", "--data.protocol=1x1"])
    found = predict(run, [str(root / "test")])
    files = {one.source: one for one in found if one.error is None}
    hits = [files[f].classes[0][0] == Path(f).parent.name for f in files]
    scores = json.loads((run / "single" / "test" / "scores.json").read_text())["scores"]
    assert len(hits) == scores["decoded"] == 72
    assert scores["top1"] == pytest.approx(sum(hits) / len(hits))
