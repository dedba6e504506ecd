"""Two streams from config to record."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from PIL import Image
from tests.data import miniatures

from whyact.config_io import load_config
from whyact.tasks.predict import predict
from whyact.tasks.train import train
from whyact.types import WhyactError

FLAGS = [
    "--data.type=folder", "--data.test=[test]", "--data.clip.frames=4", "--training.device=cpu",
    "--data.transform.short_side=24", "--data.transform.size=16", "--model.backbone.width=16",
    "--training.epochs=1", "--training.batch_size=6", "--training.warmup_steps=1",
    "--model.spatial_graph.regions=2",
]  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return miniatures.folder(tmp_path_factory.mktemp("sets") / "folder")


@pytest.mark.parametrize(("source", "fusion"), [("difference", "late"), ("farneback", "mid")])
def test_train_evaluate_predict(root: Path, tmp_path: Path, source: str, fusion: str) -> None:
    if source == "farneback":
        pytest.importorskip("cv2")
    flags = [*FLAGS, f"--data.root={root}", f"--output={tmp_path}"]
    flags += [f"--data.motion.source={source}", f"--model.fusion={fusion}"]
    extra = ["--objectives.foreground_paste=1.0"]
    if source == "farneback":
        with pytest.raises(WhyactError, match=r"'farneback' has no flow .* foreground_paste"):
            train(load_config([], [*flags, *extra]))
        extra = []
    run = train(load_config([], [*flags, *extra]))
    assert run.scores["test"]["decoded"] == 6
    record = json.loads((run.folder / "evaluation" / "test" / "scores.json").read_text())
    assert record["config"]["data"]["motion"]["source"] == source
    clips = [str(root / "test" / "bow")]
    assert all(one.error is None for one in predict(run.folder, clips))


def test_stored_flow_trains_and_counts_the_clip_that_lacks_it(tmp_path: Path) -> None:
    """Frames with ``flow_x``, ``flow_y`` beside them, as dense-flow tools write them."""
    grey = Image.new("L", miniatures.SIZE, 128)
    for split, label, k in itertools.product(("train", "val", "test"), range(2), range(3)):
        folder = tmp_path / "clips" / split / ("bow", "kick")[label] / str(k)
        miniatures.frame_folder(folder, label, k, "img_{:05d}.jpg")
        for axis, frame in itertools.product("xy", range(1, 12)):
            grey.save(folder / f"flow_{axis}_{frame:05d}.jpg")
    (tmp_path / "clips" / "test" / "bow" / "0" / "flow_y_00005.jpg").unlink()
    flags = [*FLAGS, f"--data.root={tmp_path / 'clips'}", f"--output={tmp_path}"]
    run = train(load_config([], [*flags, "--data.motion.source=images", "--model.fusion=late"]))
    record = json.loads((run.folder / "evaluation" / "test" / "scores.json").read_text())
    scores, failures = record["scores"], record["failures"]
    assert (scores["expected"], scores["decoded"], scores["failed"]) == (6, 5, 1)
    assert list(failures) == ["bow/0"] and "flow_y_00005.jpg: no such file" in failures["bow/0"]
    assert record["config"]["data"]["motion"]["source"] == "images"
