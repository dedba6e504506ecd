"""Grid files: how they are read, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from whyact.metrics.factorial import Cell
from whyact.tasks.ablation.grid import ExplainedClips, base_configs, read_grid
from whyact.types import WhyactError


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
    read = read_grid(path)
    variants = read.variants
    assert read.seeds == [3, 1] and (read.reference, read.cells, read.matched) == ("", {}, False)
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
    read = read_grid(path)
    variants = read.variants
    assert read.seeds == [0, 1, 2]
    assert variants["long"] == {"training": {"epochs": 20, "batch_size": 4}}
    assert variants["short"] == {"training": {"epochs": 10, "batch_size": 4}, "seed": 5}
    read = read_grid(path, quick=True)
    quick = read.variants
    assert read.seeds == [0]  # the first, as quick names none
    added = {"data": {"backdrop": {"clips": 30}}}
    assert quick["long"] == {"training": {"epochs": 1, "batch_size": 4}, **added}
    assert quick["short"] == {"training": {"epochs": 1, "batch_size": 4}, **added, "seed": 5}
    read = read_grid(grid("variants: {a: {}}\nquick: {seeds: [7, 8]}"), True)
    assert (read.variants, read.seeds) == ({"a": {}}, [7, 8])
    assert read_grid(grid("variants: {a: {}}")).seeds == [42]


def test_names_of_variants_are_fit_for_folders(grid):
    path = grid("axes: {model.spatial_graph.cues: [[proximity, position], []], name: [a/b c]}")
    assert list(read_grid(path).variants) == [
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
        ("seeds: [1]", ": expected 'axes:' (a list of values for each setting), 'factors:' (parts"),
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
        ("factors: {A: grid, B: {}}",
         ": factors: expected the settings that switch it off for 'A', got 'grid'."),
        ("factors: {A: {seed: 1}}", ": factors: expected at least two parts, named with letters"),
        ("factors: {A: {seed: 1}, B+C: {}}", ": factors: expected at least two parts, named with"),
        ("variants: {a: {}}\nreference: b", ": reference: there is no variant 'b'. Did you"),
        ("variants: {a: {}}\nmatched: true", ": matched needs a 'reference:' whose size"),
        ("variants: {a: {}}\nmatched: 3", ": matched: expected true or false, got '3'."),
        ("variants: {a: {}}\nexplain: {split: iid}", ": explain: expected 'split:' and 'clips:'"),
        ("variants: {a: {}}\nexplain: {split: iid, clips: 0}", ": explain: expected 'split:' and"),
        ("variants: {a: {}}\nquick: {explain: 3}", ": quick.explain: expected 'name: value' below"),
        ("variants: {a: {}}\nquick: {matched: 3}", ": quick.matched: expected true or false, got"),
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


def test_factors_make_a_variant_of_every_set_of_parts(grid):
    path = grid("""
        factors:
          SSG: {model.spatial_graph.type: grid}
          DPM: {model: {dynamic_prompts: {type: none}}, objectives.hsic: 0.5}
        variants: {plain: {model.type: pooled}}
        common: {training.epochs: 3}
    """)
    read = read_grid(path)
    off = {"spatial_graph": {"type": "grid"}}
    no_prompts = {"dynamic_prompts": {"type": "none"}}
    epochs = {"training": {"epochs": 3}}
    assert read.variants == {
        "SSG+DPM": epochs,
        "SSG": {**epochs, "model": no_prompts, "objectives": {"hsic": 0.5}},
        "DPM": {**epochs, "model": off},
        "none": {**epochs, "model": {**off, **no_prompts}, "objectives": {"hsic": 0.5}},
        "plain": {**epochs, "model": {"type": "pooled"}},
    }
    assert read.factors == ["SSG", "DPM"] and read.reference == "SSG+DPM"
    assert read.cells == {
        Cell(["SSG", "DPM"]): "SSG+DPM", Cell(["SSG"]): "SSG", Cell(["DPM"]): "DPM", Cell(): "none"
    }  # fmt: skip


def test_quick_may_measure_less(grid):
    path = grid("""
        variants: {a: {}, b: {seed: 1}}
        reference: b
        matched: true
        explain: {split: swap, clips: 40}
        quick: {matched: false, explain: {split: iid, clips: 3}}
    """)
    long, short = read_grid(path), read_grid(path, quick=True)
    assert long.matched and long.explain == ExplainedClips("swap", 40)
    assert not short.matched and short.explain == ExplainedClips("iid", 3)
    assert long.reference == short.reference == "b"
    assert read_grid(grid(path.read_text().replace("matched: false, ", "")), True).matched
