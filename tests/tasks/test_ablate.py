"""Grids are trained once, measured, compared; what is wrong is told before the first run."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.tasks.tiny import tiny_config, write_folder

from whyact.config import Config
from whyact.config_io import to_yaml
from whyact.tasks import ablate as module
from whyact.tasks.ablate import _check_measures, _Run, ablate
from whyact.tasks.ablation.grid import read_grid
from whyact.tasks.ablation.jobs import Job
from whyact.tasks.ablation.worker import KINDS, _end_with, main
from whyact.tasks.train import finished
from whyact.types import WhyactError

GRID = """
factors:
  SSG: {model.spatial_graph.type: grid}
  DPM: {model.dynamic_prompts.type: none}
matched: true
explain: {split: test, clips: 8}
seeds: [1]
"""


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the jobs that were run, in this process for speed."""
    names: list[str] = []

    def here(jobs: Sequence[Job], **_: Any) -> dict[str, str]:
        for job in jobs:
            names.append(job.name)
            task = dict(job.task)
            KINDS[task.pop("kind")](**task)
        return {}

    monkeypatch.setattr(module, "run_jobs", here)
    monkeypatch.setattr(module, "ROUNDS", 2)
    return names


def write_grid(folder: Path, text: str) -> Path:
    (folder / "grid.yaml").write_text(text, encoding="utf-8")
    return folder / "grid.yaml"


def test_a_grid_is_trained_once_and_measured(tmp_path, ran):
    clips, out = write_folder(tmp_path / "clips", clips=4), tmp_path / "out"
    config = tiny_config(clips, tmp_path / "elsewhere", data__test=["test", "train"])
    path = write_grid(tmp_path, GRID)
    found = ablate(config, grid=path, output=out)
    base = ["SSG+DPM", "SSG", "DPM", "none"]
    names = [*base, *(f"{n}-matched" for n in base[1:])]
    assert ran == [*(f"{n}/seed_1" for n in names), "latency"] and found.failed == {}
    assert not (tmp_path / "elsewhere").exists()
    table = json.loads((out / "table.json").read_text())
    assert found.text == (out / "table.md").read_text()
    target = table["costs"]["SSG+DPM"]["parameters"]
    for name in names:
        run = out / name / "seed_1"
        result = json.loads((run / "result.json").read_text())
        assert table["rows"][name] == {"1": result}
        assert table["summary"][name]["train"]["mean"] == result["train"]["top1"]
        costs, match = table["costs"][name], table["variants"][name]["matched"]
        assert costs["flops"] > 0 and costs["training_bytes"] > 0
        assert costs["latency"]["median"] > 0 and costs["training_seconds"] > 0
        assert (match is not None) == name.endswith("-matched")
        if match:
            assert abs(costs["parameters"] / target - 1 - match["miss"]) < 1e-9
            assert abs(match["miss"]) < 0.1 and match["setting"] == "model.backbone.width"
        explained = table["explained"][name]
        assert explained["deletion"]["clips"] == 8 and explained["iou"]["mean"] is None  # no masks
        assert explained["spread"]["mean"] >= 0
        assert ("alignment" in explained) == ("DPM" in name)
    assert set(table["controls"]) == {
        "native_blurred", "random", "constant", "centre_prior", "motion_magnitude"
    }  # fmt: skip
    assert table["controls"]["constant"]["spread"]["mean"] == pytest.approx(1)
    assert list(table["interaction"]) == ["as they are", "matched"]
    effects = table["interaction"]["as they are"]["train"]["top1"]
    means = {n: table["summary"][n]["train"]["mean"] for n in base}
    surplus = means["SSG+DPM"] - means["SSG"] - means["DPM"] + means["none"]
    assert effects["surplus"]["mean"] == pytest.approx(surplus)

    ran.clear()
    assert ablate(config, grid=path, output=out).text == found.text and ran == []
    (out / "none" / "seed_1" / "explained.json").unlink()
    ablate(config, grid=path, output=out)
    assert ran == ["none/seed_1"]
    ran.clear()
    for run in out.glob("*/seed_1"):  # what is kept of a run where weights and pictures are not
        shutil.rmtree(run / "checkpoints")
        shutil.rmtree(run / "evaluation")
    assert ablate(config, grid=path, output=out).text == found.text and ran == []
    more = GRID.replace("[1]", "[1, 2]").replace("matched: true", "").replace("explain: {", "# {")
    write_grid(tmp_path, more)
    ablate(config, grid=path, output=out)
    assert ran == [*(f"{n}/seed_2" for n in base), "latency"]  # other models are timed


def test_without_a_config_a_grid_stands_on_its_own(tmp_path, monkeypatch):
    (tmp_path / "base.yaml").write_text("training: {epochs: 7}")
    grid = write_grid(tmp_path, "config: base.yaml\nvariants: {a: {}}\nseeds: [0]")
    seen = []
    monkeypatch.setattr("whyact.tasks.ablate._plan", lambda config, *_: seen.append(config) or [])
    with contextlib.suppress(Exception):
        ablate(grid=grid, output=tmp_path / "out", table_only=True)
    assert seen[0].training.epochs == 7


def test_a_part_without_parameters_has_the_size_of_the_whole(tmp_path, monkeypatch):
    """Another weight of a loss changes no size: that variant stands for itself at matched size."""
    config = tiny_config(write_folder(tmp_path / "clips"), tmp_path)
    parts = "\n  loss: {objectives.cross_entropy: 2.0}\n  DPM: {model.dynamic_prompts.type: none}"
    grid = write_grid(tmp_path, f"factors:{parts}\nmatched: true\nseeds: [0]\n")
    seen: list[Any] = []

    def spy(*given: Any) -> None:
        seen.append(given[-1])
        raise WhyactError("as far as this test goes")

    monkeypatch.setattr(module, "tabulate", spy)
    with pytest.raises(WhyactError, match="as far as this test goes"):
        ablate(config, grid=grid, output=tmp_path / "out", table_only=True)
    assert seen == [["DPM"]]  # of loss+DPM, loss, DPM and none


def test_some_variants_now_and_the_others_later(tmp_path, ran, monkeypatch):
    clips, out = write_folder(tmp_path / "clips", clips=2), tmp_path / "out"
    config = tiny_config(clips, out)
    path = write_grid(tmp_path, "variants: {good: {}, late: {training.epochs: 2}}\nseeds: [1, 2]")
    found = ablate(config, grid=path, output=out, only=["late"])
    assert ran == ["late/seed_1", "late/seed_2", "latency"] and "good" not in found.text
    ran.clear()
    found = ablate(config, grid=path, output=out, only=["good"])
    assert ran == ["good/seed_1", "good/seed_2", "latency"]
    assert "| good |" in found.text and "| late |" in found.text
    ran.clear()
    grown = write_grid(
        tmp_path, "variants: {good: {}, late: {training.epochs: 2}}\nseeds: [1, 2, 3]"
    )
    with monkeypatch.context() as patch:  # and no data made
        patch.setattr("whyact.tasks.ablate._prepare_data", lambda configs, _: [*configs] and 1 / 0)
        found = ablate(config, grid=grown, output=out, table_only=True)
    assert ran == [] and "| good |" in found.text and "| late |" in found.text
    config.data.test = ["test", "train"]  # another split is scored, and nothing trained again
    log = (out / "good/seed_1/metrics.jsonl").read_text()
    found = ablate(config, grid=path, output=out, only=["good"])
    assert "good/seed_1" in ran and (out / "good/seed_1/metrics.jsonl").read_text() == log
    assert "| train |" in found.text.splitlines()[2]
    with pytest.raises(WhyactError, match="Did you mean 'late'"):
        ablate(config, grid=path, output=out, only=["lat"])


def test_a_failed_run_is_left_out_and_tried_again(tmp_path, ran, monkeypatch):
    clips, out = write_folder(tmp_path / "clips", clips=2), tmp_path / "out"
    config = tiny_config(clips, out)
    path = write_grid(tmp_path, "variants: {good: {}, bad: {training.epochs: 2}}\nseeds: [1]")
    here = module.run_jobs

    def failing(jobs: Sequence[Job], **options: Any) -> dict[str, str]:
        bad = [job for job in jobs if job.name == "bad/seed_1"]
        here([job for job in jobs if job not in bad], **options)
        return {job.name: "no memory (log: bad/seed_1/log.txt)" for job in bad}

    with monkeypatch.context() as patch:
        patch.setattr(module, "run_jobs", failing)
        found = ablate(config, grid=path, output=out)
    assert list(found.failed) == ["bad/seed_1"] and "- bad/seed_1: no memory" in found.text
    table = json.loads((out / "table.json").read_text())
    assert table["summary"]["bad"] == {} and table["summary"]["good"]["test"]["seeds"] == 1
    ran.clear()
    assert ablate(config, grid=path, output=out).failed == {} and ran == ["bad/seed_1", "latency"]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("{model.spatial_graph.type: gird}",
         r"grid\.yaml, variant bad: model\.spatial_graph\.type: expected one of learned, grid"),
        ("{model.type: cnn3d}", "cnn3d needs a 3-D network"),
        ("{objectives.cross_entropy: 0}", "Every objective has weight 0"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_before_the_first_run(tmp_path, ran, bad, message):
    config = tiny_config(write_folder(tmp_path / "clips", clips=1), tmp_path / "out")
    path = write_grid(tmp_path, f"variants: {{good: {{}}, bad: {bad}}}")
    with pytest.raises(WhyactError, match=message):
        ablate(config, grid=path, output=tmp_path / "out")
    assert ran == [] and not (tmp_path / "out").exists()


@pytest.mark.parametrize("what", ["probe: prob", "explain: {split: prob, clips: 2}"])
def test_a_split_that_is_measured_afterwards_is_looked_for_before(tmp_path, ran, what):
    config = tiny_config(write_folder(tmp_path / "clips", clips=1), tmp_path / "out")
    path = write_grid(tmp_path, f"variants: {{good: {{}}}}\n{what}")
    with pytest.raises(WhyactError, match="prob"):
        ablate(config, grid=path, output=tmp_path / "out")
    assert ran == []


@pytest.mark.parametrize(
    ("what", "settings", "message"),
    [
        ("probe: test", {"data__fold": -1}, r"probe: variant 'good' trains a model for every fold"),
        ("explain: {split: test, clips: 2}", {"model__spatial_graph__type": "boxes"},
         r"explain: variant 'good' reads boxes"),
        ("explain: {split: test, clips: 2}", {"data__motion__source": "dis"},
         r"explain: variant 'good' reads optical flow"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_is_refused_before(tmp_path, ran, what, settings, message):
    config = tiny_config(write_folder(tmp_path / "clips", clips=1), tmp_path / "out", **settings)
    run = _Run("good", config)
    plan = read_grid(write_grid(tmp_path, f"variants: {{good: {{}}}}\n{what}"))
    with pytest.raises(WhyactError, match=message):
        _check_measures(run, plan)


def test_it_starts_its_own_processes(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(WhyactError, match="call it once, not through torchrun"):
        ablate(Config(), grid=write_grid(tmp_path, "variants: {a: }"))


def fake_run(config: Config, scores: dict[str, dict[str, Any]]) -> None:
    """What says that a run is finished."""
    folder = Path(config.output) / config.name
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(to_yaml(config))
    (folder / "result.json").write_text(json.dumps(scores))


def test_runs_of_other_settings_are_not_taken_for_finished_ones(tmp_path, ran):
    config = tiny_config(tmp_path, tmp_path, data__test=["iid"])
    made = tiny_config(tmp_path, tmp_path, data__test=["iid"], name="one/seed_0", seed=0)
    fake_run(made, {"iid": {"top1": 0.25}})
    config.training.learning_rate = 0.5
    path = write_grid(tmp_path, "variants: {one: {}}\nseeds: [0]")
    with pytest.raises(WhyactError, match=r"one/seed_0.* other settings: training\.learning_rate"):
        ablate(config, grid=path, output=tmp_path)
    assert ran == []


def test_folds_of_other_settings_are_not_taken_for_finished_ones(tmp_path):
    config = Config(name="cross", output=str(tmp_path))
    config.data.type, config.data.root = "ut_interaction", str(tmp_path)
    for fold in range(3):
        (tmp_path / f"{fold}_{fold}_0.avi").touch()
        config.data.fold, config.name = fold, f"cross/fold_{fold}"
        fake_run(config, {"test": {"top1": 0.5}})
    (tmp_path / "cross" / "result.json").write_text(json.dumps({"pooled": {"top1": 0.5}}))
    config.data.fold, config.name, config.training.epochs = -1, "cross", 7
    with pytest.raises(WhyactError, match="other settings"):
        finished(config)


def test_the_worker_says_what_went_wrong(tmp_path, capsys):
    file = tmp_path / "job.json"
    task = {"kind": "run", "config": {"model": {"type": "cnn3d"}, "output": str(tmp_path)},
            "sizes": {"classes": 2, "scenes": 0}, "explain": None,
            "probe": "", "workers": 1}  # fmt: skip
    file.write_text(json.dumps(task))
    assert main([str(file), str(os.getppid())]) == 1
    assert "cnn3d needs a 3-D network" in capsys.readouterr().err.splitlines()[-1]
    file.write_text(json.dumps({"kind": "run", "wrong": 1}))
    assert main([str(file), str(os.getppid())]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("TypeError: ")


def test_a_worker_leaves_when_its_parent_was_gone_before_it_looked(monkeypatch):
    def leave(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(os, "_exit", leave)
    with pytest.raises(SystemExit):
        _end_with(os.getpid())  # which is not the parent of this process


def test_latency_is_of_the_models_asked_for(tmp_path):
    models = {
        name: {
            "model": {"type": "pooled", "backbone": {"width": width, "top_down": width > 8}},
            "sizes": {"classes": 2, "scenes": 0}, "shape": [frames, 48, 48],
        }
        for name, width, frames in (("small", 8, 2), ("large", 64, 8))
    }  # fmt: skip
    KINDS["latency"](models=models, rounds=3, device="cpu", output=str(tmp_path / "latency.json"))
    record = json.loads((tmp_path / "latency.json").read_text())
    assert all(len(record["seconds"][n]) == 3 for n in ("small", "large"))
    assert sum(record["seconds"]["large"]) > sum(record["seconds"]["small"])
    assert record["device"] == "cpu" and torch.get_num_threads() == 1
