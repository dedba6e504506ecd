"""DCI of importance matrices and of codes whose contents are known."""

import pytest
import torch
from torch.nn import functional as F

from whyact.metrics.dci import dci, scores
from whyact.types import WhyactError


def test_matrices_by_hand() -> None:
    clean = scores(torch.tensor([[0.9, 0.0], [0.0, 0.7]]))
    assert clean.disentanglement == pytest.approx((1, 1)) and clean.completeness == (1, 1)
    mixed = scores(torch.full((2, 2), 0.5))
    assert mixed.disentanglement == pytest.approx((0, 0))
    empty = scores(torch.tensor([[0.9, 0.3], [0.0, 0.0]]))
    assert empty.disentanglement[1] is None  # holds nothing: neither pure nor mixed
    assert empty.completeness == pytest.approx((1, 1))
    with pytest.raises(WhyactError, match="at least two blocks"):
        scores(torch.ones(1, 2))


def test_codes() -> None:
    generator = torch.Generator().manual_seed(0)
    action, scene = (torch.randint(3, (600,), generator=generator) for _ in range(2))

    def code(labels: torch.Tensor) -> torch.Tensor:
        noise = torch.randn(len(labels), 3, generator=generator)
        return F.one_hot(labels, 3) + 0.1 * noise

    blocks, factors = (code(action), code(scene)), (action, scene)
    half = slice(0, 400), slice(400, 600)
    found = dci(
        (blocks[0][half[0]], blocks[1][half[0]]), (factors[0][half[0]], factors[1][half[0]]),
        (blocks[0][half[1]], blocks[1][half[1]]), (factors[0][half[1]], factors[1][half[1]]),
    )  # fmt: skip
    assert all(d is not None and d > 0.5 for d in found.disentanglement)
    assert float(found.informativeness[0, 0]) > 0.95 and float(found.informativeness[0, 1]) < 0.15
