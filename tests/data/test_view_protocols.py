"""Protocols by name and by their numbers."""

import pytest

from whyact.data.views import PROTOCOLS, Views, views_of
from whyact.types import WhyactError


def test_names_and_numbers() -> None:
    assert views_of("10x3") == Views(10, 3) == views_of("kinetics-cnn")
    assert views_of("10x3-max") == Views(10, 3, "max") == views_of("charades")
    assert views_of("tsn").count == 250 and str(views_of("charades")) == "10x3-max"
    assert {str(v) for v in PROTOCOLS.values()} == {
        "10x3", "4x1", "5x1", "5x3", "25x10", "1x1", "1x3", "2x3", "10x1", "10x3-max"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("10 x 3", r"protocol is '10 x 3'; write CLIPSxCROPS, such as 10x3.*kinetics-cnn"),
        ("10x2", r"crops from \[1, 3, 10\]"),
        ("0x3", r"at least 1 clip"),
    ],
)
def test_wrong_protocols_are_named(name, message) -> None:
    with pytest.raises(WhyactError, match=message):
        views_of(name)
