"""The explanation page in a real browser: every control, the keyboard, narrow, hostile, offline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from tests.report.toy_explanation import toy_results, toy_values, toy_video
from tests.report.watched import opened, until

from whyact.report.explanation_page import explanation_page
from whyact.types import WhyactError

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SHOWN = """() => {
  const stage = document.getElementById('stage');
  const copy = new OffscreenCanvas(stage.width, stage.height);
  const pen = copy.getContext('2d', { willReadFrequently: true });
  pen.drawImage(stage, 0, 0);
  const at = (x, y) => [...pen.getImageData(x * copy.width, y * copy.height, 1, 1).data];
  return [at(0.25, 0.5), at(0.75, 0.5)];
}"""
"""Colours in the middle of the left and the right half of the stage."""


@pytest.fixture
def page_file(tmp_path: Path) -> Path:
    return write(tmp_path, toy_values(truth="kick", results=toy_results(0.5, 0.2)))


def write(folder: Path, values: list[dict[str, Any]]) -> Path:
    path = folder / "page.html"
    path.write_text(explanation_page(values), encoding="utf-8")
    return path


def frame(page: Page) -> int:
    return int(page.input_value("#scrub"))


def grey(page: Page) -> int:
    """Of the frame that is drawn, without heat and outlines."""
    return page.evaluate(SHOWN)[0][0]


def test_it_opens_with_everything_said(browser: Browser, page_file: Path) -> None:
    with opened(browser, page_file) as page:
        assert page.inner_text("h1") == "Why “wave”?"
        assert page.inner_text("#verdict") == "It holds up in its tests"
        said = page.inner_text("#findings")
        assert "The prediction is wrong" in said and "“kick”" in said and "“wave” (70%)" in said
        assert page.inner_text("#share").startswith("actor 80 %")
        choice, chance = (page.locator(c).first.bounding_box() for c in (".choice", ".choice i"))
        assert chance["width"] / choice["width"] == pytest.approx(0.7, abs=0.02)
        # 2.5 and 0.5 of the regions, 0.5 of the bias
        label = page.get_attribute("#sum", "aria-label")
        assert label == (
            "region 0 +2.50, region 1 +0.50, other regions +0.00, bias +0.50, logit +3.50"
        )
        assert page.inner_text("#path") == (
            "prompt 0 (step 2) —0.50→ region 1 (step 2) —0.90→ region 0 (step 3)"
        )
        assert frame(page) == 1  # the frame with the most evidence
        assert page.locator("#curves svg").count() == 2
        assert "the centre of the frame (+0.20)" in page.inner_text(".key")
        assert page.locator("#prompts rect").count() == 3 * 4


def test_playing_and_scrubbing(browser: Browser, page_file: Path) -> None:
    with opened(browser, page_file) as page:
        page.uncheck("#outlines")
        page.fill("#heat", "0")
        for at in (0, 3, 2):
            page.fill("#scrub", str(at))
            assert grey(page) == pytest.approx(60 * at, abs=3)
            assert f"frame {at + 1} of 4, {at / 4:.2f} s" in page.inner_text("#when")
        assert "evidence +0.50" in (page.get_attribute("#scrub", "aria-valuetext") or "")
        page.select_option("#speed", "16")
        page.click("#play")
        assert page.get_attribute("#play", "aria-label") == "Pause"
        until(lambda: frame(page) != 2)
        until(lambda: frame(page) == 2)  # it goes round
        page.click("#play")
        stopped = frame(page)
        page.wait_for_timeout(200)
        assert frame(page) == stopped
        page.locator("#evidence .hit").nth(3).click()
        assert frame(page) == 3


def test_heat_lies_where_the_evidence_is(browser: Browser, page_file: Path) -> None:
    with opened(browser, page_file) as page:
        page.uncheck("#outlines")
        left, right = page.evaluate(SHOWN)
        # Frame 1 has 1.5 of evidence left and 0.5 right; a grey frame gets its colour from heat.
        spread = [max(c[:3]) - min(c[:3]) for c in (left, right)]
        assert spread[0] > spread[1] > 10
        page.fill("#heat", "0")
        assert all(max(c[:3]) - min(c[:3]) <= 2 for c in page.evaluate(SHOWN))
        page.check("#outlines")
        page.fill("#heat", "0")
        border = """() => {
          const c = document.getElementById('stage');
          const d = c.getContext('2d').getImageData(0, c.height / 2, c.width, 1).data;
          let far = 0;
          for (let i = 0; i < d.length; i += 4) far = Math.max(far, Math.abs(d[i] - d[i + 2]));
          return far;
        }"""
        assert page.evaluate(border) > 100  # the colours of the regions at their border


def test_switching_the_class(browser: Browser, page_file: Path) -> None:
    with opened(browser, page_file) as page:
        before = page.evaluate(SHOWN)
        page.get_by_role("radio", name="kick").check()
        assert page.inner_text("h1") == "Why “kick”?"
        assert "Not tested" in page.inner_text("#findings")
        assert "--action" in page.inner_text("#curves-note") and page.locator(".key").count() == 0
        assert "logit +2.00" in (page.get_attribute("#sum", "aria-label") or "")
        after = page.evaluate(SHOWN)
        assert before != after  # half of the evidence is half as hot
        page.get_by_role("radio", name="kick").press("ArrowRight")
        assert page.inner_text("h1") == "Why “sit down”?"
        page.get_by_role("radio", name="wave").check()
        assert page.locator(".key").count() == 1 and page.evaluate(SHOWN) == before


def test_pointing_at_a_region_lights_it_up(browser: Browser, page_file: Path) -> None:
    with opened(browser, page_file) as page:
        page.fill("#heat", "0")
        page.uncheck("#outlines")
        page.fill("#scrub", "3")
        node = page.get_by_role("button", name="region 0 (step 3), adds +0.250")
        node.hover()
        left, right = page.evaluate(SHOWN)
        assert frame(page) == 2 and left[0] > 100 > 60 > right[0]  # the right half is darkened
        page.hover("h1")
        assert page.evaluate(SHOWN)[1][0] > 100
        page.get_by_role("button", name="region 1 +0.50").click()  # held until it is let go
        page.hover("h1")
        left, right = page.evaluate(SHOWN)
        assert left[0] < 60 and right[0] > 100
        page.get_by_role("button", name="region 1 +0.50").click()
        page.hover("h1")
        assert page.evaluate(SHOWN)[0][0] > 100


def test_the_keyboard_reaches_everything(browser: Browser, page_file: Path) -> None:
    with opened(browser, page_file) as page:
        page.keyboard.press("End")
        assert frame(page) == 3
        page.keyboard.press("ArrowLeft")
        assert frame(page) == 2
        page.keyboard.press("Space")
        assert page.get_attribute("#play", "aria-label") == "Pause"
        page.keyboard.press("Space")
        page.keyboard.press("h")
        assert page.input_value("#heat") == "0"
        page.keyboard.press("o")
        assert not page.is_checked("#outlines")
        names = tab_stops(page)
        order = ["Skip", "wave", "Play", "Frame", "Speed", "Heat", "Outlines", "region 0"]
        places = [next(i for i, n in enumerate(names) if word in n) for word in order]
        assert places == sorted(places)
        # The graph is one stop; the arrow keys move in it.
        graph = [n for n in names if "(step" in n]
        assert len(graph) == 1
        page.locator('#graph [tabindex="0"]').focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowRight")
        named = page.evaluate("document.activeElement.getAttribute('aria-label')")
        assert named is not None and "(step" in named
        page.keyboard.press("Enter")
        assert f"(step {frame(page) + 1})" in named


def tab_stops(page: Page) -> list[str]:
    """Names of what the Tab key reaches, each with a visible focus."""
    page.evaluate("document.activeElement.blur()")
    found: list[str] = []
    for _ in range(30):
        page.keyboard.press("Tab")
        name, seen = page.evaluate("""() => {
          const e = document.activeElement;
          if (e === document.body) return [null, false];
          const s = getComputedStyle(e.closest('.choice') || e);
          const label = e.getAttribute('aria-label') || e.labels?.[0]?.innerText || e.innerText;
          return [label || '', s.outlineStyle !== 'none' || s.strokeWidth === '4px'];
        }""")
        if name is None:
            break
        assert seen, f"the focus on {name!r} cannot be seen"
        found.append(name)
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_narrow_screens_and_colour_schemes(browser: Browser, page_file: Path, scheme: str) -> None:
    with opened(browser, page_file, width=375, height=812, scheme=scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == 375
        stage, trust = (
            page.locator("#stage").bounding_box(),
            page.locator("#findings").bounding_box(),
        )
        assert (
            stage and trust and stage["width"] > 300 and trust["y"] > stage["y"] + stage["height"]
        )
        paper, ink = page.evaluate(
            "(({ backgroundColor: b, color: c }) => [b, c])(getComputedStyle(document.body))"
        )
        assert (contrast(paper, ink) > 12) and (bright(paper) > bright(ink)) == (scheme == "light")
        muted = page.evaluate("getComputedStyle(document.querySelector('.muted')).color")
        assert contrast(paper, muted) > 4.5


def bright(color: str) -> float:
    """Relative luminance (WCAG 2) of an ``rgb(r, g, b)``."""
    parts = [int(c) / 255 for c in color.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(first: str, second: str) -> float:
    high, low = sorted((bright(first), bright(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_hostile_names_run_nothing(browser: Browser, tmp_path: Path) -> None:
    name = (
        "\"><img src=x onerror=alert(1)></script><script>alert(2)</script>'`${alert(3)}\u2028.mp4"
    )
    classes = (name, "</title><svg onload=alert(4)>", "a' onclick='alert(5)")
    values = toy_values(
        classes=classes, source=name, truth=classes[1], results=toy_results(0.1, 0.2)
    )
    with opened(browser, write(tmp_path, values)) as page:
        assert page.inner_text("h1") == f"Why “{name}”?"
        assert page.title().startswith("Why") and page.locator("main img").count() == 0
        assert page.locator("script").count() == 2
        for i in range(3):
            page.locator("#classes input").nth(i).check()


def test_markup_that_got_in_does_not_run(browser: Browser, page_file: Path) -> None:
    text = page_file.read_text(encoding="utf-8")
    page_file.write_text(text.replace("</main>", "<script>window.ran = 1</script></main>"))
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.goto(page_file.as_uri())
    page.wait_for_selector("html[data-ready]")
    assert page.evaluate("window.ran") is None
    context.close()


def test_a_method_with_nothing_but_heat(browser: Browser, tmp_path: Path) -> None:
    """No regions, path, prompts or evidence over time: what is missing is not shown."""
    from whyact.report.schema import to_json
    from whyact.types import Explanation

    e = Explanation(method="grad_cam", target=0, heat=torch.ones(4, 32, 32), score=1.0)
    values = to_json(
        e, source="a.mp4", classes=["wave"], probabilities=[1.0], times=(), tracks=(),
        video=toy_video(),
    )  # fmt: skip
    with opened(browser, write(tmp_path, [values])) as page:
        for hidden in ("#graph-card", "#prompts-card", "#sum-card"):
            assert not page.is_visible(hidden)
        assert "not additive" in page.inner_text("#findings")
        page.keyboard.press("End")
        assert frame(page) == 3


def test_size_and_time_of_a_large_clip(browser: Browser, tmp_path: Path) -> None:
    """16 frames of 224 x 224 of noise, which no codec makes small, five classes, 14 x 14 cells."""
    from dataclasses import replace

    from tests.report.toy_explanation import toy_explanation

    from whyact.explainers.native import region_tracks
    from whyact.report.schema import to_json

    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(3, 16, 28, 28, generator=generator)
    video = torch.nn.functional.interpolate(noise, (224, 224), mode="bilinear")
    e = replace(
        toy_explanation(), heat=torch.rand(16, 224, 224, generator=generator),
        contributions=torch.randn(16, 8, generator=generator), score=0.0, bias=0.0,
        assignment=torch.rand(16, 8, 14, 14, generator=generator).softmax(1),
        frame_evidence=torch.randn(16, generator=generator), path=(),
        prompt_weights=torch.rand(16, 8, 32, generator=generator),
    )  # fmt: skip
    e = replace(e, score=float(e.contributions.double().sum()))
    values = [
        to_json(
            replace(e, target=k), source="large.mp4", classes=list("abcde"),
            probabilities=[0.2] * 5, times=(), tracks=region_tracks(e), video=video,
        )
        for k in range(5)
    ]  # fmt: skip
    path = write(tmp_path, values)
    assert path.stat().st_size < 5e6
    with opened(browser, path) as page:
        assert 0 < int(page.get_attribute("html", "data-ready") or 0) < 1000  # milliseconds
        page.keyboard.press("End")
        assert frame(page) == 15


def test_values_that_cannot_be_shown() -> None:
    first, *_ = toy_values()
    with pytest.raises(WhyactError, match="holds no pictures"):
        explanation_page([first | {"media": None}])
    with pytest.raises(WhyactError, match="has no key 'path'"):
        explanation_page([{k: v for k, v in first.items() if k != "path"}])
