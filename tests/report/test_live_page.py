"""The live page in a real browser: every change asks the model, and what went wrong is said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.data.media import write_video
from tests.report.watched import opened, until
from tests.tasks.live_server import serving, untrained
from tests.tasks.tiny import write_clip

from whyact.data.film import Limits

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CLASSES = ("left \"'<b>", "right</script>")
"""Names that would break out of markup and scripts."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("live")


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    clips = [write_clip(folder / f"{name}.mp4", i, i) for i, name in enumerate(("a", "b"))]
    limits = Limits(megabytes=0.2, seconds=20, side=640)
    with serving(untrained(folder, CLASSES), clips, limits) as found:
        yield f"http://{found}/"


def answered(page: Page) -> str:
    """What came of the changes, once the server has answered."""
    page.wait_for_timeout(50)
    until(lambda: page.evaluate("!live.busy") and page.inner_text("#said") == "", 20)
    return page.inner_text("#outcome")


def logit(page: Page) -> float:
    found: float = page.evaluate("shown().logit")
    return found


def written(number: float) -> str:
    return f"{number:+.2f}".replace("-", "−")


def test_a_box_is_dragged_and_taken_back(browser: Browser, address: str) -> None:
    with opened(browser, address) as page:
        assert page.inner_text("h1").startswith("Why “")
        assert page.inner_text("#outcome") == "Nothing is changed."
        before, frames = logit(page), page.evaluate("clip.frames.uri")
        stage = page.locator("#stage").bounding_box()
        assert stage
        page.mouse.move(stage["x"] + 0.25 * stage["width"], stage["y"] + 0.5 * stage["height"])
        page.mouse.down()
        page.mouse.move(stage["x"] + 0.75 * stage["width"], stage["y"] + stage["height"], steps=3)
        page.mouse.up()
        said = answered(page)
        assert f"goes from {written(before)} to {written(logit(page))}" in said
        assert logit(page) != before and page.evaluate("clip.frames.uri") != frames
        values = [int(f.input_value()) for f in page.locator("#boxes input").all()]
        assert values[:4] == pytest.approx([25, 50, 75, 100], abs=1) and values[4:] == [1, 4]
        page.click("text=Undo all")
        assert answered(page) == "Nothing is changed."
        assert logit(page) == pytest.approx(before) and page.evaluate("clip.frames.uri") == frames
        page.mouse.click(stage["x"] + 20, stage["y"] + 20)  # a click is no box
        assert page.locator("#boxes li").count() == 0


def test_everything_can_be_done_with_the_keyboard(browser: Browser, address: str) -> None:
    with opened(browser, address) as page:
        before = logit(page)
        page.locator("#add-box").press("Enter")
        answered(page)
        edge = page.get_by_label("Left edge of box 1, percent")
        edge.fill("0")
        edge.press("Tab")
        answered(page)
        assert page.evaluate("boxes[0].left") == 0
        last = page.get_by_label("To frame, box 1")
        last.fill("99")  # there are four
        last.press("Tab")
        answered(page)
        assert page.evaluate("boxes[0].last") == 3
        hidden = logit(page)
        assert hidden != before
        prompt = page.get_by_label("prompt 0", exact=True)
        prompt.press("Space")
        answered(page)
        assert not prompt.is_checked() and logit(page) != hidden
        assert page.evaluate("document.activeElement.dataset.key") == "prompt 0"  # focus stays
        page.get_by_label("Remove box 1").press("Enter")
        prompt.press("Space")
        answered(page)
        assert logit(page) == pytest.approx(before)


def test_edges_background_trim_and_clips(browser: Browser, address: str) -> None:
    with opened(browser, address, refusals=True) as page:
        before = logit(page)
        name = page.locator("#edges-off label").first.inner_text().strip()
        page.locator("#edges-off input").first.uncheck()
        answered(page)
        assert logit(page) != before and name.split(" → ")[1] in page.inner_text("#edges-off")
        off = page.locator("#edges-off label", has_text=name).locator("input")
        assert not off.is_checked()
        off.check()
        answered(page)
        page.locator("#trim-to").fill("0.1")
        answered(page)
        assert page.evaluate("Math.max(...clip.times)") <= 0.1 and logit(page) != before
        page.select_option("#offered", "clip-1")  # another clip starts afresh
        assert answered(page) == "Nothing is changed."
        assert page.inner_text("#source") == "b.mp4"
        assert page.locator("#background option", has_text="a.mp4").count() == 1
        page.select_option("#background", "swapped:clip-0")
        page.wait_for_timeout(50)
        until(lambda: page.evaluate("!live.busy"), 20)
        assert "Nothing was found that moves in this clip" in page.inner_text("#said")  # noise


def test_opening_a_film_and_saving_its_page(browser: Browser, address: str, tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)>'&.mp4"
    film = write_clip(tmp_path / name, 1, 5)
    with opened(browser, address) as page:
        page.set_input_files("#file", film)
        until(lambda: page.inner_text("#source") == name, 20)
        assert page.locator("main img").count() == 0
        assert page.locator("#offered option").count() == 3
        page.locator("#add-box").click()
        answered(page)
        with page.expect_download() as download:
            page.click("#save")
        saved = tmp_path / "saved.html"
        download.value.save_as(saved)
        title, total = page.inner_text("h1"), logit(page)
    with opened(browser, saved) as page:  # offline
        assert page.inner_text("#changed").endswith("changed: 1 box hidden by a blur.")
        assert page.inner_text("#curves-note") == "No class of this page was tested."
        assert page.inner_text("h1") == title and logit(page) == pytest.approx(total)
        for part in ("#live", "#live-bar"):
            assert not page.is_visible(part)


def test_what_cannot_be_opened_is_said(browser: Browser, address: str, tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("no film")
    large = tmp_path / "large.mp4"
    large.write_bytes(bytes(300_000))
    long = write_video(tmp_path / "long.mp4", frames=2, stamps=[0, 36_000_000])
    with opened(browser, address, refusals=True) as page:
        for path, said in (
            (text, "not a video of a type that is taken"), (long, "36000 s long"),
            (large, "large.mp4 has 0 MB; at most 0.2 are taken"),
        ):  # fmt: skip
            page.set_input_files("#file", path)
            until(lambda said=said: said in page.inner_text("#said"), 20)
        assert page.inner_text("#source") == "a.mp4"  # what was open stays open
        page.locator("#add-box").click()
        assert "The logit" in answered(page)


def test_two_users_at_once(browser: Browser, address: str) -> None:
    with opened(browser, address) as one, opened(browser, address) as other:
        before = logit(other)
        one.get_by_label("prompt 0", exact=True).uncheck()
        other.get_by_label("prompt 1", exact=True).uncheck()
        answered(one), answered(other)
        other.get_by_label("prompt 1", exact=True).check()
        answered(other)
        assert logit(other) == pytest.approx(before) != logit(one)
        assert not one.get_by_label("prompt 0", exact=True).is_checked()


def test_a_server_that_is_gone_is_said(browser: Browser, folder: Path) -> None:
    with serving(folder / "run", [folder / "a.mp4"]) as found:
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"http://{found}/")
        page.wait_for_selector("html[data-ready]")
    page.locator("#add-box").click()
    until(lambda: "does not answer" in page.inner_text("#said"))
    assert page.inner_text("#outcome") == "Nothing is changed."  # as far as the model has answered
    context.close()


def test_without_clips_it_asks_for_one(browser: Browser, folder: Path) -> None:
    with (
        serving(folder / "run") as found,
        opened(browser, f"http://{found}/", width=375, height=800, scheme="dark") as page,
    ):
        assert page.inner_text("h1") == "What if?" and not page.is_visible("#explained")
        assert "never written to a disk" in page.inner_text("#said")
        page.keyboard.press("Space")  # nothing to play
        page.set_input_files("#file", folder / "a.mp4")
        until(lambda: page.is_visible("#explained"), 20)
        answered(page)
        assert page.evaluate("document.documentElement.scrollWidth") == 375
        page.locator("#add-box").click()
        answered(page)
        assert page.evaluate("document.documentElement.scrollWidth") == 375


def test_another_site_can_do_nothing(browser: Browser, address: str, tmp_path: Path) -> None:
    """A page of another origin can neither read the live page nor ask in its name."""
    evil = tmp_path / "evil.html"
    evil.write_text("<title>evil</title>")
    context = browser.new_context()
    page = context.new_page()
    page.goto(evil.as_uri())
    tried = page.evaluate(
        """async (address) => {
      const tries = {
        read: () => fetch(address).then((r) => r.text()),
        ask: () => fetch(address + 'what-if', { method: 'POST', body: '{}' }).then((r) => r.text()),
        blind: () => fetch(address + 'what-if', { method: 'POST', body: '{}', mode: 'no-cors' })
          .then((r) => `${r.type} ${r.status}`),
      };
      const found = {};
      for (const [name, attempt] of Object.entries(tries))
        found[name] = await attempt().catch(() => 'failed');
      return found;
    }""",
        address,
    )
    assert tried["read"] == tried["ask"] == "failed"
    assert tried["blind"] in ("failed", "opaque 0")
    page.set_content(f"<iframe src='{address}'></iframe>")
    page.wait_for_timeout(300)
    assert all(f.url != address or not f.query_selector("#main") for f in page.frames[1:])
    context.close()
