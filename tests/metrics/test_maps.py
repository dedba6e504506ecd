"""Correlations of maps: ties, constants, copies."""

import math

import pytest
import torch

from whyact.metrics.maps import correlation, map_similarity, ranks
from whyact.types import WhyactError


def test_ranks_share_ties() -> None:
    assert ranks(torch.tensor([[3.0, 1.0, 3.0, 0.0]])).tolist() == [[2.5, 1, 2.5, 0]]


def test_correlation_by_hand() -> None:
    a = torch.tensor([[1.0, 2, 3], [1, 2, 3], [1, 1, 1], [0, 1e-9, 0]])
    b = torch.tensor([[2.0, 4, 6], [3, 2, 1], [1, 2, 3], [0, 1e9, 0]])
    value = correlation(a, b)
    assert value[:2].tolist() == pytest.approx([1, -1])
    assert math.isnan(value[2])
    assert float(value[3]) == pytest.approx(1)


def test_similarity_of_maps() -> None:
    heat = torch.rand(4, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    other = heat.clone()
    other[1] = heat[1] ** 3  # the same order
    other[2] = 1 - heat[2]  # the inverse one
    other[3] = 0.5  # constant
    assert map_similarity(heat, other).tolist() == pytest.approx([1, 1, -1, 0])
    flat = torch.ones(1, 2, 3, 3)
    assert map_similarity(flat, flat).tolist() == [1]  # a map that never changes fails the test
    with pytest.raises(WhyactError, match="same clips"):
        map_similarity(heat, heat[:2])
    with pytest.raises(WhyactError, match="no finite numbers"):
        map_similarity(heat, heat * float("nan"))
