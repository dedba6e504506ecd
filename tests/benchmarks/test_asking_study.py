"""The study of asking: differences over seeds."""

import pytest
import torch
from benchmarks.asking import difference, t_interval

from whyact.metrics.seeds import Resamples


def test_a_t_interval_by_hand() -> None:
    # Mean 2, deviation 1, standard error 1 / sqrt(3); the quantile of two degrees is 4.30265.
    low, high = t_interval([1.0, 2.0, 3.0]) or (0, 0)
    assert (low, high) == pytest.approx((2 - 4.30265 / 3**0.5, 2 + 4.30265 / 3**0.5), abs=1e-4)
    assert t_interval([1.0]) is None


def test_a_difference_has_its_sign_and_each_seed() -> None:
    def one(*values: float) -> Resamples:
        found = torch.tensor(values, dtype=torch.float64)
        return Resamples((0, 1), found, found[:, None].expand(-1, 10), 4)

    found = difference(one(0.5, 0.75), one(0.25, 0.25))
    assert found["each"] == [0.25, 0.5] and found["mean"] == 0.375
    assert found["t"][0] < found["low"] < found["mean"] < found["high"] < found["t"][1]
