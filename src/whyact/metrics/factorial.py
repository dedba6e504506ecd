"""A factorial of parts that are on or off: what each adds, and what they add only together.

A cell is the set of parts that are on; every effect is a weighted sum of cells:

- ``A``: the gain of A alone, over none.
- ``A x B``: what A and B gain together beyond the sum of their single gains, the others off.
- ``all``: the gain of all parts over none.
- ``surplus``: ``all`` minus the sum of the single gains. Above 0, the whole is more than its parts.
- ``A x B x C``, the interaction of all: what no smaller set of parts explains. With three parts
  ``surplus`` is the sum of the pairs and of this one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

from whyact.metrics.seeds import Estimate, Resamples, contrast
from whyact.types import WhyactError

Cell = frozenset[str]


def cells(factors: Sequence[str]) -> Iterator[Cell]:
    """All sets of parts that can be on, the whole first, none last."""
    for count in range(len(factors), -1, -1):
        yield from (Cell(chosen) for chosen in itertools.combinations(factors, count))


def contrasts(factors: Sequence[str]) -> dict[str, dict[Cell, int]]:
    """The weights of the cells in every effect.

    Args:
        factors: names of at least two parts.

    Raises:
        WhyactError: fewer than two, or the same name twice.
    """
    if len(factors) < 2 or len(set(factors)) < len(factors):
        raise WhyactError(f"A factorial needs two parts of different names, got {list(factors)}.")
    made = {name: _interaction([name]) for name in factors}
    for pair in itertools.combinations(factors, 2):
        made[" x ".join(pair)] = _interaction(pair)
    whole, none = Cell(factors), Cell()
    made["all"] = {whole: 1, none: -1}
    single = {Cell([name]): -1 for name in factors}
    made["surplus"] = {whole: 1, none: len(factors) - 1, **single}
    made[" x ".join(factors)] = _interaction(factors)
    return made


def _interaction(parts: Sequence[str]) -> dict[Cell, int]:
    """All subsets, with a minus for every part that is missing; the other parts are off."""
    return {cell: (-1) ** (len(parts) - len(cell)) for cell in cells(parts)}


def effects(factors: Sequence[str], measured: Mapping[Cell, Resamples]) -> dict[str, Estimate]:
    """Every effect of `contrasts` with its interval over clips and seeds, paired by both.

    Args:
        factors: names of the parts. measured: a variant for every cell, on the same clips.

    Raises:
        WhyactError: a cell is missing.
    """
    for cell in cells(factors):
        if cell not in measured:
            raise WhyactError(f"The factorial lacks the variant with {_said(cell, factors)}.")
    return {
        name: contrast([(weight, measured[cell]) for cell, weight in weights.items()])
        for name, weights in contrasts(factors).items()
    }


def _said(cell: Cell, factors: Sequence[str]) -> str:
    return " and ".join(f for f in factors if f in cell) or "none of its parts"
