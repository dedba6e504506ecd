"""Entropy of hand-made maps."""

import math

import pytest
import torch

from whyact.metrics.focus import normalised_entropy, spatial_spread
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


def test_spread_of_hand_made_maps() -> None:
    heat = torch.zeros(5, 1, 3, 3)
    heat[0, 0, 2, 1] = 4.0  # one cell
    heat[1] = 0.5  # constant: the coordinates -1, 0, 1 have the variance 2/3 each
    heat[2, 0, 0, 0] = heat[2, 0, 2, 2] = 1.0  # opposite corners: variance 1 + 1
    heat[3, 0, 1] = 2.0  # the middle row: 2/3 of a constant frame's 4/3
    # heat[4] is empty
    wanted = [0, 1, math.sqrt(2 / (4 / 3)), math.sqrt(0.5), 1]
    assert spatial_spread(heat).tolist() == pytest.approx(wanted)
    assert spatial_spread(heat * 1e20).tolist() == pytest.approx(wanted)
    assert spatial_spread(torch.ones(1, 2, 1, 1)).tolist() == [1]


def test_spread_is_of_frames_weighed_by_their_heat() -> None:
    """A cell that moves is as local as one that stays; a frame without heat says nothing."""
    heat = torch.zeros(2, 3, 3, 3)
    heat[0, 0, 0, 0] = heat[0, 1, 2, 2] = 1.0
    heat[1, 0, 1, 1], heat[1, 1] = 3.0, 1 / 9  # 3 of 4 on a cell, 1 of 4 spread evenly
    assert spatial_spread(heat).tolist() == pytest.approx([0, math.sqrt(1 / 4)])
