"""Entropy of hand-made maps."""

import math

import pytest
import torch

from whyact.metrics.focus import normalised_entropy
from whyact.types import WhyactError


def test_known_values() -> None:
    heat = torch.zeros(4, 2, 2, 4)
    heat[0, 0, 1, 2] = 7.0  # one cell
    heat[1] = 0.25  # constant
    heat[2, 0, 0, :2] = 3.0  # two of 16 cells alike: log 2 / log 16
    # heat[3] is empty: it points nowhere, like the constant one
    assert normalised_entropy(heat).tolist() == pytest.approx([0, 1, 0.25, 1])


def test_unequal_shares() -> None:
    heat = torch.tensor([3.0, 1.0]).view(1, 1, 1, 2)
    wanted = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25)) / math.log(2)
    assert float(normalised_entropy(heat)) == pytest.approx(wanted)
    assert float(normalised_entropy(heat * 1e-30)) == pytest.approx(wanted, rel=1e-5)
    assert float(normalised_entropy(heat * 1e30)) == pytest.approx(wanted)


def test_a_single_cell_has_no_focus_to_measure() -> None:
    assert float(normalised_entropy(torch.ones(1, 1, 1, 1))) == 1


def test_signed_and_broken_maps_are_errors() -> None:
    with pytest.raises(WhyactError, match="negative values"):
        normalised_entropy(torch.tensor([[[[1.0, -1.0]]]]))
    with pytest.raises(WhyactError, match="no finite numbers"):
        normalised_entropy(torch.tensor([[[[1.0, float("inf")]]]]))
    with pytest.raises(WhyactError, match=r"Expected heat maps \(B, T, H, W\)"):
        normalised_entropy(torch.ones(2, 2, 2))
