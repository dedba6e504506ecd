"""Effects of parts that are on or off, by hand."""

from __future__ import annotations

import pytest
import torch

from whyact.metrics.factorial import Cell, cells, contrasts, effects
from whyact.metrics.seeds import Resamples, resample_values
from whyact.types import WhyactError

PARTS = ("A", "B", "C")


def constant(value: float) -> Resamples:
    return resample_values(torch.full((2, 5), value, dtype=torch.float64), [0, 1], draws=50)


def measured(table: dict[str, float]) -> dict[Cell, Resamples]:
    return {Cell(name.replace("-", "")): constant(value) for name, value in table.items()}


def test_the_cells_go_from_the_whole_to_none():
    said = ["".join(sorted(cell)) for cell in cells(PARTS)]
    assert said == ["ABC", "AB", "AC", "BC", "A", "B", "C", ""]


def test_effects_by_hand():
    """Singles gain 1, 2 and 3; A and B gain 4 more together; all three lose 5 of that again."""
    table = {"-": 10, "A": 11, "B": 12, "C": 13, "AB": 17, "AC": 14, "BC": 15, "ABC": 15}
    found = {name: e.mean for name, e in effects(PARTS, measured(table)).items()}
    assert found == pytest.approx({
        "A": 1, "B": 2, "C": 3, "A x B": 4, "A x C": 0, "B x C": 0,
        "all": 5, "surplus": 5 - 6, "A x B x C": -5,
    })  # fmt: skip


def test_parts_that_add_up_have_no_interaction():
    gains = {"A": 0.1, "B": 0.02, "C": -0.3}
    table = {cell: constant(0.5 + sum(gains[p] for p in cell)) for cell in cells(PARTS)}
    found = effects(PARTS, table)
    for name in ("A x B", "A x C", "B x C", "surplus", "A x B x C"):
        assert (found[name].mean, found[name].low, found[name].high) == pytest.approx((0, 0, 0))
    assert {n: found[n].mean for n in PARTS} == pytest.approx(gains)


def test_the_surplus_is_the_sum_of_all_interactions():
    weights = contrasts(PARTS)
    total: dict[Cell, int] = {}
    for name in ("A x B", "A x C", "B x C", "A x B x C"):
        for cell, weight in weights[name].items():
            total[cell] = total.get(cell, 0) + weight
    assert {c: w for c, w in total.items() if w} == weights["surplus"]
    for name, each in weights.items():
        assert sum(each.values()) == 0, name  # a constant added to all cells changes nothing


def test_two_parts():
    assert list(contrasts(["A", "B"])) == ["A", "B", "A x B", "all", "surplus"]
    assert contrasts(["A", "B"])["surplus"] == contrasts(["A", "B"])["A x B"]


def test_effects_are_paired_by_clip_and_seed():
    """Clips and seeds that all cells share cancel; what only one cell has does not."""
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(3, 40, generator=generator, dtype=torch.float64)
    noisy = torch.randn(3, 40, generator=generator, dtype=torch.float64)
    table = {cell: resample_values(shared, [0, 1, 2]) for cell in cells(PARTS)}
    found = effects(PARTS, table)
    assert all((e.low, e.high) == pytest.approx((0, 0), abs=1e-9) for e in found.values())
    table[Cell("A")] = resample_values(shared + noisy, [0, 1, 2])
    found = effects(PARTS, table)
    assert found["surplus"].high - found["surplus"].low > 0.1
    assert found["B x C"].high - found["B x C"].low < 1e-9


def test_what_is_no_factorial_is_refused():
    with pytest.raises(WhyactError, match="needs two parts of different names, got \\['A'\\]"):
        contrasts(["A"])
    with pytest.raises(WhyactError, match="different names"):
        contrasts(["A", "A"])
    whole = {cell: constant(0) for cell in cells(PARTS)}
    for missing, said in ((Cell("AB"), "A and B"), (Cell(), "none of its parts")):
        with pytest.raises(WhyactError, match=f"lacks the variant with {said}"):
            effects(PARTS, {c: r for c, r in whole.items() if c != missing})
