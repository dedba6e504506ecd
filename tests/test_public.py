"""The public names agree with one another, and the reference has a page for what people use."""

import ast
import re
from pathlib import Path

import pytest

import whyact

ROOT = Path(__file__).parents[1]


def test_every_public_name_is_declared_for_type_checkers_and_can_be_imported() -> None:
    tree = ast.parse((ROOT / "src" / "whyact" / "__init__.py").read_text(encoding="utf-8"))
    (guarded,) = (node for node in tree.body if isinstance(node, ast.If))
    declared = {
        alias.name: node.module for node in guarded.body if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }  # fmt: skip
    homes = {name: f"whyact.{home}" for name, home in whyact._HOME.items()}
    assert declared == homes and sorted(homes) == sorted(whyact.__all__)
    assert all(getattr(whyact, name).__name__ == name for name in whyact.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        _ = whyact.trian


@pytest.mark.parametrize("layer", ["objectives", "metrics", "explainers", "audits", "nn", "ops"])
def test_the_reference_has_every_module(layer: str) -> None:
    pages = [p.read_text(encoding="utf-8") for p in (ROOT / "docs").rglob("*.md")]
    listed = {name for page in pages for name in re.findall(r"^::: ([\w.]+)", page, re.MULTILINE)}
    files = (ROOT / "src" / "whyact" / layer).glob("[!_]*.py")
    assert {f"whyact.{layer}.{file.stem}" for file in files} <= listed
