"""From files to figures, and the files that are none."""

import json
from pathlib import Path

import pytest
from tests.report.toy_explanation import toy_values

from whyact.cli import main
from whyact.tasks.figure import figure
from whyact.types import WhyactError


def test_from_an_explanation_and_from_an_ablation(tmp_path: Path) -> None:
    source = tmp_path / "clip.json"
    source.write_text(json.dumps(toy_values()[0]), encoding="utf-8")
    assert figure(source, kind="graph", output=tmp_path / "g.svg").is_file()
    cell = {"mean": 0.5, "std": None, "low": 0.4, "high": 0.6}
    (tmp_path / "table.json").write_text(json.dumps({"summary": {"full": {"iid": cell}}}))
    assert figure(tmp_path, kind="ablation", output=tmp_path / "a.pdf").is_file()


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, output = tmp_path / "clip.json", tmp_path / "t.svg"
    source.write_text(json.dumps(toy_values()[0]), encoding="utf-8")
    assert main(["figure", str(source), "--kind", "timeline", "--output", str(output)]) == 0
    assert capsys.readouterr().out == f"{output}\n" and output.is_file()
    assert main(["figure", str(tmp_path / "no.json"), "--output", str(output)]) == 2
    assert "no.json: cannot be read as JSON" in capsys.readouterr().err


def test_files_that_are_no_explanation(tmp_path: Path) -> None:
    with pytest.raises(WhyactError, match=r"table\.json: cannot be read as JSON"):
        figure(tmp_path, kind="ablation", output="a.pdf")
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(WhyactError, match="expected a JSON object, got a list"):
        figure(tmp_path / "list.json", kind="strip", output="a.pdf")
    (tmp_path / "old.json").write_text(json.dumps(toy_values()[0] | {"schema": "2.0"}))
    with pytest.raises(WhyactError, match=r"schema 1\.5, got 2\.0"):
        figure(tmp_path / "old.json", kind="strip", output="a.pdf")
