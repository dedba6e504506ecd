"""Reading settings: names and values that do not exist, merging, and the configs that ship."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from whyact.config import Config, ModelConfig
from whyact.config_io import (
    builtin_config,
    from_dict,
    load_config,
    merge,
    names,
    nearest,
    nested,
    read_yaml,
    to_json,
    to_yaml,
)
from whyact.metrics.factorial import cells
from whyact.objectives.builders import objectives_of
from whyact.tasks.ablation.grid import base_configs, read_grid
from whyact.types import WhyactError

CONFIGS = Path(__file__).parents[1] / "configs"
FILES = sorted(CONFIGS.glob("*.yaml")) + sorted(CONFIGS.glob("presets/*.yaml"))


def is_grid(path: Path) -> bool:
    return bool({"axes", "factors", "variants"} & set(yaml.safe_load(path.read_text())))


GRIDS, PLAIN = [f for f in FILES if is_grid(f)], [f for f in FILES if not is_grid(f)]


@pytest.fixture
def write(tmp_path: Path):
    def made(text: str, name: str = "mine.yaml") -> Path:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return made


@pytest.mark.parametrize(
    ("text", "name", "suggestion"),
    [
        ("model: {code_widht: 96}", "model.code_widht", "model.code_width"),
        ("model.code_widht: 96", "model.code_widht", "model.code_width"),
        ("training: {code_width: 96}", "training.code_width", "model.code_width"),
        ("trainig: {epochs: 3}", "trainig", "training"),
        ("seed: {a: 1}", "seed.a", "seed"),
        ("data: {clip: {stryde: 1}}", "data.clip.stryde", "data.clip.stride"),
    ],
)
def test_a_wrong_name_in_a_file_is_told_with_the_nearest_one(write, text, name, suggestion):
    path = write(text)
    with pytest.raises(WhyactError) as told:
        load_config([path])
    assert str(told.value) == (
        f"{path}: there is no setting '{name}'. Did you mean '{suggestion}'?"
    )


def test_a_wrong_name_is_told_of_the_file_that_has_it(write):
    good, bad = write("seed: 1", "good.yaml"), write("sed: 1", "bad.yaml")
    with pytest.raises(WhyactError, match=r"bad\.yaml: there is no setting 'sed'") as told:
        load_config([good, bad])
    assert "good.yaml" not in str(told.value)


@pytest.mark.parametrize("flags", [["--model.code_widht", "96"], ["--model.code_widht=96"]])
def test_a_wrong_flag_is_told_with_the_nearest_one(flags):
    text = r"command line: there is no setting 'model\.code_widht'. Did you mean 'model\.code_widt"
    with pytest.raises(WhyactError, match=text):
        load_config([], flags)


@pytest.mark.parametrize(
    ("setting", "value", "text"),
    [
        ("model.spatial_graph.type", "learnt",
         "expected one of learned, grid, boxes; got 'learnt'. Did you mean 'learned'?"),
        ("model.type", "resnet", "expected one of whyact, pooled, cnn3d, cnn_lstm; got 'resnet'."),
        ("model.spatial_graph.cues", ["proximty"],
         "expected one of proximity, coactivation, position; got 'proximty'."),
        ("training.epochs", "many", "expected a whole number, got 'many'."),
        ("training.epochs", 3.5, "expected a whole number, got '3.5'."),
        ("training.learning_rate", "fast", "expected a number, got 'fast'."),
        ("training.deterministic", "maybe", "expected true or false, got 'maybe'."),
        ("data.test", "iid", "expected a list in brackets, such as [a, b], got 'iid'."),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_with_what_fits(write, setting, value, text):
    path = write(yaml.safe_dump({setting: value}))
    with pytest.raises(WhyactError) as told:
        load_config([path])
    assert str(told.value).startswith(f"{path}: {setting}: {text}")
    shown = f"[{', '.join(value)}]" if isinstance(value, list) else str(value)
    with pytest.raises(WhyactError) as told:
        load_config([], [f"--{setting}", shown])
    assert str(told.value).startswith(f"command line: {setting}: {text}")


def test_yaml_values_that_yaml_itself_misreads(write):
    assert load_config([write("training.learning_rate: 2e-4")]).training.learning_rate == 2e-4
    kept = load_config([write("name: '007'\ndata.annotations: 'null'")], ["--seed", "3"])
    assert (kept.name, kept.data.annotations, kept.seed) == ("007", "null", 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", "expected settings as 'name: value', got list."),
        ("model: [1", "not valid YAML:"),
        ("seed:", "seed: expected a value, got none."),
        ("training: 5", "training is a group of settings, such as training.epochs; it cannot be"),
        ("training: false", "training is a group of settings, such as training.epochs; it cannot"),
        ("model: {spatial_graph: grid}",
         "model.spatial_graph is a group of settings, such as model.spatial_graph.type; it cannot"),
    ],
)  # fmt: skip
def test_files_of_another_form(write, text, message):
    path = write(text)
    with pytest.raises(WhyactError) as told:
        load_config([path])
    assert str(told.value).startswith(f"{path}: {message}")


def test_a_missing_file(tmp_path):
    with pytest.raises(WhyactError, match=r"absent\.yaml: no such config file"):
        load_config([tmp_path / "absent.yaml"])


@pytest.mark.parametrize("flags", [["--model.spatial_graph", "grid"], ["--model.spatial_graph=x"]])
def test_a_group_as_a_flag(flags):
    text = r"model\.spatial_graph is a group of settings, such as model\.spatial_graph\.type"
    with pytest.raises(WhyactError, match=text):
        load_config([], flags)


def test_a_flag_without_a_value_and_a_value_without_a_flag():
    with pytest.raises(WhyactError, match=r"command line: .*--training\.epochs.*expected one arg"):
        load_config([], ["--training.epochs"])
    with pytest.raises(WhyactError, match=r"command line: unrecognized arguments: stray"):
        load_config([], ["stray"])


def test_nested_and_dotted_settings_are_equal(write):
    dotted = write("model.spatial_graph.type: grid\ntraining.epochs: 3\nseed: 5", "dotted.yaml")
    deep = write(
        "model: {spatial_graph: {type: grid}}\ntraining: {epochs: 3}\nseed: 5", "deep.yaml"
    )
    mixed = write("model: {spatial_graph.type: grid}\ntraining.epochs: 3\nseed: 5", "mixed.yaml")
    flags = ["--model.spatial_graph.type", "grid", "--training.epochs=3", "--seed", "5"]
    made = [load_config([p]) for p in (dotted, deep, mixed)] + [load_config([], flags)]
    assert all(m == made[0] for m in made)
    assert made[0].model.spatial_graph.type == "grid" and made[0].training.epochs == 3
    assert read_yaml(dotted) == read_yaml(deep) == read_yaml(mixed)


def test_empty_files_and_empty_groups_change_nothing(write):
    assert load_config([write("")]) == load_config([write("# nothing\n")]) == Config()
    assert load_config([write("training:\nmodel: {}")]) == Config()
    below = write("training: {epochs: 3}", "below.yaml")
    assert load_config([below, write("training:\nmodel:")]).training.epochs == 3


def test_later_files_and_then_flags_win_setting_by_setting(write):
    first = write("seed: 1\ntraining: {epochs: 1, batch_size: 10}\ndata.test: [a, b]", "1.yaml")
    second = write("training.epochs: 2\ndata: {test: [c]}", "2.yaml")
    both = load_config([first, second])
    assert (both.seed, both.training.epochs, both.training.batch_size) == (1, 2, 10)
    assert both.data.test == ["c"]  # a list is replaced, not continued
    assert load_config([second, first]).training.epochs == 1
    over = load_config([first, second], ["--training.epochs", "3", "--data.test", "[d, e]"])
    assert (over.seed, over.training.epochs, over.training.batch_size) == (1, 3, 10)
    assert over.data.test == ["d", "e"]
    last = load_config([first], ["--seed", "7", "--seed", "8", "--data.fold", "-1"])
    assert (last.seed, last.data.fold) == (8, -1)


def test_merging_leaves_its_parts_alone():
    base, over = {"a": {"b": 1, "c": 2}}, {"a": {"b": 3}, "d": 4}
    assert merge(base, over) == {"a": {"b": 3, "c": 2}, "d": 4}
    assert base == {"a": {"b": 1, "c": 2}} and over == {"a": {"b": 3}, "d": 4}
    assert nested({"training.epochs": 1, "training": {"batch_size": 2}}) == {
        "training": {"epochs": 1, "batch_size": 2}
    }


def unusual() -> Config:
    config = Config(name="Läufe: [3] #1", seed=7)
    config.data.transform.flip_pairs = [["push left", "push right"]]
    config.data.test, config.data.fold = [], -1
    config.model.spatial_graph.cues = ["position"]
    config.model.dynamic_prompts.inject = []
    config.training.learning_rate, config.training.deterministic = 1e-5, False
    return config


@pytest.mark.parametrize("config", [Config(), unusual()], ids=["default", "unusual"])
def test_the_tree_round_trips(config, write):
    assert from_dict(yaml.safe_load(to_yaml(config))) == config
    assert from_dict(yaml.safe_load(to_json(config))) == config
    path = write(to_yaml(config))
    assert load_config([path]) == config
    again = load_config([path], ["--training.epochs", "100"])
    assert again == config


def test_from_dict_names_where_the_settings_came_from():
    with pytest.raises(WhyactError, match=r"model\.safetensors: there is no setting 'nam'"):
        from_dict({"nam": "x"}, "model.safetensors")


def test_names_are_all_settings_and_groups():
    listed = list(names())
    assert len(set(listed)) == len(listed)
    assert {"seed", "model", "model.backbone", "model.backbone.width"} <= set(listed)
    flat = set(nested_names(asdict(Config())))
    assert flat == set(listed)
    assert set(names(ModelConfig, "model.")) < set(listed)
    assert nearest("spatial_graph", listed) == "model.spatial_graph"


def nested_names(tree, prefix=""):
    for key, value in tree.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from nested_names(value, f"{prefix}{key}.")


@pytest.mark.parametrize("path", PLAIN, ids=lambda p: p.stem)
def test_shipped_configs_load(path):
    said, config = yaml.safe_load(path.read_text()), load_config([path])
    assert config != Config()
    assert from_dict(said) == config
    if "name" in said:
        assert config.name == said["name"]
    assert config.data.val not in config.data.test


def test_the_preset_goes_on_top_of_a_config():
    base = CONFIGS / "backdrop.yaml"
    both = load_config([base, CONFIGS / "presets" / "reduced.yaml"])
    assert both.model.spatial_graph.regions == 4 and both.model.graph_prompt_gnn.layers == 1
    assert both.training == load_config([base]).training and both.name == "backdrop"


@pytest.mark.parametrize("quick", [False, True], ids=["full", "quick"])
@pytest.mark.parametrize("path", GRIDS, ids=lambda p: p.stem)
def test_every_variant_of_a_shipped_grid_is_a_config(path, quick):
    base = load_config(base_configs(path))
    read, full = read_grid(path, quick), read_grid(path)
    assert set(read.variants) == set(full.variants)
    assert read.seeds == (full.seeds[:1] if quick else full.seeds)
    made = {n: from_dict(merge(asdict(base), tree), n) for n, tree in read.variants.items()}
    assert all(made[a] != made[b] for a in made for b in made if a < b)
    for config in made.values():
        assert read.explain is None or read.explain.split in config.data.test
    if quick:
        long = [from_dict(merge(asdict(base), tree)) for tree in full.variants.values()]
        assert all(
            a.training.epochs < b.training.epochs for a, b in zip(made.values(), long, strict=True)
        )


def test_the_grid_of_the_page_can_be_trained(tmp_path):
    page = (CONFIGS.parent / "docs" / "ablation.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    (tmp_path / "grid.yaml").write_text(example.replace("demo.yaml", str(CONFIGS / "demo.yaml")))
    base, grid = (
        load_config(base_configs(tmp_path / "grid.yaml")),
        read_grid(tmp_path / "grid.yaml"),
    )
    assert len(grid.variants) == 7
    for name, tree in grid.variants.items():
        objectives_of(from_dict(merge(asdict(base), tree), name))  # refuses what does not fit


def test_the_grid_of_the_readme_has_all_combinations_and_the_baselines():
    grid = read_grid(CONFIGS / "ablation_config.yaml")
    null = {"SSG": ("spatial_graph", "grid"), "DPM": ("dynamic_prompts", "none"),
            "GPNN": ("graph_prompt_gnn", "none")}  # fmt: skip
    assert grid.factors == list(null) and len(grid.cells) == 8 == len(list(cells(grid.factors)))
    for cell, name in grid.cells.items():
        off = {slot: {"type": t} for part, (slot, t) in null.items() if part not in cell}
        assert grid.variants[name].get("model", {}) == off
    types = {tree["model"]["type"] for n, tree in grid.variants.items() if "model" in tree
             and "type" in tree["model"]}  # fmt: skip
    assert types == {"pooled", "cnn3d", "cnn_lstm"}
    assert grid.seeds == [0, 1, 2, 3, 4] and grid.matched and grid.reference == "SSG+DPM+GPNN"


def test_reduced_is_the_preset():
    base = load_config([CONFIGS / "demo.yaml"])
    tree = read_grid(CONFIGS / "ablation_practical.yaml").variants["reduced"]
    preset = load_config([CONFIGS / "presets" / "reduced.yaml"], base=base)
    assert from_dict(merge(asdict(base), tree)).model == preset.model


@pytest.mark.parametrize("name", ["demo", "backdrop", "train_config", "ablation_config"])
def test_configs_are_found_by_name(name):
    assert builtin_config(name).read_bytes() == (CONFIGS / f"{name}.yaml").read_bytes()


def test_a_config_of_no_such_name():
    with pytest.raises(WhyactError, match=r"demmo\.yaml is neither in the checkout's configs"):
        builtin_config("demmo")
