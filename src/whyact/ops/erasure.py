"""Erasing from a code the directions that change with what it should not hold."""

from __future__ import annotations

import torch
from torch import Tensor

SMALLEST = 1e-6
"""Variance along a direction, as a share of the largest, below which it counts as that much."""


def erasing(first: Tensor, second: Tensor, *, above: float) -> Tensor:
    """A map that erases from codes the directions that differ between the two of a pair.

    Of every direction of the whitened codes, the share of its variance that is between the two of
    a pair, which agree in all that the code should hold: directions with a larger share than
    ``above`` are projected out. Whitening makes the map the one that changes codes least among
    those that erase them, as in LEACE (Belrose et al., NeurIPS 2023, theorem 4.3). Directions that
    differ within pairs in place of those that go with labels are nuisance attribute projection
    (Solomonoff et al., ICASSP 2005); so no labels are needed.

    Args:
        first, second: (n, C), the codes of n pairs. above: from 0 on. Unrelated pairs have
            a share of about 1.

    Returns:
        E (C, C), for codes as rows: ``code @ E``. It has no offset, so a code of zero stays zero.
    """
    first, second = first.double(), second.double()
    codes = torch.cat([first, second])
    codes = codes - codes.mean(0)
    change = first - second
    values, vectors = torch.linalg.eigh(codes.T @ codes / len(codes))
    spread = values.clamp_min(SMALLEST * values.max().clamp_min(SMALLEST)).sqrt()
    whiten, colour = (vectors * s @ vectors.T for s in (1 / spread, spread))
    share, directions = torch.linalg.eigh(whiten @ (change.T @ change / (2 * len(change))) @ whiten)
    gone = directions[:, share > above]
    # Transposed, as codes are rows.
    return (colour @ (torch.eye(len(whiten)).to(gone) - gone @ gone.T) @ whiten).T.float()
