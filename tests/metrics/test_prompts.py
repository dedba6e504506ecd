"""Prompts that are written by hand."""

import math

import pytest
import torch

from whyact.metrics.prompts import effective_rank, prompt_alignment, prompt_redundancy
from whyact.types import WhyactError


def test_redundancy_by_hand() -> None:
    prompts = torch.zeros(3, 1, 2, 2)
    prompts[0, 0] = torch.tensor([[1.0, 0], [0, 2]])  # nothing in common
    prompts[1, 0] = torch.tensor([[1.0, 1], [-2, -2]])  # the same line
    prompts[2, 0] = torch.tensor([[1.0, 0], [1, 1]])
    assert prompt_redundancy(prompts).tolist() == pytest.approx([0, 1, math.sqrt(0.5)])
    assert bool(prompt_redundancy(prompts[:, :, :1]).isnan().all())


def test_effective_rank_by_hand() -> None:
    assert effective_rank(torch.eye(4)) == pytest.approx(4)
    assert effective_rank(torch.ones(4, 3)) == pytest.approx(1)
    assert 1 < effective_rank(torch.diag(torch.tensor([1.0, 0.1]))) < 2
    with pytest.raises(WhyactError, match="Expected a bank"):
        effective_rank(torch.zeros(2, 2))


def test_alignment_of_telling_and_of_silent_prompts() -> None:
    generator = torch.Generator().manual_seed(0)
    content = torch.randn(200, 6, generator=generator)
    told = prompt_alignment(content @ torch.randn(6, 6, generator=generator), content)
    assert told.candidates == 100
    assert float(told.rank.mean()) < 0.01 and float(told.found.mean()) > 0.95
    assert told.information > 3.5 and told.information <= math.log(100)
    noise = prompt_alignment(torch.randn(200, 6, generator=generator), content)
    assert float(noise.rank.mean()) == pytest.approx(0.5, abs=0.07)
    assert float(noise.found.mean()) < 0.05 and noise.information < 0.3
    static = prompt_alignment(torch.ones(200, 6), content)
    assert static.rank.tolist() == pytest.approx([0.5] * 200)  # all tie: chance, and no hit
    assert float(static.found.sum()) == 0 and static.information == pytest.approx(0, abs=1e-6)
    with pytest.raises(WhyactError, match="at least eight, got 4 and 4"):
        prompt_alignment(content[:4], content[:4])
