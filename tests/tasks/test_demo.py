"""The demo, with a few tiny clips."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from whyact.config_io import builtin_config, load_config
from whyact.data.backdrop import generation
from whyact.report.schema import validate
from whyact.tasks import demo as module
from whyact.tasks.demo import EXPLAINED, demo, plain
from whyact.training.checkpoint import load_model
from whyact.types import WhyactError

CLIPS = max(EXPLAINED) + 1


def use_one_process(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(generation, "in_processes", lambda work, items, **_: map(work, items))


def tiny(root: Path) -> list[str]:
    return [
        "--data.root", str(root), "--data.clip.frames", "4", "--data.transform.size", "32",
        "--data.transform.short_side", "32", "--data.backdrop.clips", "16",
        "--data.backdrop.eval_clips", str(CLIPS), "--model.backbone.width", "16",
        "--model.spatial_graph.regions", "3", "--training.epochs", "1",
        "--training.batch_size", "8", "--training.device", "cpu",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    """The cache, the output and what `demo` said; the models train in processes of their own."""
    root, output = tmp_path_factory.mktemp("backdrop"), tmp_path_factory.mktemp("demo") / "out"
    with pytest.MonkeyPatch.context() as patch:
        use_one_process(patch)
        return root, output, demo(output=output, flags=tiny(root))


def files(output: Path) -> dict[str, Any]:
    """The time stamps and the log of a training."""
    weights = output.glob("*/checkpoints/*/model.safetensors")
    stamps: dict[str, Any] = {str(p): p.stat().st_mtime_ns for p in weights}
    return {**stamps, **{str(p): p.read_text() for p in output.glob("*/metrics.jsonl")}}


def test_both_models_are_trained_and_scored(done):
    _, output, results = done
    assert list(results) == ["full", "plain"]
    for name, scores in results.items():
        assert list(scores) == ["iid", "swap"]
        assert scores["iid"]["clips"] == scores["swap"]["clips"] == CLIPS
        assert json.loads((output / name / "result.json").read_text()) == scores
        assert len((output / name / "metrics.jsonl").read_text().splitlines()) == 1
        assert load_model(output / name).config.name == name
    full, other = (load_model(output / name).config for name in results)
    assert full.model.type == "whyact" and full.objectives.foreground_paste == 1
    assert other == plain(full)


def test_the_plain_model_differs_in_the_model_and_its_objectives_only():
    config = load_config([builtin_config("demo")])
    made = plain(config)
    assert made.model.type == "pooled" and made.model.backbone == config.model.backbone
    assert made.objectives == type(made.objectives)(cross_entropy=1.0)
    assert {k: v for k, v in vars(made.objectives).items() if v} == {"cross_entropy": 1.0}
    assert config.model.type == "whyact" and config.name == "demo"  # left as it was
    assert made.training == replace(config.training, threads=1)  # the other core is the full one's
    assert (made.data, made.seed) == (config.data, config.seed)


def test_the_summary_and_six_explanations(done):
    _, output, results = done
    summary = json.loads((output / "summary.json").read_text())
    assert summary["scores"] == results and summary["seconds"] > 0
    pictures = [Path(p) for p in summary["explanations"]]
    gallery = (output / "explanations" / "index.html").read_text()
    assert all(p.with_suffix(".html").is_file() and p.stem in gallery for p in pictures)
    assert len(pictures) == 6 and all(p.parent == output / "explanations" for p in pictures)
    assert [int(p.name[:3]) for p in pictures] == list(EXPLAINED)
    for picture in pictures:
        assert picture.read_bytes()[:4] == b"\x89PNG"
        assert picture.with_suffix(".mp4").stat().st_size > 0
        values = json.loads(picture.with_suffix(".json").read_text())
        validate(values)
        assert values["source"].startswith(f"swap/{int(picture.name[:3]):06d} (true: ")
        assert values["mask"] == "given" and values["heat_shape"] == [4, 32, 32]
    assert len({p.stem.split("-")[1] for p in pictures}) == 6  # six different actions


def test_the_second_call_trains_and_generates_nothing(done, monkeypatch, capsys):
    root, output, results = done
    before = files(output)
    assert len(before) == 6

    def no_more(*_: object, **__: object) -> None:
        raise AssertionError("this was to need no work")

    monkeypatch.setattr(generation, "in_processes", no_more)
    monkeypatch.setattr("whyact.tasks.ablation.jobs._start", no_more)
    monkeypatch.setattr(module, "explain_examples", lambda run, folder: [])  # shown above
    assert demo(output=output, flags=tiny(root)) == results
    shown = capsys.readouterr().out
    assert "trained with 90% scene correlation" in shown
    for name, scores in results.items():
        (line,) = [row for row in shown.splitlines() if f" {name} " in row]
        assert all(f"{scores[split]['top1']:.1%}" in line for split in ("iid", "swap"))
    assert files(output) == before


def test_a_failed_training_is_told(done, tmp_path):
    root, *_ = done
    flags = [*tiny(root), "--training.select", "accuracy"]  # found wrong by `train` only
    with pytest.raises(WhyactError, match=r"Training '\w+' failed: training\.select 'accuracy'"):
        demo(output=tmp_path / "out", flags=flags)
    assert not (tmp_path / "out" / "summary.json").exists()


def test_too_few_clips_to_explain_are_refused_before_training(done, tmp_path, monkeypatch):
    def trained(*_: object) -> None:
        raise AssertionError("trained, and then there is no clip 13 to explain")

    use_one_process(monkeypatch)
    monkeypatch.setattr(module, "_train_both", trained)
    flags = [*tiny(done[0]), "--data.backdrop.eval_clips", "6"]
    with pytest.raises(WhyactError, match=r"eval_clips"):
        demo(output=tmp_path / "out", flags=flags)


def test_settings_that_do_not_exist(tmp_path):
    with pytest.raises(WhyactError, match=r"no setting 'training\.epoch'. Did you mean"):
        demo(output=tmp_path, flags=["--training.epoch", "3"])
