"""Fixtures of all tests."""

import os
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real clips, or a skip."""
    for place in (os.environ.get("WHYACT_DATA"), Path(__file__).parents[2] / "shared" / "data"):
        if place and Path(place).is_dir():
            return Path(place)
    pytest.skip("no real clips: set WHYACT_DATA to the folder that holds them")


@pytest.fixture(scope="session")
def backdrop_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of generated clips that the tests of one worker share."""
    return tmp_path_factory.mktemp("backdrop")
