"""Scripts of studies find what they import; what they measure is not run here."""

import importlib
from pathlib import Path

import pytest

SCRIPTS = sorted(p.stem for p in Path(__file__).parents[2].glob("benchmarks/*.py"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_imports(name: str) -> None:
    assert hasattr(importlib.import_module(f"benchmarks.{name}"), "main")
