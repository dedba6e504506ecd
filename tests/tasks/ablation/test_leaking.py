"""What is recorded of a run's codes, on generated clips whose scenes and actions are crossed."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.tasks.tiny import tiny_config, write_folder

from whyact.config import Config
from whyact.data.builders import build_dataset
from whyact.models.builders import build_model
from whyact.tasks.ablation.leaking import NAMES, is_current, leak_run
from whyact.tasks.codes import probe_codes, read_codes
from whyact.training.checkpoint import load_model, save_checkpoint
from whyact.types import WhyactError


def untrained(folder: Path, config: Config, classes: tuple[str, ...], scenes: int) -> Path:
    model = build_model(config.model, classes=len(classes), scenes=scenes, seed=0)
    save_checkpoint(
        folder / "checkpoints" / "best", weights=model.state_dict(), config=config,
        classes=classes, scenes=tuple(map(str, range(scenes))), state={},
    )  # fmt: skip
    return folder


def test_hits_of_held_out_clips_and_floors(tmp_path):
    config = Config()
    config.data.type, config.data.root = "backdrop", str(tmp_path)
    config.data.clip.frames, config.data.transform.short_side = 4, 32
    config.data.transform.size, config.data.backdrop.eval_clips = 32, 60
    config.model.backbone.width, config.model.backbone.type = 8, "small"
    run = untrained(tmp_path / "run", config, tuple(map(str, range(15))), 21)
    found = leak_run(run, split="probe")
    rows = found["rows"]["probes"]
    assert set(rows) == {
        f"{q}_{probe}" for q in found["floors"] for probe in ("linear", "mlp")
    }  # fmt: skip
    assert len(found["ids"]) == 225 and set(found["floors"]) == {
        "scene_in_action", "action_in_nuisance", "scene_in_nuisance"
    }  # fmt: skip
    loaded = load_model(run)
    dataset = build_dataset(loaded.config.data, "probe", train=False, seed=0)
    told = probe_codes(read_codes(loaded.model, dataset, range(len(dataset))), dataset)
    for question, leak in told.items():
        assert found["floors"][NAMES[question]] == leak.floor < 0.2
        for probe, hits in leak.hits.items():
            assert rows[f"{NAMES[question]}_{probe}"] == hits.int().tolist()
    assert is_current(found, "probe") and not is_current({**found, "version": 1}, "probe")


def test_clips_without_scenes_are_refused(tmp_path):
    write_folder(tmp_path / "clips", splits=("test",))
    run = untrained(tmp_path / "run", tiny_config(tmp_path / "clips", tmp_path), ("a", "b"), 0)
    with pytest.raises(WhyactError, match="0 clips of 'test' have a known scene"):
        leak_run(run, split="test")
