"""Means with intervals: what is undefined is counted and never averaged."""

import pytest
import torch

from whyact.metrics.summary import Summary, summarise, summarise_difference
from whyact.types import WhyactError

NAN = float("nan")


def test_undefined_clips_are_counted() -> None:
    found = summarise(torch.tensor([1.0, NAN, 3.0, NAN, 2.0]))
    assert (found.mean, found.clips, found.undefined) == (2.0, 3, 2)
    assert found.low is not None and found.high is not None
    assert 1 <= found.low <= 2 <= found.high <= 3
    assert "(3 clips, 2 N/A)" in str(found)


def test_nothing_defined_is_not_a_number_to_print() -> None:
    for values in (torch.tensor([NAN, NAN]), torch.empty(0)):
        found = summarise(values)
        assert found == Summary(None, None, None, 0, len(values))
        assert str(found).startswith("N/A (0 clips")
        assert "nan" not in str(found)


def test_the_interval_is_that_of_the_mean() -> None:
    values = torch.randn(400, generator=torch.Generator().manual_seed(0))
    found = summarise(values)
    assert found.low is not None and found.high is not None
    # Normal theory: 2 * 1.96 * std / 20.
    assert found.high - found.low == pytest.approx(3.92 * float(values.std()) / 20, rel=0.1)
    assert summarise(values) == found
    assert str(found).endswith("(400 clips)")


def test_differences_are_paired() -> None:
    first = torch.tensor([1.0, 5.0, 9.0, NAN])
    second = torch.tensor([0.5, 4.5, 8.5, 1.0])
    found = summarise_difference(first, second)
    # Every clip gains one half, however far the clips are apart.
    assert (found.mean, found.low, found.high, found.clips, found.undefined) == (
        0.5,
        0.5,
        0.5,
        3,
        1,
    )
    with pytest.raises(WhyactError, match="same clips"):
        summarise_difference(first, second[:2])


def test_bad_values() -> None:
    with pytest.raises(WhyactError, match="with infinities"):
        summarise(torch.tensor([1.0, float("inf")]))
    with pytest.raises(WhyactError, match=r"got shape \(2, 2\)"):
        summarise(torch.zeros(2, 2))
