"""Pages opened in a browser that notes everything a page must not do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@contextmanager
def opened(
    browser: Browser, where: Path | str, *, width: int = 1280, height: int = 900,
    scheme: str = "light", refusals: bool = False, scripted: bool = True,
) -> Iterator[Page]:  # fmt: skip
    """A page that is ready; afterwards it must have had no error, message, request or dialog.

    Files beside the page are no requests to a network, nor are those to the server of a live page.

    Args:
        browser: to open it in. where: file, or address of a live page.
        width, height: of the window. scheme: of colours.
        refusals: the server may refuse something, which browsers write to their console.
        scripted: the page says when its scripts are done.
    """
    address = where.as_uri() if isinstance(where, Path) else where
    own = ("data:", "file:" if isinstance(where, Path) else address, f"blob:{address}")
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme,
        offline=isinstance(where, Path),
    )  # fmt: skip
    page = context.new_page()
    seen: list[str] = []

    def heard(text: str) -> None:
        if not (refusals and text.startswith("Failed to load resource")):
            seen.append(f"console: {text}")

    page.on("console", lambda m: heard(m.text))
    page.on("pageerror", lambda e: seen.append(f"error: {e}"))
    page.on("dialog", lambda d: (seen.append(f"dialog: {d.message}"), d.dismiss()))
    page.on(
        "request",
        lambda r: None if r.url.startswith(own) else seen.append(f"request: {r.url}"),
    )
    page.goto(address)
    if scripted:
        page.wait_for_selector("html[data-ready]", timeout=10_000)
    yield page
    context.close()
    assert not seen, seen


def until(holds: Callable[[], bool], seconds: float = 5) -> None:
    """Wait for something to hold; the pages' security policy keeps Playwright from doing so."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"it did not come to hold in {seconds} s"
        time.sleep(0.02)
