"""Fixtures of all tests."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from playwright.sync_api import Browser

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real clips, or a skip."""
    for place in (os.environ.get("WHYACT_DATA"), Path(__file__).parents[2] / "shared" / "data"):
        if place and Path(place).is_dir():
            return Path(place)
    pytest.skip("no real clips: set WHYACT_DATA to the folder that holds them")


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """Headless Chromium: $WHYACT_CHROMIUM, or the one on the PATH; a skip where there is none.

    With WHYACT_REQUIRE_BROWSER=1 its lack is a failure, so that CI cannot pass without these tests.
    """
    missing = pytest.fail if os.environ.get("WHYACT_REQUIRE_BROWSER") == "1" else pytest.skip
    found = os.environ.get("WHYACT_CHROMIUM") or shutil.which("chromium")
    if not found:
        missing("no chromium on the PATH: apt-get install chromium, or set WHYACT_CHROMIUM")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("no playwright: pip install -e '.[dev]'")
    with sync_playwright() as player:
        # Chromium's sandbox refuses to run as root, which a container often is.
        made = player.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture(scope="session")
def backdrop_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of generated clips that the tests of one worker share."""
    return tmp_path_factory.mktemp("backdrop")
