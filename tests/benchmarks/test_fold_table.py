"""The table of cross-validated runs: all held-out clips of every run, over seeds."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks import fold_table
from whyact.types import WhyactError

HITS = {
    "a_0": {"x": 1.0, "y": 0.0, "z": 1.0, "w": 1.0},
    "a_1": {"x": 1.0, "y": 0.0, "z": 1.0, "w": 0.0},
    "b_0": {"x": 0.0, "y": 0.0, "z": 1.0, "w": 1.0},
    "c_0": {"x": 0.0, "y": 0.0},
}


@pytest.fixture
def made_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in HITS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(f"seed: {name[-1]}\n")
    monkeypatch.setattr(fold_table, "hits", lambda run, split: HITS[run.name])
    return tmp_path


def test_means_and_paired_differences(made_runs: Path) -> None:
    runs = {"a": [made_runs / "a_0", made_runs / "a_1"], "b": [made_runs / "b_0"]}
    rows: dict[str, Any] = fold_table.table(runs, "test")["rows"]
    assert rows["a"]["each"] == {0: 0.75, 1: 0.5} and rows["a"]["top1"]["mean"] == 0.625
    # Of the one seed that both have: one clip of four is lost.
    assert rows["b"]["difference"]["mean"] == -0.25 and rows["b"]["difference"]["seeds"] == 1
    assert rows["b"]["difference"]["high"] <= 0
    said = fold_table.markdown({"rows": rows})
    assert "| b | 50.0 [" in said and "| -25.0 [" in said


def test_other_clips_are_refused(made_runs: Path) -> None:
    with pytest.raises(WhyactError, match="c: other clips than a"):
        fold_table.table({"a": [made_runs / "a_0"], "c": [made_runs / "c_0"]}, "test")


def test_runs_without_folds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WhyactError, match="no folds here"):
        fold_table.hits(tmp_path, "test")
