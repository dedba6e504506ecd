"""Bounds on the numbers of an audit, for continuous integration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from whyact.audits import attribution, measure
from whyact.config_io import nearest
from whyact.metrics.summary import Summary
from whyact.types import WhyactError

NAMES = (*measure.MEASURES, *attribution.MEASURES)


@dataclass(frozen=True)
class Bound:
    """A bound on the mean of a measure.

    Attributes:
        measure: of `NAMES`. value: the bound. below: whether lower means fail; else higher ones do.
    """

    measure: str
    value: float
    below: bool


def parse_bounds(texts: Sequence[str], *, below: bool) -> list[Bound]:
    """Bounds from ``name=number``.

    Raises:
        WhyactError: another form, an unknown measure, or a number outside [-1, 1].
    """
    flag = "--fail-below" if below else "--fail-above"
    found = []
    for text in texts:
        name, _, number = text.partition("=")
        if name not in NAMES:
            raise WhyactError(
                f"{flag} {text}: there is no measure '{name}'. Did you mean "
                f"'{nearest(name, NAMES)}'? All: {', '.join(NAMES)}."
            )
        try:
            value = float(number)
        except ValueError:
            value = float("nan")
        if not -1 <= value <= 1:
            raise WhyactError(f"{flag} {text}: expected {name}=NUMBER, a share such as 0.5.")
        found.append(Bound(name, value, below))
    return found


def failed_bounds(bounds: Sequence[Bound], found: Mapping[str, Summary]) -> list[str]:
    """A sentence for each bound that does not hold; a measure that is N/A does not hold it."""
    told = []
    for bound in bounds:
        one = found[bound.measure]
        side = "below" if bound.below else "above"
        if one.mean is None:
            told.append(f"{bound.measure} is N/A, so its bound {bound.value:g} cannot hold")
        elif (one.mean < bound.value) if bound.below else (one.mean > bound.value):
            told.append(f"{bound.measure} is {one}, {side} its bound {bound.value:g}")
    return told
