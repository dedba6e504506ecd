"""DCI at the level of blocks: does each code hold one factor, and each factor sit in one code?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from whyact.metrics.disentanglement import train_probe
from whyact.types import WhyactError


@dataclass(frozen=True)
class Dci:
    """Disentanglement, completeness and informativeness.

    Attributes:
        informativeness: (blocks, factors), how much of a factor a probe reads from a block: its
            accuracy above the commonest class's, over what is left above that; in [0, 1].
        disentanglement: of each block, 1 where it holds one factor only; None where it holds none.
        completeness: of each factor, 1 where one block holds it alone; None where none holds it.
    """

    informativeness: Tensor
    disentanglement: tuple[float | None, ...]
    completeness: tuple[float | None, ...]


def scores(informativeness: Tensor) -> Dci:
    """The scores of an importance matrix (blocks, factors), non-negative.

    ``1 - entropy(row) / log(factors)``, and the same for columns (Eastwood and Williams, ICLR 2018,
    sec. 2). Deviation: importance is what a probe reads from a whole block and not a weight of
    single numbers in it, because a code is a vector whose axes mean nothing.

    Raises:
        WhyactError: fewer than two blocks or factors, or negative values.
    """
    r = informativeness.double()
    if r.ndim != 2 or min(r.shape) < 2 or bool((r < 0).any()):
        raise WhyactError(
            f"DCI needs a non-negative matrix of at least two blocks and two factors, got "
            f"{tuple(r.shape)}."
        )
    return Dci(r, _purity(r), _purity(r.T))


def _purity(rows: Tensor) -> tuple[float | None, ...]:
    made: list[float | None] = []
    for row in rows:
        total = float(row.sum())
        if total <= 1e-9:
            made.append(None)
            continue
        share = row / total
        entropy = -float((share * share.clamp_min(1e-300).log()).sum())
        made.append(1 - entropy / math.log(len(row)))
    return tuple(made)


def dci(
    blocks: tuple[Tensor, Tensor],
    factors: tuple[Tensor, Tensor],
    test_blocks: tuple[Tensor, Tensor],
    test_factors: tuple[Tensor, Tensor],
    *,
    hidden: int = 0,
    seed: int = 0,
) -> Dci:
    """Block-level DCI of two codes for two factors. Secondary to the probes of leakage.

    Args:
        blocks, test_blocks: action code and nuisance code, (n, C) each.
        factors, test_factors: action and nuisance, (n,) int64 each; crossed, or the ties between
            them look like entanglement.
        hidden: width of the probe's hidden layer; 0 for linear probes. seed: of the probes.
    """
    table = torch.zeros(len(blocks), len(factors), dtype=torch.float64)
    for f, (labels, truth) in enumerate(zip(factors, test_factors, strict=True)):
        classes = int(torch.maximum(labels.max(), truth.max())) + 1
        floor = float((truth == labels.bincount().argmax()).double().mean())
        for b, (codes, unseen) in enumerate(zip(blocks, test_blocks, strict=True)):
            probe = train_probe(codes, labels, classes=classes, hidden=hidden, seed=seed)
            with torch.no_grad():
                right = float((probe(unseen.float()).argmax(1) == truth).double().mean())
            table[b, f] = max(0.0, right - floor) / max(1e-9, 1 - floor)
    return scores(table)
