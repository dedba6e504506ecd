"""Two records side by side: the same clips, or an error that names the difference."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from whyact.cli import main
from whyact.tasks.compare import compare
from whyact.types import WhyactError


def record(folder: Path, rows: dict[str, tuple[int, list[float]]], **changes) -> Path:
    """An evaluation with (label, logits) of each clip."""
    folder.mkdir()
    table = {
        "id": list(rows), "index": list(range(len(rows))), "label": [r[0] for r in rows.values()],
        "logits": [r[1] for r in rows.values()],
    }  # fmt: skip
    pq.write_table(pa.table(table), folder / "clips.parquet")
    values = {
        "schema": "1.0", "label_map": "x", "classes": ["a", "b"], "per_class": [],
        "failures": {}, "protocol": "1x1",
        "scores": {"expected": len(rows)}, "decoder": "PyAV", **changes,
    }  # fmt: skip
    (folder / "scores.json").write_text(json.dumps(values))
    return folder


RIGHT = {f"c{i}": (i % 2, [1.0 - i % 2, float(i % 2)]) for i in range(10)}
WRONG = ("c0", "c1", "c2")
WORSE = dict(reversed([(k, (y, s[::-1] if k in WRONG else s)) for k, (y, s) in RIGHT.items()]))


def test_clips_are_paired_by_name_whatever_their_order(tmp_path: Path, capsys) -> None:
    a, b = record(tmp_path / "a", RIGHT), record(tmp_path / "b", WORSE, protocol="10x3")
    found = compare(a, b / "scores.json", output=tmp_path / "out" / "compare.json")
    assert found["clips"] == 10
    assert found["measures"]["top1"]["difference"] == pytest.approx(-0.3)
    assert found["mcnemar"] == {"only_first": 3, "only_second": 0, "p": 2 / 2**3}
    assert found["warnings"] == ["protocol differs: 1x1 and 10x3"]
    assert json.loads((tmp_path / "out" / "compare.json").read_text()) == found
    assert main(["compare", str(a), str(b)]) == 0
    said = capsys.readouterr().out
    assert "McNemar: 3 clips right only in the first, 0 only in the second, p = 0.25" in said
    assert "top1" in said and "-30.0" in said and "warning: protocol differs" in said


def test_other_files_under_the_same_names_are_told(tmp_path: Path) -> None:
    a = record(tmp_path / "a", RIGHT, set={"fingerprint": "1"})
    b = record(tmp_path / "b", RIGHT, set={"fingerprint": "2"})
    (said,) = compare(a, b)["warnings"]
    assert said.startswith("the files differ: same names and labels")
    assert compare(a, a)["warnings"] == []


def test_wishes_that_differ_are_told(tmp_path: Path) -> None:
    own = record(tmp_path / "own", RIGHT)
    wishes = {"name": "oracle", "reads_labels": True, "title": "", "leak": 1.0}
    told = record(tmp_path / "told", RIGHT, asked=wishes)
    (said,) = compare(own, told)["warnings"]
    assert said == "the wishes differ: not asked and oracle, which reads the true labels"
    other = record(tmp_path / "other", RIGHT, asked=wishes | {"leak": 0.5})
    assert compare(told, other)["warnings"] == []


def test_different_clips_are_refused(tmp_path: Path) -> None:
    a = record(tmp_path / "a", RIGHT)
    fewer = record(tmp_path / "fewer", {k: v for k, v in RIGHT.items() if k != "c3"})
    with pytest.raises(WhyactError, match=r"not of the same clips: 1 only in .*a \(e\.g\. c3\)"):
        compare(a, fewer)
    wrong = record(tmp_path / "wrong", RIGHT | {"c4": (1, [1.0, 0.0])})
    with pytest.raises(WhyactError, match=r"labels of clip 'c4' differ"):
        compare(a, wrong)
    classes = record(tmp_path / "classes", RIGHT, label_map="y")
    with pytest.raises(WhyactError, match=r"have different classes, or in another order"):
        compare(a, classes)
    old = record(tmp_path / "old", RIGHT, schema=None)
    with pytest.raises(WhyactError, match=r"old: expected a record of schema 1\.0, found None"):
        compare(a, old)
    with pytest.raises(WhyactError, match=r"no evaluation here.*Evaluations inside it: a, classes"):
        compare(a, tmp_path)
