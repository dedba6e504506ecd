"""What is measured of native explanations, on clips whose masks are known."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.tasks.test_demo import use_one_process

from whyact.config import Config
from whyact.config_io import from_dict
from whyact.data.backdrop import ACTIONS, SCENES
from whyact.data.builders import build_dataset
from whyact.data.loader import drawn, load
from whyact.explainers.native import Native
from whyact.metrics.faithfulness import deletion_insertion
from whyact.metrics.localisation import iou_equal_area
from whyact.models.builders import build_model
from whyact.tasks.ablation.explained import explain_run
from whyact.training.checkpoint import load_model, save_checkpoint

CLIPS = 12


@pytest.fixture
def saved(tmp_path: Path, backdrop_root: Path, monkeypatch: pytest.MonkeyPatch):
    """The folder of an untrained model on tiny Backdrop clips."""
    use_one_process(monkeypatch)

    def made(**model: Any) -> Path:
        config: Config = from_dict({
            "data": {
                "root": str(backdrop_root), "test": ["iid"], "clip": {"frames": 4},
                "transform": {"size": 32, "short_side": 32},
                "backdrop": {"clips": 16, "eval_clips": CLIPS},
            },
            "model": {"backbone": {"width": 16}, "spatial_graph": {"regions": 4}, **model},
        })  # fmt: skip
        network = build_model(config.model, classes=len(ACTIONS), scenes=len(SCENES))
        folder = tmp_path / "run"
        save_checkpoint(
            folder / "checkpoints" / "best", weights=network.state_dict(), config=config,
            classes=ACTIONS, scenes=SCENES, state={},
        )  # fmt: skip
        return folder

    return made


def test_the_map_is_the_native_one_of_each_clip(saved):
    run = saved()
    found = explain_run(run, split="iid", clips=11, controls=True)
    rows = sorted(drawn(CLIPS)[:11])  # all but one, in two batches and in order
    assert found["ids"] == [f"iid/{i:06d}" for i in rows]
    loaded = load_model(run)
    dataset = build_dataset(loaded.config.data, "iid", train=False, seed=0)
    (batch,) = load(dataset, [[(i, 0) for i in rows]])
    batch = batch.to("cpu")
    heat = torch.stack([e.heat for e in Native(model=loaded.model)(batch.video)])
    native = found["rows"]["native"]
    assert native["iou"] == pytest.approx(iou_equal_area(heat, batch.mask).tolist(), abs=1e-5)
    targets = loaded.model(batch.video).logits.argmax(1)
    curves = deletion_insertion(
        lambda x: loaded.model(x).logits.softmax(1), batch.video, heat, targets, steps=8
    )
    for name in ("deletion", "insertion"):
        expected = torch.stack([getattr(c, f"{name}_auc") for c in curves]).mean(0)
        assert native[name] == pytest.approx(expected.tolist(), abs=1e-5), name
    gaps = [i - d for i, d in zip(native["insertion"], native["deletion"], strict=True)]
    assert native["faithfulness"] == pytest.approx(gaps, abs=2e-6)
    assert len(native["alignment"]) == 11 and found["fingerprint"] == dataset.fingerprint
    constant = found["rows"]["constant"]
    assert constant["energy"] == pytest.approx([0] * 11, abs=1e-6)
    assert constant["spread"] == pytest.approx([1] * 11)
    assert constant["temporal"] == [None] * 11  # a constant map has no correlation
    assert "alignment" not in constant


def test_folds_that_share_clips_keep_what_each_said(saved):
    """As HMDB51's official lists do; by name alone the second fold's values would stand twice."""
    run = saved()
    for fold in (0, 1):
        shutil.copytree(run / "checkpoints", run / f"fold_{fold}" / "checkpoints")
    shutil.copytree(run / "fold_0", run / "fold_0_old")  # no fold
    found = explain_run(run, split="iid", clips=4)
    names = [f"iid/{i:06d}" for i in sorted(drawn(CLIPS)[:2])]
    assert found["ids"] == [f"{fold}/{name}" for fold in (0, 1) for name in names]


def test_fewer_clips_than_asked_for_and_a_model_without_regions(saved):
    """CNN + LSTM reads whole frames; which cells gave what can be told all the same."""
    found = explain_run(saved(type="cnn_lstm"), split="iid", clips=50)
    assert found["clips"] == 50 and len(found["ids"]) == CLIPS and list(found["rows"]) == ["native"]
    assert min(found["rows"]["native"]["spread"]) < 0.999
    assert "alignment" not in found["rows"]["native"]


def test_static_prompts_tell_nothing_of_the_clip(saved):
    found = explain_run(saved(dynamic_prompts={"type": "static"}), split="iid", clips=CLIPS)
    assert found["rows"]["native"]["alignment"] == pytest.approx([0.5] * CLIPS)
