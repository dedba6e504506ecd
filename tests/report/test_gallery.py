"""The gallery in a real browser: sorting, filtering, lazy pictures, 200 clips."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.report.toy_explanation import toy_results, toy_values
from tests.report.watched import opened, until

from whyact.report.gallery import gallery_page
from whyact.report.media import jpeg

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CLIPS: tuple[tuple[str, str, float, float | None], ...] = (
    ("a fine.mp4", "wave", 0.4, 0.9),
    ("b wrong.mp4", "kick", 0.5, 0.8),
    ("c weak.mp4", "wave", 0.1, 0.7),
    ("d scene.mp4", "wave", 0.3, 0.2),
    ("e unknown.mp4", "wave", 0.35, None),
    ("f tie.mp4", "wave", 0.21, 0.6),
)
"""Name, true class, gap of the map (the best control has 0.2), action share; all say "wave"."""


def entry(name: str, truth: str, gap: float, share: float | None) -> tuple[str, dict[str, Any]]:
    values = toy_values(source=name, truth=truth, results=toy_results(gap, 0.2))[0]
    return name.replace(".mp4", ".html"), values | {"action_share": share, "media": None}


def write(folder: Path, entries: list[tuple[str, dict[str, Any]]]) -> Path:
    picture = jpeg(np.full((16, 24, 3), 128, np.uint8))
    for page, _ in entries:
        (folder / page).with_suffix(".jpg").write_bytes(picture)
        (folder / page).write_text("<title>the page</title>", encoding="utf-8")
    path = folder / "index.html"
    path.write_text(gallery_page(entries), encoding="utf-8")
    return path


def names(page: Page) -> str:
    """First letters of the clips, in the order that they are shown."""
    return "".join(s[0] for s in page.locator(".clip div .source[title]").all_text_contents())


def test_sorting_and_filtering(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, write(tmp_path, [entry(*c) for c in CLIPS])) as page:
        assert page.inner_text("h1") == "6 explanations"
        told = page.inner_text("#summary")
        assert "1 of 6 predictions wrong · 2 weak explanations · 1 lean" in told
        weak = page.locator(".badges", has_text="A weak explanation")
        assert weak.count() == 2
        reasons = page.locator(".clip", has_text="A weak explanation").all_inner_texts()
        assert all("no better than a guess" in text for text in reasons)
        assert names(page) == "bcfdea"  # wrong first, then by the lead over the best control
        page.select_option("#sort", "background")
        assert names(page) == "dfcbae"
        bar = page.locator(".split").first.bounding_box()
        actor = page.locator(".split i").first.bounding_box()
        assert bar and actor and actor["width"] / bar["width"] == pytest.approx(0.2, abs=0.02)
        page.select_option("#sort", "name")
        assert names(page) == "abcdef"
        page.select_option("#class", "kick")
        assert names(page) == "b" and page.inner_text("#count") == "1 of 6"
        page.select_option("#class", "")
        for state, kept in (("wrong", "b"), ("bad", "cf"), ("scene", "d")):
            page.select_option("#state", state)
            assert names(page) == kept
        assert page.locator(".badges .bad").count() == 0  # the scene's clip is well explained
        page.click(".clip")
        assert page.title() == "the page"


def test_explanations_of_several_classes_of_a_clip_are_told_apart(
    browser: Browser, tmp_path: Path
) -> None:
    both = [entry("a.mp4", "wave", 0.4, 0.9), entry("a.mp4", "wave", 0.4, 0.9)]
    both[1] = ("a-kick.html", both[1][1] | {"class": "kick"})
    with opened(browser, write(tmp_path, both)) as page:
        asked = page.locator(".clip", has_text="explained: why “kick”?")
        assert asked.count() == 1 and asked.get_attribute("href") == "a-kick.html"
        page.select_option("#class", "kick")
        assert page.locator(".clip").count() == 1 and asked.is_visible()


def test_two_hundred_clips_on_a_phone(browser: Browser, tmp_path: Path) -> None:
    entries = [entry(f"{i:03d}.mp4", "wave", 0.4, i / 200) for i in range(200)]
    with opened(browser, write(tmp_path, entries), width=375, height=800) as page:
        assert page.locator(".clip").count() == 200
        assert page.evaluate("document.documentElement.scrollWidth") == 375
        until(lambda: page.evaluate("document.images[0].naturalWidth") > 0)
        loaded = "[...document.images].filter((i) => i.complete && i.naturalWidth > 0).length"
        assert 0 < page.evaluate(loaded) < 150
        draw = "() => { const t = performance.now(); show(); return performance.now() - t; }"
        # Other work on the machine can only make it slower.
        assert min(page.evaluate(draw) for _ in range(5)) < 500
        page.locator(".clip").last.scroll_into_view_if_needed()
        until(lambda: page.evaluate("[...document.images].at(-1).naturalWidth") > 0)


def test_hostile_names(browser: Browser, tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)>'\"#?&%41.mp4"
    with opened(browser, write(tmp_path, [entry(name, "<b>x", 0.1, 0.5)])) as page:
        assert page.get_attribute(".clip .source", "title") == name
        until(lambda: page.evaluate("document.images[0].naturalWidth") > 0)
        page.click(".clip")
        assert page.title() == "the page"


def test_an_entry_of_an_untested_clip() -> None:
    values = toy_values()[0]
    text = gallery_page([("x.html", values)])
    assert '"justification":null' in text and '"state":"unknown"' in text
    with pytest.raises(KeyError):
        gallery_page([("x.html", {})])
