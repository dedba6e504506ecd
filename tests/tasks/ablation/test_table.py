"""The table from the records of runs, by hand, and what it says in words."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from tests.tasks.ablation.test_scores import write

from whyact.config import Config
from whyact.metrics.factorial import Cell
from whyact.report.ablation_table import markdown, write_ablation
from whyact.tasks.ablation import leaking
from whyact.tasks.ablation.explained import VERSION
from whyact.tasks.ablation.grid import ExplainedClips, Grid
from whyact.tasks.ablation.matching import Match
from whyact.tasks.ablation.scores import score_run
from whyact.tasks.ablation.table import Variant, tabulate

ABOUT: dict[str, Any] = {"failed": {}}
CLIPS = [f"c{i}" for i in range(10)]


def finish(run: Path, right: dict[str, int], seconds: float = 60.0, **data: str) -> Path:
    """A finished run with the first so many clips of every split right."""
    for split, count in right.items():
        hits = {name: i < count for i, name in enumerate(CLIPS)}
        write(run, hits, split, data.get(split, split))
    (run / "scored.json").write_text(json.dumps(score_run(run, [*right])))
    (run / "result.json").write_text(json.dumps({s: {"top1": n / 10} for s, n in right.items()}))
    (run / "record.json").write_text(json.dumps({"seconds": seconds, "commit": "1f"}))
    costs = {"parameters": 2_000, "flops": 3_000_000, "inference_bytes": 5 << 20,
             "training_bytes": None, "workers": 2}  # fmt: skip
    (run / "costs.json").write_text(json.dumps(costs))
    return run


def explain(run: Path, iou: float, **controls: float) -> None:
    rows = {"native": {"iou": [iou] * 10}} | {k: {"iou": [v] * 10} for k, v in controls.items()}
    record = {
        "version": VERSION,
        "split": "iid",
        "clips": 10,
        "fingerprint": "x",
        "ids": CLIPS,
        "rows": rows,
    }
    (run / "explained.json").write_text(json.dumps(record))


def variant(runs: dict[int, Path], splits: list[str], match: Match | None = None) -> Variant:
    config = Config()
    config.data.test = splits
    return Variant(config, match, runs)


def grid(**given: Any) -> Grid:
    values: dict[str, Any] = {
        "variants": {}, "seeds": [0, 1], "reference": "full", "factors": [], "cells": {},
        "matched": False, "explain": None, "probe": "",
    }  # fmt: skip
    return Grid(**{**values, **given})


@pytest.fixture
def two(tmp_path: Path) -> dict[str, Variant]:
    """A full and a plain variant, two seeds each: 9 and 7, 5 and 3 of ten clips."""
    made = {}
    for name, counts in (("full", (9, 7)), ("plain", (5, 3))):
        runs = {s: finish(tmp_path / name / str(s), {"iid": n}) for s, n in enumerate(counts)}
        made[name] = variant(runs, ["iid"])
    return made


def test_means_differences_and_costs_by_hand(two):
    latency = {"full": [0.002, 0.004, 0.003], "plain": [0.001, 0.002, 0.003]}
    table = tabulate(grid(), two, latency)
    full, plain = (table["summary"][name]["iid"] for name in ("full", "plain"))
    assert full["mean"] == pytest.approx(0.8) and full["std"] == pytest.approx(0.1 * 2**0.5)
    assert (full["seeds"], full["clips"], full["measure"]) == (2, 10, "top1")
    assert "difference" not in full
    gap = plain["difference"]
    assert gap["mean"] == pytest.approx(-0.4) and gap["paired"] and gap["std"] == pytest.approx(0)
    assert gap["low"] < -0.4 < gap["high"] < 0
    costs = table["costs"]["plain"]
    assert (costs["parameters"], costs["training_bytes"], costs["training_seconds"]) == (
        2_000, None, 60.0
    )  # fmt: skip
    assert costs["latency"]["median"] == 0.5
    text = markdown({**table, **ABOUT})
    overview = text.split("###")[0].splitlines()
    assert overview[2] == (
        "| variant | iid | top-5, iid | latency | memory, MiB | training, s | seeds |"
    )
    assert overview[4] == "| full | 80.0 ± 14.1 | 100.0 ± 0.0 | 1.00× | 5 | 60 | 2 |"
    assert overview[5] == "| plain | 40.0 ± 14.1 | 100.0 ± 0.0 | 0.50× | 5 | 60 | 2 |"
    assert "\n| plain | -40.0 [" in text and "]‡ |" in text and "on other clips" not in text
    assert "with 2 runs at a time" in text and "2,000 | 0.003" in text
    assert table["rows"]["full"] == {0: {"iid": {"top1": 0.9}}, 1: {"iid": {"top1": 0.7}}}


def test_other_data_are_not_paired(two, tmp_path):
    two["tied"] = variant({0: finish(tmp_path / "t", {"iid": 8}, iid="others")}, ["iid"])
    table = tabulate(grid(), two, None)
    assert table["summary"]["tied"]["iid"]["difference"]["paired"] is False
    text = markdown({**table, **ABOUT})
    assert "]†*" in text and "\\* on other clips" in text  # and one seed is never bold
    assert "latency" not in text.split("###")[0].splitlines()[2]


def test_splits_of_some_variants_and_variants_without_a_run(two, tmp_path):
    two["more"] = variant({0: finish(tmp_path / "m", {"iid": 8, "swap": 1})}, ["iid", "swap"])
    two["failed"] = variant({}, ["iid"])
    table = tabulate(grid(), two, None)
    assert table["summary"]["failed"] == {} and list(table["summary"]["more"]) == ["iid", "swap"]
    assert table["summary"]["more"]["iid"]["std"] is None
    assert "difference" not in table["summary"]["more"]["swap"]  # the reference has no such split
    text = markdown({**table, "failed": {"failed/seed_0": "no memory"}})
    assert "| more | 80.0 | 10.0 |" in text and "| failed | – | – |" in text
    assert "- failed/seed_0: no memory" in text and "with 2 runs at a time" in text


def test_contrasted_accuracy_is_a_column(tmp_path):
    run = finish(tmp_path / "a", {"scuba": 7, "scufo": 2})
    table = tabulate(grid(reference=""), {"a": variant({0: run}, ["scuba", "scufo"])}, None)
    assert table["summary"]["a"]["contrasted"]["mean"] == pytest.approx(0.5)


@pytest.mark.parametrize(("actions", "data", "mean"), [([1], "backdrop", 0.7), ([0], "backdrop", 0),
                                                       ([1], "videos", 0)])  # fmt: skip
def test_actions_that_only_order_tells_are_a_column(tmp_path, monkeypatch, actions, data, mean):
    monkeypatch.setattr("whyact.tasks.ablation.table.ORDERED", actions)  # all clips are of class 1
    made = variant({0: finish(tmp_path, {"swap": 7})}, ["swap"])
    made.config.data.type = data
    found = tabulate(grid(reference=""), {"a": made}, None)["summary"]["a"]
    assert found.get("swap, order", {"mean": 0})["mean"] == pytest.approx(mean)


def test_explanations_and_controls(two):
    for name, iou in (("full", 0.5), ("plain", 0.3)):
        for run in two[name].runs.values():
            controls = {"random": 0.1, "motion": 0.6} if name == "full" else {}
            explain(run, iou, **controls)
    table = tabulate(grid(explain=ExplainedClips("iid", 10)), two, None)
    assert table["explained"]["plain"]["iou"]["difference"]["mean"] == pytest.approx(-0.2)
    assert table["controls"]["random"]["iou"]["mean"] == pytest.approx(0.1)
    text = markdown({**table, **ABOUT})
    assert (
        "| full | 0.500 [0.500, 0.500] |" in text and "| *random* | 0.100 [0.100, 0.100] |" in text
    )
    assert "| *motion* | 0.600 [0.600, 0.600]◦ |" in text  # it beats the map of the full model
    assert "| plain | -0.200 [-0.200, -0.200]‡ |" in text
    run = two["full"].runs[1]
    explain(run, 0.5)  # measured before the controls were asked for: the other seed's are left
    assert tabulate(grid(explain=ExplainedClips("iid", 10)), two, None)["controls"]["random"]


def test_clips_without_a_value_are_counted(two):
    """Nine of ten clips have an IoU for the first seed, eight of them for the second."""
    for missing, run in enumerate(two["full"].runs.values(), start=1):
        explain(run, 0.5)
        record = json.loads((run / "explained.json").read_text())
        record["rows"]["native"]["iou"][:missing] = [None] * missing
        (run / "explained.json").write_text(json.dumps(record))
    table = tabulate(grid(explain=ExplainedClips("iid", 10)), two, None)
    found = table["explained"]["full"]["iou"]
    assert (found["mean"], found["clips"], found["undefined"]) == (0.5, 8, 2)
    assert "| full | 0.500 [0.500, 0.500] (2 clips N/A) |" in markdown({**table, **ABOUT})


def test_a_split_that_was_not_scored_is_left_out(two):
    """A run that was killed between its evaluation and what is kept of it."""
    for run in two.values():
        run.config.data.test.append("swap")
    table = tabulate(grid(), two, None)
    assert list(table["summary"]["full"]) == ["iid"]


def test_records_of_folds_outlive_their_weights(tmp_path):
    run = finish(tmp_path / "run", {"iid": 9})
    (run / "record.json").unlink()
    for fold in range(2):
        (run / f"fold_{fold}").mkdir()
        record = {"seconds": 40.0, "commit": "1f"}
        (run / f"fold_{fold}" / "record.json").write_text(json.dumps(record))
    table = tabulate(grid(reference="a"), {"a": variant({0: run}, ["iid"])}, None)
    assert table["costs"]["a"]["training_seconds"] == 80


def leak(run: Path, hits: list[int], floor: float) -> None:
    rows = {"probes": {"scene_in_action_linear": hits}}
    record = {"version": leaking.VERSION, "split": "probe", "fingerprint": "x", "ids": [*"abcd"],
              "rows": rows, "floors": {"scene_in_action": floor}}  # fmt: skip
    (run / "leaks.json").write_text(json.dumps(record))


def test_leakage_above_one_floor_for_all(two):
    """A half and all of the clips are told; floors of 0.1, 0.3, 0.15 and 0.25 are 0.2."""
    for name, hits, floors in (
        ("full", [1, 0, 1, 0], (0.1, 0.3)),
        ("plain", [1] * 4, (0.15, 0.25)),
    ):
        for run, floor in zip(two[name].runs.values(), floors, strict=True):
            leak(run, hits, floor)
    found = tabulate(grid(probe="probe"), two, None)
    full, plain = (found["leaks"][n]["scene_in_action_linear"] for n in ("full", "plain"))
    assert full["mean"] == pytest.approx(0.3) and full["std"] == pytest.approx(0)
    assert plain["mean"] == pytest.approx(0.8)
    assert plain["difference"]["mean"] == pytest.approx(0.5)
    text = markdown({**found, **ABOUT})
    assert "| variant | scene from the action code ↓, linear |" in text
    assert "| full | 30.0 [" in text and "| plain | 80.0 [80.0, 80.0] |" in text
    other = tabulate(grid(probe="iid"), two, None)  # records of another split do not count
    assert "Leakage" not in markdown({**other, **ABOUT})


def test_three_seeds_may_be_bold_and_fewer_not(tmp_path):
    right = {"full": 9, "plain": 4}
    for seeds, mark in ((3, "**-50.0 [-80.0, -20.0]**"), (2, "]‡"), (1, "]†")):
        runs = {
            name: variant(
                {s: finish(tmp_path / f"{seeds}{name}{s}", {"iid": n}) for s in range(seeds)},
                ["iid"],
            )
            for name, n in right.items()
        }
        assert mark in markdown({**tabulate(grid(), runs, None), **ABOUT})


def test_who_trained_what_is_told_where_it_was_not_one_commit(two):
    table = {**tabulate(grid(), two, None), **ABOUT}
    assert table["variants"]["full"]["commits"] == {0: "1f", 1: "1f"}
    assert "Trained by" not in markdown(table)
    (two["full"].runs[1] / "record.json").write_text('{"seconds": 1, "commit": "2e+"}')
    said = markdown({**tabulate(grid(), two, None), **ABOUT})
    assert "| 1f | full/0, plain/0, plain/1 |" in said and "| 2e+ | full/1 |" in said


def test_the_interaction_as_they_are_and_at_matched_size(tmp_path):
    def runs(name: str, count: int) -> Variant:
        match = Match("model.backbone.width", 8, 9, 1010, 1000) if "matched" in name else None
        return variant({0: finish(tmp_path / name, {"iid": count})}, ["iid"], match)

    counts = {"A+B": 9, "A": 5, "B": 4, "none": 2, "A-matched": 6, "B-matched": 6,
              "none-matched": 3}  # fmt: skip
    variants = {name: runs(name, count) for name, count in counts.items()}
    named = {Cell("AB"): "A+B", Cell("A"): "A", Cell("B"): "B", Cell(): "none"}
    asked = grid(factors=["A", "B"], cells=named, reference="A+B", matched=True)
    table = tabulate(asked, variants, None)
    found = {size: {k: e["mean"] for k, e in splits["iid"]["top1"].items()}
             for size, splits in table["interaction"].items()}  # fmt: skip
    assert found["as they are"] == pytest.approx(
        {"A": 0.3, "B": 0.2, "A x B": 0.2, "all": 0.7, "surplus": 0.2}
    )
    assert found["matched"] == pytest.approx(
        {"A": 0.3, "B": 0.3, "A x B": 0.0, "all": 0.6, "surplus": 0.0}
    )
    text = markdown({**table, **ABOUT})
    assert "Variants matched:" in text and "| surplus | +20.0 [" in text
    odds = (9.5 / 1.5) * (2.5 / 8.5) / (5.5 / 5.5 * 4.5 / 6.5)
    assert "| effect | iid, log-odds |" in text and f"| surplus | {math.log(odds):+.2f} [" in text
    assert "| none-matched | `model.backbone.width` | 8 → 9 | 1,010 | +1.0% |" in text
    # A has the reference's size as it is, so there is no A-matched: its gain of 5 - 3 clips counts.
    del variants["A-matched"]
    assert "matched" not in tabulate(asked, variants, None)["interaction"]
    alike = tabulate(asked, variants, None, ["A"])["interaction"]["matched"]["iid"]["top1"]
    assert alike["A"]["mean"] == pytest.approx(0.2)
    del variants["A"]
    assert "as they are" not in tabulate(asked, variants, None)["interaction"]


def test_the_files(two, tmp_path):
    table = {**tabulate(grid(), two, None), **ABOUT}
    text = write_ablation(tmp_path / "out", table)
    assert (tmp_path / "out" / "table.md").read_text() == text
    assert json.loads((tmp_path / "out" / "table.json").read_text())["seeds"] == [0, 1]
    assert (tmp_path / "out" / "table.png").read_bytes()[:4] == b"\x89PNG"
