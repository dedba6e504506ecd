"""Grids: how they are read, resumed and tabulated."""

from __future__ import annotations

import json
import math
import statistics
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.tasks.tiny import fake_checkpoint, tiny_config, write_folder

from whyact.config import Config
from whyact.tasks import ablate as module
from whyact.tasks.ablate import ablate, base_configs, read_grid
from whyact.tasks.train import finished
from whyact.types import WhyactError


def no_training(*_: object, **__: object) -> None:
    raise AssertionError("trained again")


@pytest.fixture
def grid(tmp_path: Path):
    def made(text: str, name: str = "grid.yaml") -> Path:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return made


def test_axes_are_combined_and_variants_are_added(grid):
    path = grid("""
        axes:
          model.spatial_graph.type: [learned, grid]
          training.epochs: [1, 2, 3]
        variants:
          plain: {model.type: pooled, training: {batch_size: 8}}
          base:
        seeds: [3, 1]
    """)
    variants, seeds = read_grid(path)
    assert seeds == [3, 1]
    assert list(variants) == ["plain", "base"] + [
        f"spatial_graph={a},epochs={b}" for a in ("learned", "grid") for b in (1, 2, 3)
    ]
    assert variants["plain"] == {"model": {"type": "pooled"}, "training": {"batch_size": 8}}
    assert variants["base"] == {}
    assert variants["spatial_graph=grid,epochs=3"] == {
        "model": {"spatial_graph": {"type": "grid"}}, "training": {"epochs": 3}
    }  # fmt: skip


def test_common_is_below_a_variant_and_quick_above_it(grid):
    path = grid("""
        common: {training.epochs: 10, training: {batch_size: 4}}
        variants: {long: {training.epochs: 20}, short: {seed: 5}}
        quick: {training: {epochs: 1}, data.backdrop.clips: 30}
        seeds: [0, 1, 2]
    """)
    variants, seeds = read_grid(path)
    assert seeds == [0, 1, 2]
    assert variants["long"] == {"training": {"epochs": 20, "batch_size": 4}}
    assert variants["short"] == {"training": {"epochs": 10, "batch_size": 4}, "seed": 5}
    quick, seeds = read_grid(path, quick=True)
    assert seeds == [0]  # the first, as quick names none
    added = {"data": {"backdrop": {"clips": 30}}}
    assert quick["long"] == {"training": {"epochs": 1, "batch_size": 4}, **added}
    assert quick["short"] == {"training": {"epochs": 1, "batch_size": 4}, **added, "seed": 5}
    assert read_grid(grid("variants: {a: {}}\nquick: {seeds: [7, 8]}"), True) == (
        {"a": {}}, [7, 8]
    )  # fmt: skip
    assert read_grid(grid("variants: {a: {}}")) == ({"a": {}}, [42])


def test_names_of_variants_are_fit_for_folders(grid):
    path = grid("axes: {model.spatial_graph.cues: [[proximity, position], []], name: [a/b c]}")
    assert list(read_grid(path)[0]) == [
        "cues=_proximity_,_position_,name=a_b_c", "cues=_,name=a_b_c"
    ]  # fmt: skip


def test_variants_of_one_name_are_refused(grid):
    path = grid("axes: {name: [a b, a/b]}")
    with pytest.raises(WhyactError, match=r"two variants would be called 'name=a_b'; list them"):
        read_grid(path)
    path = grid("axes: {training.epochs: [1]}\nvariants: {epochs=1: {}}")
    with pytest.raises(WhyactError, match=r"two variants would be called 'epochs=1'"):
        read_grid(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seeds: [1]", ": expected 'axes:' (a list of values for each setting) or 'variants:'"),
        ("", ": expected 'axes:'"),
        ("- a", ": expected 'axes:'"),
        ("axes: [1", ": not valid YAML:"),
        ("variants: {a: {}}\nseed: [1]", ": there is no 'seed' in a grid. Did you mean 'seeds'?"),
        ("variants: {a: {}}\nseeds: 3", ": seeds: expected a list such as [0, 1, 2], got '3'."),
        ("variants: {a: {}}\nseeds: []", ": seeds: expected a list such as [0, 1, 2], got '[]'."),
        ("variants: {a: {}}\nseeds: [x]", ": seeds: expected a list such as [0, 1, 2], got '["),
        ("variants: {a: {}}\nquick: {seeds: 0}", ": quick.seeds: expected a list such as [0, 1"),
        ("variants: [a, b]", ": variants: expected 'name: value' below it, got '['a', 'b']'."),
        ("variants: {a: 3}", ": variants: expected settings for 'a', got '3'."),
        ("axes: {seed: 3}", ": axes: expected a list of values for 'seed', got '3'."),
        ("variants: {a: {}}\ncommon: 3", ": common: expected 'name: value' below it, got '3'."),
        ("axes: {training.epoch: [1]}",
         ", variant epoch=1: there is no setting 'training.epoch'. Did you mean 'training.epochs'"),
        ("variants: {a: {sed: 1}}", ", variant a: there is no setting 'sed'. Did you mean 'seed'?"),
        ("variants: {a: {}}\ncommon: {sed: 1}", ", common: there is no setting 'sed'."),
        ("variants: {a: {}}\nquick: {sed: 1}", ", quick: there is no setting 'sed'."),
    ],
)  # fmt: skip
@pytest.mark.parametrize("quick", [False, True])
def test_other_layouts_are_refused(grid, text, message, quick):
    path = grid(text)
    with pytest.raises(WhyactError) as told:
        read_grid(path, quick)
    assert str(told.value).startswith(f"{path}{message}")


def test_a_missing_grid(tmp_path):
    with pytest.raises(WhyactError, match=r"absent\.yaml: no such grid file"):
        read_grid(tmp_path / "absent.yaml")


def test_a_grid_stands_on_configs_beside_it(grid, tmp_path):
    assert base_configs(grid("variants: {a: }")) == []
    assert base_configs(grid("config: b.yaml\nvariants: {a: }")) == [tmp_path / "b.yaml"]
    two = base_configs(grid("config: [b.yaml, ../c.yaml]\nvariants: {a: }"))
    assert two == [tmp_path / "b.yaml", tmp_path / ".." / "c.yaml"]


def test_a_wrong_value_is_refused_before_the_first_run(grid, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "train", no_training)
    path = grid("variants: {good: {}, bad: {model.spatial_graph.type: gird}}")
    text = r"grid\.yaml, variant bad: model\.spatial_graph\.type: expected one of learned, grid"
    with pytest.raises(WhyactError, match=text):
        ablate(Config(), grid=path, output=tmp_path / "out")


def test_a_grid_is_trained_once(grid, tmp_path, monkeypatch):
    clips, out = write_folder(tmp_path / "clips", clips=2), tmp_path / "out"
    config = tiny_config(clips, tmp_path / "elsewhere", data__test=["test", "train"])
    path = grid("""
        axes: {model.spatial_graph.type: [learned, grid]}
        variants: {plain: {model.type: pooled}}
        seeds: [1]
    """)
    table = ablate(config, grid=path, output=out)
    names = ("plain", "spatial_graph=learned", "spatial_graph=grid")
    for name in names:
        assert (out / name / "seed_1" / "checkpoints" / "best").is_dir()
        run = json.loads((out / name / "seed_1" / "record.json").read_text())
        assert run["seed"] == 1
    assert not (tmp_path / "elsewhere").exists() and config == tiny_config(
        clips, tmp_path / "elsewhere", data__test=["test", "train"]
    )
    assert table.splitlines()[0] == "| variant | test | train | seeds |"
    assert [line.split(" | ")[0] for line in table.splitlines()[2:]] == [f"| {n}" for n in names]
    assert (out / "table.md").read_text() == table
    record = json.loads((out / "table.json").read_text())
    assert record["seeds"] == [1] and record["summary"]["plain"]["test"]["std"] is None
    for name in names:
        result = json.loads((out / name / "seed_1" / "result.json").read_text())
        assert record["rows"][name] == [result]
        assert record["summary"][name]["train"]["mean"] == result["train"]["top1"]

    monkeypatch.setattr(module, "train", no_training)
    assert ablate(config, grid=path, output=out) == table
    with pytest.raises(AssertionError, match="trained again"):
        ablate(config, grid=grid(path.read_text().replace("[1]", "[1, 2]")), output=out)


def fake_run(config: Config, scores: dict[str, dict[str, Any]]) -> None:
    """What a finished run of that config leaves."""
    folder = Path(config.output) / config.name
    fake_checkpoint(folder / "checkpoints" / "best", config)
    (folder / "result.json").write_text(json.dumps(scores))


def fake_grid(grid: Any, out: Path, values: dict[str, list[dict[str, Any]]]) -> tuple[Config, Path]:
    """A config and a grid over it, all of whose runs are done: scores by variant and seed."""
    config = Config()
    config.data.test = list(next(iter(values.values()))[0])
    seeds = list(range(len(next(iter(values.values())))))
    for i, (name, runs) in enumerate(values.items()):
        for seed, scores in zip(seeds, runs, strict=True):
            run = Config(name=f"{name}/seed_{seed}", seed=seed, output=str(out))
            run.data.test, run.training.epochs = config.data.test, i + 1
            fake_run(run, scores)
    variants = {name: {"training.epochs": i + 1} for i, name in enumerate(values)}
    return config, grid(yaml.safe_dump({"variants": variants, "seeds": seeds}, sort_keys=False))


def test_the_table_by_hand(grid, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "train", no_training)
    values = {
        "full": [(0.9, 0.5), (0.8, 0.6), (0.7, 0.4)],
        "plain": [(0.5, 0.25), (0.5, 0.25), (0.5, 0.5)],
    }
    scores = {
        name: [{"iid": {"top1": a, "top5": 1.0}, "swap": {"top1": b, "top5": 1.0}} for a, b in runs]
        for name, runs in values.items()
    }
    config, path = fake_grid(grid, tmp_path, scores)
    table = ablate(config, grid=path, output=tmp_path)
    assert table == (
        "| variant | iid | swap | seeds |\n"
        "|---|---|---|---|\n"
        "| full | 80.0 ± 10.0 | 50.0 ± 10.0 | 3 |\n"
        "| plain | 50.0 ± 0.0 | 33.3 ± 14.4 | 3 |\n"
    )
    summary = json.loads((tmp_path / "table.json").read_text())["summary"]
    assert summary["plain"]["swap"]["mean"] == pytest.approx(1 / 3)
    assert summary["plain"]["swap"]["std"] == pytest.approx(0.25 / math.sqrt(3))
    assert summary["full"]["iid"]["std"] == pytest.approx(statistics.stdev([0.9, 0.8, 0.7]))
    assert summary["full"]["iid"]["runs"] == 3


def test_sets_of_several_labels_are_tabulated_by_their_precision(grid, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "train", no_training)
    config, path = fake_grid(grid, tmp_path, {"one": [{"multi": {"map": 0.25, "clips": 4}}]})
    assert "| one | 25.0 | 1 |" in ablate(config, grid=path, output=tmp_path)


def test_runs_of_other_settings_are_not_taken_for_finished_ones(grid, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "train", no_training)
    config, path = fake_grid(grid, tmp_path, {"one": [{"iid": {"top1": 0.25}}]})
    config.training.learning_rate = 0.5
    with pytest.raises(WhyactError, match=r"one/seed_0.* other settings: training\.learning_rate"):
        ablate(config, grid=path, output=tmp_path)


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


def test_variants_may_have_test_splits_of_their_own(grid, tmp_path, monkeypatch):
    """A table with both splits, or a refusal before the first run; no crash after the last."""

    def trained(config: Config, **_: object) -> Any:
        scores = {split: {"top1": 0.5} for split in config.data.test}
        fake_run(config, scores)
        return type("Result", (), {"scores": scores})

    monkeypatch.setattr(module, "train", trained)
    path = grid("variants: {a: {data.test: [iid]}, b: {data.test: [swap]}}")
    try:
        table = ablate(Config(), grid=path, output=tmp_path / "out")
        assert "iid" in table and "swap" in table
    except WhyactError:
        assert not (tmp_path / "out").exists()


def test_a_split_without_a_readable_clip_is_tabulated(grid, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "train", no_training)
    nothing = {"top1": None, "clips": 0, "expected": 3, "failed": 3}
    config, path = fake_grid(grid, tmp_path, {"one": [{"iid": {"top1": 0.25}, "swap": nothing}]})
    assert "| one | 25.0 | " in ablate(config, grid=path, output=tmp_path)
