"""What a training run leaves, what it refuses, and cross-validation."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from tests.tasks.tiny import CLASSES, same_weights, tiny_config, write_clip, write_folder

from whyact.config import Config
from whyact.config_io import load_config
from whyact.data.builders import build_dataset
from whyact.data.loader import load
from whyact.data.protocol import label_map_hash
from whyact.tasks.evaluate import evaluate
from whyact.tasks.evaluation_record import read_predictions
from whyact.tasks.folds import summarise
from whyact.tasks.train import RunResult, finished, train
from whyact.training.checkpoint import load_model
from whyact.training.predictions import predict_dataset
from whyact.types import WhyactError


def weights(run: Path, name: str = "last") -> dict[str, torch.Tensor]:
    return load_file(run / "checkpoints" / name / "model.safetensors")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def run(clips: Path, runs: Path) -> RunResult:
    """Two epochs of two steps."""
    return train(tiny_config(clips, runs, name="first", training__epochs=2))


def test_settings_and_record_of_a_run(clips, runs, run):
    assert run.folder == runs / "first"
    config = tiny_config(clips, runs, name="first", training__epochs=2)
    assert load_config([run.folder / "config.yaml"]) == config
    record = json.loads((run.folder / "record.json").read_text())
    assert record["seed"] == 42 and record["processes"] == 1 and record["device"] == "cpu"
    assert record["commit"] is None or re.fullmatch(r"[0-9a-f]{40}\+?", record["commit"])
    assert record["versions"]["torch"] == version("torch")
    assert {"python", "whyact", "av", "numpy"} <= set(record["versions"])
    dataset = build_dataset(config.data, "train", train=True, seed=0)
    assert record["data"] == {
        "clips": 6,
        "fingerprint": dataset.fingerprint,
        "label_map": label_map_hash(CLASSES),
        "classes": list(CLASSES),
    }
    assert record["nondeterministic"] == ["training.deterministic is off"]
    assert record["unreadable"] == {} and record["seconds"] > 0


def test_the_log_and_the_checkpoints_of_a_run(run):
    lines = (run.folder / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [(row["epoch"], row["step"]) for row in rows] == [(1, 2), (2, 4)]
    for row in rows:
        assert row["train/loss"] == pytest.approx(row["train/cross_entropy"], rel=1e-5)
        assert 0 <= row["train/top1"] <= 1 and 0 <= row["val/top1"] <= 1
    assert list((run.folder / "tensorboard").iterdir())
    assert {p.name for p in (run.folder / "checkpoints").iterdir()} == {"best", "last"}
    best = load_model(run.folder)
    assert best.folder.name == "best" and best.classes == CLASSES
    first, second = (row["val/top1"] for row in rows)
    assert same_weights(weights(run.folder, "best"), weights(run.folder)) == (second > first)


def test_the_evaluation_of_a_run_is_the_best_checkpoints(run):
    folder = run.folder / "evaluation" / "test"
    record = json.loads((folder / "scores.json").read_text())
    assert record["scores"] == run.scores["test"]
    assert json.loads((run.folder / "result.json").read_text()) == run.scores
    assert record["checkpoint"] == str(run.folder / "checkpoints" / "best")
    assert record["classes"] == list(CLASSES) and record["failures"] == {}
    table, keys = pq.read_table(folder / "clips.parquet").to_pydict(), ("logits", "label")
    assert table["id"] == [f"{c}/{i}.mp4" for c in CLASSES for i in range(3)]
    assert table["label"] == [0, 0, 0, 1, 1, 1] and table["index"] == list(range(6))
    loaded = load_model(run.folder)
    dataset = build_dataset(loaded.config.data, "test", train=False, seed=0)
    found = predict_dataset(loaded.model, dataset, device=torch.device("cpu"))
    assert torch.allclose(torch.tensor(table["logits"]), found.logits, atol=1e-5)
    hits = [int(a < b) == label for (a, b), label in zip(*(table[k] for k in keys), strict=True)]
    assert run.scores["test"]["top1"] == pytest.approx(sum(hits) / 6)
    assert run.scores["test"]["expected"] == run.scores["test"]["clips"] == 6
    confusion = torch.tensor(record["confusion"])
    assert confusion.sum() == 6 and confusion.diagonal().sum() == sum(hits)


def test_every_module_is_scored_by_its_own_prediction(run):
    loaded = load_model(run.folder)
    dataset = build_dataset(loaded.config.data, "test", train=False, seed=0)
    batch = next(iter(load(dataset, [[(i, 0) for i in range(len(dataset))]])))
    with torch.no_grad():
        output = loaded.model.eval()(batch.to(torch.device("cpu")).streams)
    found = run.scores["test"]["modules"]
    assert list(found) == ["spatial_graph", "dynamic_prompts", "graph_prompt_gnn"]
    for name, logits in output.module_logits.items():
        right = (logits.argmax(1) == batch.label).double().mean()
        assert found[name]["top1"] == pytest.approx(float(right))
    assert found["graph_prompt_gnn"]["ece"] == pytest.approx(run.scores["test"]["ece"])


def test_evaluating_again_gives_the_same_scores(run, tmp_path):
    before = (run.folder / "evaluation" / "test" / "scores.json").read_text()
    scores = evaluate(run.folder, output=tmp_path / "again")
    assert scores == run.scores
    assert evaluate(run.folder, splits=["val"], output=tmp_path / "again").keys() == {"val"}
    assert {p.name for p in (tmp_path / "again").iterdir()} == {"test", "val"}
    assert (run.folder / "evaluation" / "test" / "scores.json").read_text() == before


def test_a_split_without_a_readable_clip_is_read_back(clips, runs, run, tmp_path):
    """As cross-validation does with a fold of damaged files, to pool it with the others."""
    for name in CLASSES:
        (tmp_path / "clips" / "test" / name).mkdir(parents=True)
        (tmp_path / "clips" / "test" / name / "0.mp4").write_text("no video")
    config = tiny_config(tmp_path / "clips", runs)
    scores = evaluate(run.folder, data=config, output=tmp_path / "out")["test"]
    assert (scores["clips"], scores["expected"], scores["failed"]) == (0, 2, 2)
    found = read_predictions(tmp_path / "out" / "test")
    assert found.ids == () and len(found.failures) == 2
    assert found.labels.dtype == found.index.dtype == torch.int64
    assert found.logits.shape == (0, 2)


def test_an_existing_run_is_refused(clips, runs, run):
    with pytest.raises(WhyactError, match=r"first holds a run already\. Go on with --resume"):
        train(tiny_config(clips, runs, name="first", training__epochs=2))


def test_a_folder_is_trained_by_one_process_at_a_time(clips, runs, run):
    """The other one is a process of its own, and its lock ends with it however it ends."""
    before, config = weights(run.folder), tiny_config(clips, runs, name="first", training__epochs=2)
    hold = "import sys, filelock as f; a = f.FileLock(sys.argv[1]); a.acquire(); print(flush=True)"
    command = [sys.executable, "-c", f"{hold}; input()", str(run.folder / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline()
        with pytest.raises(WhyactError, match=r"Another process is training .*first\. Wait for it"):
            train(config, resume=True)
        other.kill()
    assert same_weights(weights(run.folder), before)
    assert train(config, resume=True).scores == run.scores


def test_a_finished_run_is_resumed_without_training(clips, runs, run):
    log, before = (run.folder / "metrics.jsonl").read_text(), weights(run.folder)
    config = tiny_config(clips, runs, name="first", training__epochs=2)
    again = train(config, resume=True)
    assert again.scores == run.scores
    assert (run.folder / "metrics.jsonl").read_text() == log
    assert same_weights(weights(run.folder), before)
    assert finished(config) == run.scores
    config.data.test = ["test", "train"]
    assert finished(config) == {}  # not done: a split is missing
    config.data.test = []
    assert finished(config) == run.scores  # more than was asked for


def test_a_run_without_weights_is_not_trained_for_another_split(clips, run, tmp_path):
    """Its records would be of other weights than its new scores."""
    kept = shutil.copytree(run.folder, tmp_path / "first")
    shutil.rmtree(kept / "checkpoints")
    config = tiny_config(clips, tmp_path, name="first", training__epochs=2)
    config.output = str(tmp_path)
    assert finished(config) == run.scores
    config.data.test = ["test", "train"]
    with pytest.raises(WhyactError, match="not scored on train, and its weights are gone"):
        finished(config)


def test_a_run_is_not_resumed_with_other_settings(clips, runs, run):
    for given in ({"training__epochs": 3}, {"training__epochs": 2, "seed": 1}):
        config = tiny_config(clips, runs, name="first", **given)
        text = r"the run was started with other settings: .*(epochs|seed) \(saved"
        with pytest.raises(WhyactError, match=text):
            train(config, resume=True)
        with pytest.raises(WhyactError, match=text):
            finished(config)
    config = tiny_config(clips, runs, name="first", training__epochs=2)
    config.model.spatial_graph.type = "grid"
    with pytest.raises(WhyactError, match=r"model\.spatial_graph\.type \(saved learned"):
        train(config, resume=True)


def test_resume_without_a_run_starts_one(clips, tmp_path):
    result = train(tiny_config(clips, tmp_path, name="new"), resume=True)
    assert (result.folder / "result.json").is_file() and finished(
        tiny_config(clips, tmp_path, name="new")
    )


def test_the_seed_decides_the_weights(clips, runs, run, tmp_path):
    given = {"name": "same", "training__epochs": 2}
    train(tiny_config(clips, tmp_path, **given))
    assert same_weights(weights(tmp_path / "same"), weights(run.folder))
    train(tiny_config(clips, tmp_path, **{**given, "name": "other", "seed": 43}))
    other, own = weights(tmp_path / "other"), weights(run.folder)
    assert other.keys() == own.keys() and not same_weights(other, own)


def test_a_test_split_never_selects(clips, tmp_path):
    with pytest.raises(WhyactError, match=r"data\.val 'test' is also in data\.test"):
        train(tiny_config(clips, tmp_path, data__val="test"))
    shutil.copytree(clips, tmp_path / "clips")
    shutil.copytree(clips / "val", tmp_path / "clips" / "other")
    config = tiny_config(tmp_path / "clips", tmp_path, data__test=["test", "other"])
    with pytest.raises(WhyactError, match=r"data\.test 'other' and data\.val 'val' are the same"):
        train(config)
    assert not (tmp_path / "run").exists()  # refused before anything was trained


def test_a_bottleneck_without_noise_is_refused(clips, tmp_path):
    on = {"name": "b", "objectives__bottleneck": 0.01}
    for settings in ({}, {"model__code_noise": 1.0, "model__type": "pooled"}):
        with pytest.raises(WhyactError, match=r"there is no noise: give model\.code_noise a value"):
            train(tiny_config(clips, tmp_path, **on, **settings))


def test_a_model_that_would_not_learn_to_be_asked_is_refused(clips, tmp_path):
    with pytest.raises(WhyactError, match=r"is split, but objectives\.specification is 0"):
        train(tiny_config(clips, tmp_path, model__specification__type="split"))


def test_an_unknown_measure_is_refused(clips, tmp_path):
    text = r"training\.select 'accuracy' is no measure; choose from top1, top5, mean_class, macro"
    with pytest.raises(WhyactError, match=text):
        train(tiny_config(clips, tmp_path, training__select="accuracy"))


def test_a_measure_of_other_labels_is_refused_before_training(clips, tmp_path):
    text = (
        r"'map' is not measured where clips have one label, as in data\.val 'val'; choose top1 or"
    )
    with pytest.raises(WhyactError, match=text):
        train(tiny_config(clips, tmp_path, training__select="map"))
    assert not (tmp_path / "run").exists()


def test_the_last_weights_can_be_selected(clips, tmp_path):
    config = tiny_config(clips, tmp_path, training__epochs=3, training__select="last")
    folder = train(config).folder
    assert same_weights(weights(folder, "best"), weights(folder, "last"))


def with_classes(clips: Path, root: Path, split: str, classes: tuple[str, ...]) -> Path:
    """The same clips, but for one split, which has other classes."""
    shutil.copytree(clips, root, ignore=lambda folder, _: [split] if folder == str(clips) else [])
    return write_folder(root, splits=(split,), classes=classes, clips=1)


OTHERS = [("left", "up"), ("left", "middle", "right"), ("right",)]


@pytest.mark.parametrize("classes", OTHERS, ids=len)
def test_other_classes_in_a_test_split_are_refused(clips, tmp_path, classes):
    root = with_classes(clips, tmp_path / "clips", "test", classes)
    with pytest.raises(WhyactError, match=r"data\.test 'test': the model knows 2 classes, the"):
        train(tiny_config(root, tmp_path))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("classes", OTHERS, ids=len)
def test_other_classes_in_the_validation_split_are_refused(clips, tmp_path, classes):
    root = with_classes(clips, tmp_path / "clips", "val", classes)
    with pytest.raises(WhyactError, match=r"data\.val 'val'.*the model knows 2 classes"):
        train(tiny_config(root, tmp_path))


def test_folds_of_a_set_without_folds_are_refused(clips, tmp_path):
    text = r"data\.fold is -1, but data\.type 'folder' has no folds; set it to 0"
    with pytest.raises(WhyactError, match=text):
        train(tiny_config(clips, tmp_path, data__fold=-1))


SEQUENCES = {s: 3 if s == 4 else 2 for s in range(1, 11)}
"""Clips of each; not all alike, so that the mean over folds is not the pooled score."""
CROSS = {
    "data__type": "ut_interaction",
    "data__fold": -1,
    "name": "cross",
    "model__type": "pooled",
    "training__batch_size": 12,
    "training__select": "last",
}


def write_sequences(root: Path, sequences: dict[int, int]) -> Path:
    """``N_sequence_class.avi`` of the classes 0 and 1."""
    number = 0
    for sequence, count in sequences.items():
        for i in range(count):
            number += 1
            write_clip(root / f"{number}_{sequence}_{i % 2}.avi", i % 2, number, codec="mpeg4")
    return root


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, RunResult]:
    root = write_sequences(tmp_path_factory.mktemp("ut"), SEQUENCES)
    (root / "99_7_0.avi").write_text("no video")
    output = tmp_path_factory.mktemp("folds")
    return root, output, train(tiny_config(root, output, **CROSS))


def test_cross_validation_scores_every_clip_once(crossed):
    root, _, result = crossed
    logits, labels, ids = [], [], []
    for fold, sequence in enumerate(SEQUENCES):
        held_out = read_predictions(result.folder / f"fold_{fold}" / "evaluation" / "test")
        assert {name.split("_")[1] for name in held_out.ids} == {str(sequence)}
        record = json.loads((result.folder / f"fold_{fold}" / "record.json").read_text())
        assert record["data"]["clips"] == 22 - held_out.expected
        ids += held_out.ids
        logits.append(held_out.logits)
        labels.append(held_out.labels)
    assert sorted(ids) == sorted(p.name for p in root.glob("*.avi") if p.name != "99_7_0.avi")
    hits = torch.cat(logits).argmax(1) == torch.cat(labels)
    pooled = result.scores["pooled"]
    assert pooled["clips"] == 21 and pooled["expected"] == 22
    assert pooled["top1"] == pytest.approx(hits.double().mean().item())


def test_the_mean_over_folds_by_hand(crossed):
    _, _, result = crossed
    rows = [result.scores[f"fold {i}"] for i in range(10)]
    assert list(result.scores) == ["mean", "pooled", *(f"fold {i}" for i in range(10))]
    assert [row["clips"] for row in rows] == list(SEQUENCES.values())
    mean = sum(row["top1"] for row in rows) / 10
    spread = (sum((row["top1"] - mean) ** 2 for row in rows) / 9) ** 0.5
    assert result.scores["mean"]["top1"] == pytest.approx(mean)
    assert result.scores["mean"]["top1_std"] == pytest.approx(spread)
    assert result.scores["mean"]["folds"] == 10 and result.scores["mean"]["clips"] == 21
    assert result.scores["pooled"]["mean_over_folds"] == pytest.approx(mean)
    right = sum(row["top1"] * row["clips"] for row in rows)
    assert result.scores["pooled"]["top1"] == pytest.approx(right / 21)
    assert json.loads((result.folder / "result.json").read_text()) == result.scores
    assert load_config([result.folder / "config.yaml"]).data.fold == -1


def test_one_fold_and_all_folds_are_not_mixed(crossed, clips, runs, run):
    """The single model would be trained, and the folds' own scored in its place."""
    root, output, result = crossed
    before = (result.folder / "result.json").read_text()
    with pytest.raises(
        WhyactError, match=r"cross holds the runs of all folds already.*data.fold is 0"
    ):
        train(tiny_config(root, output, **{**CROSS, "data__fold": 0}))
    assert (result.folder / "result.json").read_text() == before
    with pytest.raises(
        WhyactError, match=r"first holds a single run already, and data\.fold is -1"
    ):
        train(tiny_config(root, runs, **{**CROSS, "name": "first"}))


def test_a_single_fold_has_no_deviation_yet(crossed):
    _, _, result = crossed
    one = summarise([result.scores["fold 0"]], [result.folder / "fold_0" / "evaluation" / "test"])
    assert one["mean"]["top1_std"] is None and one["mean"]["folds"] == 1


def test_finished_folds_are_not_trained_again(crossed, monkeypatch):
    root, output, result = crossed

    def no_more(*_: object, **__: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr("whyact.tasks.train.Loop.run", no_more)
    config = tiny_config(root, output, **CROSS)
    assert train(config, resume=True).scores == result.scores
    with pytest.raises(WhyactError, match=r"fold_0 holds a run already"):
        train(config)


def test_sets_with_two_sequences_are_pooled(tmp_path):
    root = write_sequences(tmp_path / "ut", {1: 2, 2: 2})
    found = train(tiny_config(root, tmp_path / "runs", **CROSS))
    assert found.scores["pooled"]["clips"] == 4


def test_a_fold_is_scored_by_its_own_model_or_not_at_all(crossed, tmp_path):
    """Models of folds 0 and 2 are not those of folds 0 and 1, whose clips they were trained on."""
    root, _, result = crossed
    part = tmp_path / "part"
    shutil.copytree(result.folder, part)
    shutil.rmtree(part / "fold_1" / "checkpoints")
    with pytest.raises(WhyactError, match="part has no model of fold 1: train the rest"):
        evaluate(part, data=tiny_config(root, tmp_path, **CROSS))


def test_clips_that_are_trained_on_neither_select_nor_test(crossed, clips, tmp_path):
    def tiny(**changes: object) -> Config:
        return tiny_config(clips, tmp_path, **changes)

    with pytest.raises(WhyactError, match="top1' would choose by clips that are trained on: 6 of"):
        train(tiny(data__train="val"))
    assert train(tiny(data__train="val", training__select="last")).scores
    # The training split by its own name is asked for on purpose.
    assert train(tiny(name="own", data__test=["train"])).scores
    whole = {**CROSS, "data__fold": 0, "data__train": "all", "training__select": "last"}
    with pytest.raises(WhyactError, match=r"clips of data\.test 'test' are in data\.train 'all'"):
        train(tiny_config(crossed[0], tmp_path, **whole))
