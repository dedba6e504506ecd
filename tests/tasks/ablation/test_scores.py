"""Per-clip scores of several seeds: how they are read, paired and compared."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from whyact.metrics.factorial import Cell, cells
from whyact.tasks.ablation.scores import (
    ClipTable,
    aligned,
    contrasted,
    differences,
    estimates,
    interaction,
    read_scores,
    recorded_scores,
    score_run,
)
from whyact.types import WhyactError


def write(run: Path, hits: dict[str, bool], split: str = "iid", fingerprint: str = "x") -> Path:
    """An evaluation of two classes whose clips are right or wrong as said."""
    folder = run / "evaluation" / split
    folder.mkdir(parents=True)
    table = {
        "id": list(hits), "index": list(range(len(hits))), "label": [1] * len(hits),
        "logits": [[0.0, 1.0 if hit else -1.0] for hit in hits.values()],
    }  # fmt: skip
    pq.write_table(pa.table(table), folder / "clips.parquet")
    record = {
        "schema": "1.0", "classes": ["a", "b"], "failures": {}, "set": {"fingerprint": fingerprint},
        "scores": {"expected": len(hits)},
    }  # fmt: skip
    (folder / "scores.json").write_text(json.dumps(record))
    return run


def table(*rows: list[float], seeds: tuple[int, ...] = (), fingerprint: str = "x") -> ClipTable:
    values = torch.tensor(rows, dtype=torch.float64)
    ids = tuple(f"c{i}" for i in range(values.shape[1]))
    return ClipTable(fingerprint, ids, seeds or tuple(range(len(rows))), {"top1": values})


def test_clips_of_some_actions(tmp_path):
    run = write(tmp_path, {"p": True, "q": False, "r": True})
    file = run / "evaluation/iid/clips.parquet"
    pq.write_table(pa.table({**pq.read_table(file).to_pydict(), "label": [0, 0, 1]}), file)
    records = {0: score_run(run, ["iid"])["iid"]}
    found = read_scores(records, [0, 5])
    assert found is not None and found.ids == ("p", "q")
    assert found.values["top1"].tolist() == [[0, 1]]  # p is taken for class 1, q for class 0
    assert read_scores(records, [5]) is None


def test_seeds_are_read_by_the_names_of_clips(tmp_path):
    a, b, c = (
        score_run(write(tmp_path / name, hits), ["iid"])["iid"]
        for name, hits in {
            "a": {"p": True, "q": False, "r": True},
            "b": {"r": False, "q": True, "lost": True, "p": True}, "c": {"other": True},
        }.items()
    )  # fmt: skip
    found = read_scores({3: a, 7: b})
    assert found.ids == ("p", "q", "r") and found.seeds == (3, 7) and found.fingerprint == "x"
    assert found.values["top1"].tolist() == [[1, 0, 1], [1, 1, 0]]
    assert found.values["top5"].tolist() == [[1, 1, 1], [1, 1, 1]]
    mean = estimates(found)["top1"]
    assert mean.mean == pytest.approx(2 / 3) and mean.std == pytest.approx(0) and mean.clips == 3
    assert read_scores({3: a, 9: c}) is None
    with pytest.raises(WhyactError, match=r"Seeds 3 and 7 were measured on different data \(x…"):
        read_scores({3: a, 7: b | {"fingerprint": "of another version"}})


def test_the_clips_of_all_folds_count(tmp_path):
    for fold, hits in enumerate(({"p": True, "q": False}, {"p": False})):
        run = write(tmp_path / "a" / f"fold_{fold}", hits, fingerprint=f"f{fold}")
        (run / "checkpoints").mkdir()
    found = read_scores({0: score_run(tmp_path / "a", ["iid"])["iid"]})
    assert found.ids == ("0/p", "0/q", "1/p") and found.fingerprint == "f0 f1"
    assert found.values["top1"].tolist() == [[1, 0, 0]]


def test_differences_are_paired_where_the_data_are_the_same():
    generator = torch.Generator().manual_seed(0)
    base = torch.rand(3, 60, generator=generator).tolist()
    better = [[x + 0.5 for x in row] for row in base]
    found, paired = differences(table(*better), table(*base))
    assert paired and found["top1"].mean == pytest.approx(0.5)
    assert (found["top1"].low, found["top1"].high) == pytest.approx((0.5, 0.5))
    found, paired = differences(table(*better, fingerprint="y"), table(*base))
    assert not paired and found["top1"].mean == pytest.approx(0.5)
    assert found["top1"].low < 0.45 < 0.55 < found["top1"].high


def test_only_shared_seeds_and_clips_are_compared():
    one = table([1, 0, 1], [0, 0, 0], seeds=(4, 5))
    other = table([1, 1, 0, 1], seeds=(5,)).pick([5], ["c3", "c1", "c0"])
    first, second = aligned([one, other])
    assert first.seeds == second.seeds == (5,) and first.ids == second.ids == ("c0", "c1")
    assert (first.values["top1"].tolist(), second.values["top1"].tolist()) == ([[0, 0]], [[1, 1]])
    found, _ = differences(one, other)
    assert (found["top1"].mean, found["top1"].seeds, found["top1"].clips) == (-1.0, 1, 2)
    nothing = table([1], seeds=(5,)).pick([5], [])
    assert differences(one, nothing) == ({}, True)


def test_a_clip_undefined_in_one_is_undefined_in_both():
    nan = float("nan")
    one, other = aligned([table([1.0, nan, 3.0]), table([0.0, 5.0, nan])])
    assert one.values["top1"].nan_to_num(-1).tolist() == [[1, -1, -1]]
    assert other.values["top1"].nan_to_num(-1).tolist() == [[0, -1, -1]]
    found, _ = differences(table([1.0, nan, 3.0]), table([0.0, 5.0, nan]))
    assert found["top1"].mean == 1.0  # of the one clip that both have


def test_right_when_moving_and_wrong_when_still():
    found = contrasted(table([1, 1, 0, 0]), table([1, 0, 1, 0]))
    assert found.values["top1"].tolist() == [[0, 1, 0, 0]]


def test_a_moving_clip_is_paired_with_its_own_still_frame():
    moving = replace(table([1, 1, 1]), ids=("scuba/0", "scuba/1", "scuba/2"))
    still = replace(table([1, 0, 0]), ids=("scufo/2", "scufo/3", "scufo/0"))  # 1 was not read
    found = contrasted(moving, still)
    assert found.ids == ("scuba/0", "scuba/2")
    assert found.values["top1"].tolist() == [[1, 0]]
    assert contrasted(moving, replace(still, ids=("scufo/7", "scufo/8", "scufo/9"))) is None


def test_explanations_are_read_by_the_names_of_clips():
    def record(ids: list[str], iou: list[float | None], **more: list[float]) -> dict:
        return {"fingerprint": "x", "ids": ids, "rows": {"native": {"iou": iou, **more}}}

    found = recorded_scores(
        {0: record(["p", "q"], [0.5, None], alignment=[0.1, 0.2]), 1: record(["q", "p"], [1, 0.1])},
        "native",
    )
    assert found.ids == ("p", "q") and list(found.values) == ["iou"]
    assert found.values["iou"].nan_to_num(-1).tolist() == [[0.5, -1], [0.1, 1]]
    assert recorded_scores({0: record(["p"], [1]), 1: record(["q"], [1])}, "native") is None


def test_the_interaction_needs_the_same_data():
    parts = ["A", "B"]
    values = {Cell(parts): 0.9, Cell("A"): 0.5, Cell("B"): 0.4, Cell(): 0.2}
    found = interaction(parts, {cell: table([values[cell]] * 4) for cell in cells(parts)})
    assert {k: e.mean for k, e in found["top1"].items()} == pytest.approx(
        {"A": 0.3, "B": 0.2, "A x B": 0.2, "all": 0.7, "surplus": 0.2}
    )
    other = {c: table([0.0], fingerprint=str(len(c))) for c in cells(parts)}
    assert interaction(parts, other) is None


def test_gains_add_up_in_log_odds_where_they_cannot_in_points():
    """One, two, two and three hits of three: odds of 0.6, 5/3, 5/3 and 7 with half of each more."""
    parts, right = ["A", "B"], {Cell("AB"): 3, Cell("A"): 2, Cell("B"): 2, Cell(): 1}
    found = interaction(parts, {c: table([1.0] * n + [0.0] * (3 - n)) for c, n in right.items()})
    assert found["top1"]["surplus"].mean == pytest.approx(0)
    assert found["log_odds"]["A"].mean == pytest.approx(math.log(25 / 9))
    assert found["log_odds"]["surplus"].mean == pytest.approx(math.log(7 * 0.6 / (25 / 9)))


def test_several_labels_are_ranked():
    labels = torch.tensor([[1, 0], [0, 1], [1, 1]])
    right = labels.float()
    one = ClipTable("x", ("p", "q", "r"), (0,), {}, (right[None], labels))
    assert estimates(one)["map"].mean == 1.0
    found, paired = differences(one, one)
    assert paired and (found["map"].mean, found["map"].low) == (0.0, 0.0)
    assert contrasted(one, one) is None
