"""Figures as PDF and SVG, with what they say as text or paths, the same bytes every time."""

from pathlib import Path
from typing import Any

import pytest
from tests.report.toy_explanation import toy_values

from whyact.report.figures import KINDS, write_figure
from whyact.types import WhyactError

TABLE: dict[str, Any] = {
    "summary": {
        "full": {
            "iid": {"mean": 0.95, "std": 0.01, "low": 0.93, "high": 0.96},
            "swap": {"mean": 0.8, "std": 0.02, "low": 0.7, "high": 0.9},
        },
        "no graph": {
            "iid": {"mean": 0.9, "std": None, "low": 0.85, "high": 0.95},
            "swap": {"mean": None, "std": None, "low": None, "high": None},
        },
    }
}


@pytest.fixture(autouse=True)
def text_in_svg(monkeypatch: pytest.MonkeyPatch) -> None:
    """Letters stay letters, so that a test can read them."""
    import matplotlib as mpl

    monkeypatch.setitem(mpl.rcParams, "svg.fonttype", "none")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("strip", ["evidence", "regions", "0.25 s", "0.75 s"]),
        ("timeline", ["region 0", "region 1", "sum", "contribution"]),
        ("graph", ["prompt 0", "region 0", "region 1", "0.50", "0.90", "time step"]),
        ("ablation", ["full", "no graph", "iid", "swap", "95.0 ± 1.0", "90.0", "–"]),
    ],
)
def test_every_kind(kind: str, said: list[str], tmp_path: Path) -> None:
    values = TABLE if kind == "ablation" else toy_values()[0]
    text = write_figure(tmp_path / "a.svg", kind, values).read_text(encoding="utf-8")
    assert [word for word in said if word not in text] == []
    assert write_figure(tmp_path / "b.svg", kind, values).read_text(encoding="utf-8") == text
    pdf = write_figure(tmp_path / "new" / "a.pdf", kind, values).read_bytes()
    assert pdf.startswith(b"%PDF") and b"/Type3" not in pdf  # fonts that journals accept
    assert write_figure(tmp_path / "b.pdf", kind, values).read_bytes() == pdf


def test_what_cannot_be_drawn(tmp_path: Path) -> None:
    first = toy_values()[0]
    with pytest.raises(WhyactError, match="no figure 'pie'; choose one of strip, timeline, graph"):
        write_figure(tmp_path / "a.pdf", "pie", first)
    with pytest.raises(WhyactError, match=r"a\.doc: expected a name that ends in \.pdf"):
        write_figure(tmp_path / "a.doc", "strip", first)
    with pytest.raises(WhyactError, match="no reasoning path"):
        write_figure(tmp_path / "a.pdf", "graph", first | {"path": []})
    with pytest.raises(WhyactError, match="no evidence over time"):
        write_figure(tmp_path / "a.pdf", "timeline", first | {"frame_evidence": []})
    with pytest.raises(WhyactError, match="of an ablation, with"):
        write_figure(tmp_path / "a.pdf", "ablation", first)
    assert list(tmp_path.iterdir()) == []


def test_numbers_of_many_splits_stay_clear_of_other_panels() -> None:
    cell = {"mean": 1.0, "low": 0.9, "high": 1.0, "std": 0.123}
    splits = [f"split {i}" for i in range(6)]
    figure = KINDS["ablation"]({"summary": {"full": dict.fromkeys(splits, cell)}})
    figure.canvas.draw()
    assert [a.get_title() for a in figure.axes if a.axison] == splits
    numbers = [t.get_window_extent() for a in figure.axes for t in a.texts]
    assert len(numbers) == 6
    assert not any(n.overlaps(a.get_window_extent()) for n in numbers for a in figure.axes)
