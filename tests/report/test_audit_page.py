"""The page of an audit in a real browser: hostile names, narrow screens, both colour schemes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from tests.report.watched import opened

from whyact.report.audit_page import SHOWN, write_audit_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser

RECORD = Path(__file__).parents[2] / "docs" / "results" / "audit" / "scene.json"
HOSTILE = "</td><img src=x onerror=alert(1)><script>alert(2)</script>\"'&.mp4"


@pytest.fixture
def page_file(tmp_path: Path) -> Path:
    """Of a published audit, its names exchanged for hostile ones, long ones among them."""
    record: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))
    record["judged"] = {"clips": record["data"]["read"], "chance": record["chance"],
                        "measures": record["measures"]}  # fmt: skip
    record["measures"]["original"]["chance"] = record["chance"]
    record["model"]["name"] = HOSTILE
    record["data"]["classes"] = [HOSTILE, *record["data"]["classes"][1:]]
    record["per_class"][0]["class"] = HOSTILE
    record["clips"]["id"] = [HOSTILE, "x" * 200, *record["clips"]["id"][2:]]
    pictures = {name: torch.rand(3, 3, 32, 48) for name in SHOWN}
    path = tmp_path / "audit.html"
    write_audit_page(path, record, [0, 1, 2], pictures)
    return path


def test_names_with_markup_stay_text(browser: Browser, page_file: Path) -> None:
    with opened(browser, page_file, scripted=False) as page:
        assert page.inner_text("h1") == HOSTILE
        assert page.inner_text("body").count(HOSTILE) >= 3
        assert page.locator("img[onerror]").count() == 0
        shown = "[...document.images].every((i) => i.naturalWidth > 0)"
        assert page.locator("main img").count() == 3 * len(SHOWN) and page.evaluate(shown)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(browser: Browser, page_file: Path, scheme: str) -> None:
    with opened(browser, page_file, scripted=False, width=375, scheme=scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == 375
