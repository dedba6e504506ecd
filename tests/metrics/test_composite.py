"""The composite is the mean of parts that are cut to [0, 1]."""

import math

import pytest
import torch

from whyact.metrics.composite import explainability


def test_by_hand() -> None:
    nan = float("nan")
    found = explainability(
        torch.tensor([0.25, 1.0, 0.5]),
        torch.tensor([0.5, -0.2, nan]),
        torch.tensor([0.6, 0.1, 0.5]),
        torch.tensor([0.2, 0.3, 0.0]),
    )
    assert found.focus.tolist() == pytest.approx([0.75, 0, 0.5])
    assert found.relevance[:2].tolist() == pytest.approx([0.5, 0])  # below chance is no credit
    assert found.justification[:2].tolist() == pytest.approx([0.4, 0])  # below random neither
    assert found.score[:2].tolist() == pytest.approx([0.55, 0])
    assert math.isnan(found.score[2]) and found.justification[2] == 0.5
