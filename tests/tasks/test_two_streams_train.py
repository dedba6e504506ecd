"""Two streams from config to record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
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
