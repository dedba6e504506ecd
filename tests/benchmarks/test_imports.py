"""Scripts of studies find what they import; what they measure is not run here."""

import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.parametrize("name", sorted(p.stem for p in FOLDER.glob("*.py")))
def test_imports(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FOLDER)  # as when it is run
    found = importlib.import_module(name)
    assert hasattr(found, "main") == ("__main__" in (FOLDER / f"{name}.py").read_text())
