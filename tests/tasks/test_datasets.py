"""Every published set, in miniature and exact layout: its config trains, evaluates and records."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from tests.data.miniatures import LISTS, MAKERS

from whyact.cli import main
from whyact.config import Config
from whyact.config_io import builtin_config, load_config
from whyact.data.catalog import VIDEO_SETS
from whyact.data.video_dataset import VideoDataset
from whyact.tasks.evaluate import evaluate
from whyact.tasks.localise import localise
from whyact.tasks.train import train
from whyact.types import Failure, WhyactError

TINY = {
    "data.workers": "0", "data.clip.frames": "4", "data.transform.short_side": "24",
    "data.transform.size": "16", "model.type": "pooled", "model.backbone.type": "small",
    "model.backbone.width": "16", "objectives.deep_supervision": "0", "training.epochs": "1",
    "training.batch_size": "6", "training.device_batch_size": "0", "training.warmup_steps": "1",
    "training.device": "cpu", "training.checkpoint_steps": "0", "training.threads": "1",
}  # fmt: skip
COUNTS = {  # expected clips of the reported split, views of a clip
    "something_v1": (6, 1), "something_v2": (6, 1), "kinetics400": (6, 30), "kinetics600": (6, 30),
    "charades": (4, 30), "sports_hhi": (8, 1),
}  # fmt: skip


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory):
    """Each miniature, made when first asked for."""
    made: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in made:
            made[name] = MAKERS[name](tmp_path_factory.mktemp("sets") / name)
        return made[name]

    return get


def tiny(name: str, root: Path, output: Path, **changes: str) -> Config:
    """The set's own config, with a tiny model."""
    paths = [builtin_config(name)] if name in LISTS else []
    flags = TINY | {"data.root": str(root), "output": str(output)}
    if name in LISTS:
        flags["data.annotations"] = str(root / LISTS[name])
    else:
        flags |= {"data.type": name, "data.test": "[test]", "name": name}
    flags |= {k.replace("__", "."): v for k, v in changes.items()}
    return load_config(paths, [f"--{k}={v}" for k, v in flags.items()])


def record_of(run: Path, split: str) -> dict:
    return json.loads((run / "evaluation" / split / "scores.json").read_text())


def test_every_set_is_run_below() -> None:
    """A new entry of the table needs a miniature, and a run of its config."""
    assert set(MAKERS) == set(VIDEO_SETS) - {"shards"}  # shards are run in tests/data/test_shards
    assert set(LISTS) == {k for k, v in VIDEO_SETS.items() if v.classes is not None}
    folded = {k for k, v in VIDEO_SETS.items() if v.folds > 1 or v.grouped}
    assert set(COUNTS) | folded | {"folder", "list"} == set(MAKERS)


@pytest.mark.parametrize("name", list(COUNTS))
def test_sets_with_one_official_split(name: str, roots, tmp_path: Path) -> None:
    config = tiny(name, roots(name), tmp_path)
    scores = train(config).scores
    (split,) = config.data.test
    expected, views = COUNTS[name]
    record = record_of(tmp_path / name, split)
    assert record["scores"]["expected"] == record["scores"]["decoded"] == expected
    assert record["scores"]["failed"] == 0 and record["views"] == views
    measure = "map" if name == "charades" else "top1"
    low, high = record["scores"][f"{measure}_interval"]
    assert low <= scores[split][measure] <= high
    assert record["protocol"]["pooling"] == ("max" if name == "charades" else "mean")
    assert record["set"]["type"] == name
    assert bool(record["references"]) == (name != "sports_hhi")
    assert len(record["checkpoint_sha256"]) == len(record["label_map"]) == 64
    assert record["config"]["data"]["protocol"] == config.data.protocol
    table = pq.read_table(tmp_path / name / "evaluation" / split / "clips.parquet").to_pydict()
    classes = {"kinetics400": 3, "kinetics600": 3, "charades": 157, "sports_hhi": 34}.get(name, 174)
    assert len(table["id"]) == expected and len(table["logits"][0]) == classes


@pytest.mark.parametrize("name", ["ucf101", "hmdb51"])
def test_three_official_splits_in_one_command(name: str, roots, tmp_path: Path) -> None:
    found = train(tiny(name, roots(name), tmp_path, data__protocol="2x1")).scores
    tops = [found[f"fold {k}"]["top1"] for k in range(3)]
    mean = found["mean"]
    assert mean["folds"] == 3 and mean["top1"] == pytest.approx(np.mean(tops))
    assert mean["top1_std"] == pytest.approx(np.std(tops, ddof=1))
    assert mean["expected"] == mean["decoded"] == 18
    record = record_of(tmp_path / name / "fold_2", "test")
    assert record["set"]["folding"] == "official" and record["set"]["fold"] == 2
    tested = [json.loads((tmp_path / name / f"fold_{k}" / "record.json").read_text())
              for k in range(3)]  # fmt: skip
    assert len({r["data"]["fingerprint"] for r in tested}) == 3
    assert json.loads((tmp_path / name / "result.json").read_text()) == found
    again = evaluate(tmp_path / name, output=tmp_path / "again")
    assert again == found and (tmp_path / "again" / "fold_1" / "test" / "scores.json").is_file()
    other = tiny(name, roots(name), tmp_path, data__protocol="1x3")
    assert set(evaluate(tmp_path / name, data=other, output=tmp_path / "other")) == set(found)
    record = json.loads((tmp_path / "other" / "fold_2" / "test" / "scores.json").read_text())
    assert record["set"]["fold"] == 2 and record["views"] == 3


def test_five_seeded_folds_and_groups_of_hmdb51(roots, tmp_path: Path) -> None:
    root = roots("hmdb51")
    changes = {"data__protocol": "1x1", "data__folding": "random"}
    found = train(tiny("hmdb51", root, tmp_path / "five", **changes)).scores
    assert found["mean"]["folds"] == 5 and found["pooled"]["decoded"] == 36
    record = record_of(tmp_path / "five" / "hmdb51" / "fold_0", "test")
    assert record["set"]["folding"] == "random"
    changes = {"data__protocol": "1x1", "data__folding": "group", "data__fold": "1"}
    one = train(tiny("hmdb51", root, tmp_path / "group", **changes)).scores
    assert one["test"]["expected"] == 6


@pytest.mark.parametrize("name", ["folder", "list"])
def test_folders_and_lists(name: str, roots, tmp_path: Path) -> None:
    scores = train(tiny(name, roots(name), tmp_path)).scores
    assert scores["test"]["expected"] == scores["test"]["decoded"] == 6
    with pytest.raises(WhyactError, match=rf"data\.type '{name}' has no folds"):
        train(tiny(name, roots(name), tmp_path / "folds", data__fold="-1"))


def test_ut_interaction_leaves_one_sequence_out_on_cached_tokens(roots, tmp_path: Path) -> None:
    changes = {"training__cache_tokens": "2", "training__epochs": "2"}
    changes |= {"model__backbone__weights": "none"}
    found = train(tiny("ut_interaction", roots("ut_interaction"), tmp_path, **changes)).scores
    assert found["mean"]["folds"] == 3 and found["pooled"]["decoded"] == 18
    record = record_of(tmp_path / "ut_interaction" / "fold_1", "test")
    assert record["set"]["type"] == "ut_interaction" and record["scores"]["expected"] == 6
    assert record["config"]["training"]["cache_tokens"] == 2 and (tmp_path / ".cache").is_dir()


def test_folds_share_cached_tokens_of_joined_clips_where_groups_keep_apart(
    roots, tmp_path: Path
) -> None:
    changes = {"training__cache_tokens": "2", "model__backbone__weights": "none"}
    changes |= {"data__join": "2", "data__join_axis": "width", "data__test": "[]"}
    changes |= {"objectives__cross_entropy": "0", "objectives__binary_cross_entropy": "1"}
    for within, caches in (("true", 2), ("false", 4)):
        output = tmp_path / within
        for fold in ("0", "1"):
            settings = {**changes, "data__join_within": within, "data__fold": fold}
            config = tiny("ut_interaction", roots("ut_interaction"), output, **settings)
            config.name = fold
            train(config)
        assert len(list((output / ".cache" / "tokens").iterdir())) == caches
        # Clips of 32 x 32 pixels have two by two cells each, at stride 16.
        grids = {f.read_text() for f in (output / ".cache" / "tokens").glob("*/grid.json")}
        assert grids == {"[2, 4]"}


def test_lists_without_labels_give_a_submission(roots, tmp_path: Path) -> None:
    for name in ("something_v1", "something_v2", "kinetics400"):
        config = tiny(name, roots(name), tmp_path, data__protocol="1x1")
        run = train(config).folder
        scores = evaluate(run, splits=["test"])["test"]
        assert scores == {"clips": 0, "expected": 3, "decoded": 3, "failed": 0}
        record = record_of(run, "test")
        file = run / "evaluation" / "test" / record["submission"]
        assert "confusion" not in record and "per_class" not in record
        if name == "kinetics400":
            results = json.loads(file.read_text())["results"]
            assert set(results) == {"test0", "test1", "test2"}
            assert len(results["test0"]) == 3 and results["test0"][0]["score"] > 0.3
            continue
        rows = [row.split(";") for row in file.read_text().splitlines()]
        assert len(rows) == 3 and all(set(row[1:]) <= set(record["classes"]) for row in rows)
        assert {len(row) for row in rows} == {2 if name == "something_v1" else 6}


def test_charades_gives_what_its_own_script_reads(roots, tmp_path: Path) -> None:
    run = train(tiny("charades", roots("charades"), tmp_path, data__protocol="1x1")).folder
    folder, record = run / "evaluation" / "test", record_of(run, "test")
    assert record["submission"] == "submission.txt" and "per_class" in record
    rows = [row.split(" ") for row in (folder / "submission.txt").read_text().splitlines()]
    table = pq.read_table(folder / "clips.parquet").to_pydict()
    assert [row[0] for row in rows] == table["id"] and {len(row) for row in rows} == {158}
    scores = torch.tensor([[float(v) for v in row[1:]] for row in rows])
    assert torch.allclose(scores, torch.tensor(table["logits"]).sigmoid(), atol=1e-6)


def test_a_class_map_evaluates_another_set(roots, tmp_path: Path) -> None:
    run = train(tiny("folder", roots("folder"), tmp_path)).folder
    table = tmp_path / "map.csv"
    table.write_text("arm wrestling,kick\nzumba,wave\njuggling (fire),\n")
    other = tiny("kinetics400", roots("kinetics400"), tmp_path, data__protocol="1x1")
    with pytest.raises(WhyactError, match=r"differ first at index 0"):
        evaluate(run, data=other)
    scores = evaluate(run, data=other, class_map=table, output=tmp_path / "cross")["validation"]
    assert scores["expected"] == scores["decoded"] == 4
    record = json.loads((tmp_path / "cross" / "validation" / "scores.json").read_text())
    assert record["classes"] == ["kick", "wave"] and record["class_map"]["mapped"] == 2
    assert record["class_map"]["clips_left_out"] == 2
    assert record["class_map"]["classes_of_data"] == 3
    own = evaluate(run, splits=["test"], output=tmp_path / "own")["test"]
    assert own["expected"] == 6 and torch.tensor(own["top1_interval"]).diff() >= 0


def test_charades_own_times_are_localised(roots, tmp_path: Path, capsys, monkeypatch) -> None:
    run = train(tiny("charades", roots("charades"), tmp_path)).folder
    words = ["evaluate", str(run), "--localise", "--data.clip.sampling", "segment"]
    assert main(words) == 2
    assert "set data.protocol to 1x1" in capsys.readouterr().err
    assert main([*words, "--data.protocol", "1x1"]) == 0
    record = json.loads((run / "localisation" / "test" / "localisation.json").read_text())
    assert record["clips"] == 4
    told = [[(i["action"], i["start"], i["stop"]) for i in r["intervals"]] for r in record["truth"]]
    # Videos of half a second: what is listed for later is not in them, and 12.6 s is all of them.
    assert told == [[(92, 0, 4)], [(147, 0, 4)], [(0, 0, 4)], []]
    monkeypatch.setattr(VideoDataset, "__getitem__", lambda self, at: Failure("x", "no video"))
    data = tiny("charades", roots("charades"), tmp_path)
    data.data.protocol, data.data.clip.sampling = "1x1", "segment"
    with pytest.raises(WhyactError, match="No clip of 'test' could be read"):
        localise(run, split="test", data=data)
    with pytest.raises(WhyactError, match="has no intervals; localise Backdrop, Charades, or"):
        other = tiny("folder", roots("folder"), tmp_path)
        localise(run, split="test", data=other)
