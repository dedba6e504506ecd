"""The explainability score: a mean of three parts, which are reported beside it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Explainability:
    """The three parts and their mean, (B,) each in [0, 1].

    Attributes:
        focus: 1 minus the normalised entropy.
        relevance: energy pointing above chance.
        justification: insertion minus deletion, above the random map's.
        score: the mean; NaN where a part is.
    """

    focus: Tensor
    relevance: Tensor
    justification: Tensor
    score: Tensor


def explainability(
    entropy: Tensor, pointing: Tensor, faithfulness: Tensor, random_faithfulness: Tensor
) -> Explainability:
    """Put the parts together; each is cut to [0, 1]. A composite never stands alone.

    Args:
        entropy: (B,) from `whyact.metrics.focus.normalised_entropy`.
        pointing: (B,) from `whyact.metrics.localisation.energy_pointing`.
        faithfulness: (B,) insertion minus deletion area. random_faithfulness: of the random map.
    """
    parts = 1 - entropy, pointing, faithfulness - random_faithfulness
    focus, relevance, justification = (p.double().clamp(0, 1) for p in parts)
    score = torch.stack([focus, relevance, justification]).mean(0)
    return Explainability(focus, relevance, justification, score)
