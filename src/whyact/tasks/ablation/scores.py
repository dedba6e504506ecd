"""Per-clip scores of all seeds of a variant, and what is estimated from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from whyact.metrics.background import contrasted_accuracy
from whyact.metrics.factorial import Cell, effects
from whyact.metrics.seeds import (
    Estimate,
    Resamples,
    contrast,
    resample_map,
    resample_values,
    top_hits,
)
from whyact.tasks.evaluation_record import read_predictions, read_record
from whyact.tasks.folds import fold_runs

_OTHER_CLIPS = 1
"""Seed of the draws of clips that are not the reference's; those must not be drawn alike."""


@dataclass(frozen=True)
class ClipTable:
    """What a variant's models, one a seed, said of the same clips.

    Attributes:
        fingerprint: of the data. ids: n names. seeds: S.
        values: by measure (S, n), NaN where undefined.
        logits: (S, n, Y) and labels (n, Y) of clips with several labels, whose score is no mean
            over clips; None for others.
    """

    fingerprint: str
    ids: tuple[str, ...]
    seeds: tuple[int, ...]
    values: Mapping[str, Tensor]
    logits: tuple[Tensor, Tensor] | None = None

    def pick(self, seeds: Sequence[int], ids: Sequence[str]) -> ClipTable:
        """The same for some seeds and clips, in the order given."""
        rows = torch.tensor([self.seeds.index(s) for s in seeds], dtype=torch.int64)
        place = {name: i for i, name in enumerate(self.ids)}
        columns = torch.tensor([place[name] for name in ids], dtype=torch.int64)
        logits = self.logits
        if logits is not None:
            logits = logits[0][rows][:, columns], logits[1][columns]
        values = {name: v[rows][:, columns] for name, v in self.values.items()}
        return replace(self, seeds=tuple(seeds), ids=tuple(ids), values=values, logits=logits)

    def resamples(self, seed: int = 0) -> dict[str, Resamples]:
        """Every measure with its draws; tables of as many clips and one seed draw alike."""
        if self.logits is not None:
            return {"map": resample_map(*self.logits, self.seeds, seed=seed)}
        return {k: resample_values(v, self.seeds, seed=seed) for k, v in self.values.items()}


def read_scores(
    runs: Mapping[int, Path], split: str, actions: Sequence[int] = ()
) -> ClipTable | None:
    """The scores of a variant on a split; of a cross-validated one all folds' clips.

    Args:
        runs: folder of the run of every seed. split: its name.
        actions: only clips with one label, of these classes; all clips if empty.

    Returns:
        Measures ``top1`` and ``top5``, or `ClipTable.logits` for several labels, of the clips that
        all seeds could read; None where there are none.
    """
    logits, labels, names, prints = [], list[Tensor](), list[list[str]](), list[str]()
    for run in runs.values():
        places = [run / "evaluation" / split]
        folds = fold_runs(run)
        if folds:
            places = [fold / "evaluation" / split for fold in folds]
        found = [read_predictions(place) for place in places]
        # Official folds may share clips, which different models have scored.
        names.append([f"{k}/{i}" if folds else i for k, part in enumerate(found) for i in part.ids])
        logits.append(torch.cat([part.logits for part in found]))
        labels.append(torch.cat([part.labels for part in found]))
        prints.append(" ".join(read_record(place)["set"]["fingerprint"] for place in places))
    shared, order = _shared(names)
    stacked = torch.stack([x[at] for x, at in zip(logits, order, strict=True)])
    truth = labels[0][order[0]]
    if actions:
        chosen = torch.isin(truth, torch.tensor(actions)).nonzero().flatten()
        shared, truth, stacked = [shared[i] for i in chosen], truth[chosen], stacked[:, chosen]
    if not shared:
        return None
    several = truth.ndim == 2
    return ClipTable(
        prints[0], tuple(shared), tuple(runs), {} if several else top_hits(stacked, truth),
        (stacked, truth) if several else None,
    )  # fmt: skip


def _shared(names: Sequence[Sequence[str]]) -> tuple[list[str], list[Tensor]]:
    """Names that are in all lists, in the order of the first, and their places in each."""
    places = [{name: i for i, name in enumerate(own)} for own in names]
    shared = [name for name in names[0] if all(name in place for place in places)]
    rows = [[place[name] for name in shared] for place in places]
    return shared, [torch.tensor(row, dtype=torch.int64) for row in rows]


def recorded_scores(found: Mapping[int, Mapping[str, Any]], row: str) -> ClipTable | None:
    """What the clips of every seed got in a record of `explain_run` or `leak_run`.

    Args:
        found: the records by seed. row: of those that the records have, such as ``native``.
    """
    shared, order = _shared([record["ids"] for record in found.values()])
    if not shared:
        return None
    columns: dict[str, list[Tensor]] = {}
    for record, place in zip(found.values(), order, strict=True):
        for name, values in record["rows"][row].items():
            numbers = [torch.nan if v is None else v for v in values]
            columns.setdefault(name, []).append(torch.tensor(numbers, dtype=torch.float64)[place])
    prints = next(iter(found.values()))["fingerprint"]
    stacked = {k: torch.stack(v) for k, v in columns.items() if len(v) == len(found)}
    return ClipTable(prints, tuple(shared), tuple(found), stacked)


def contrasted(scuba: ClipTable, scufo: ClipTable) -> ClipTable | None:
    """`whyact.metrics.background.contrasted_accuracy` as ``top1``; None for several labels.

    Args:
        scuba, scufo: of the same variant; clips of the two belong together by their order.
    """
    if not (scuba.values and scufo.values) or len(scuba.ids) != len(scufo.ids):
        return None
    hits = contrasted_accuracy(scuba.values["top1"], scufo.values["top1"])
    return replace(scuba, values={"top1": hits})


def aligned(tables: Sequence[ClipTable]) -> list[ClipTable]:
    """The seeds and clips that all tables share; a value undefined in one is undefined in all."""
    first = tables[0]
    seeds = [s for s in first.seeds if all(s in t.seeds for t in tables)]
    known = [set(t.ids) for t in tables]
    ids = [i for i in first.ids if all(i in names for names in known)]
    picked = [t.pick(seeds, ids) for t in tables]
    missing = {
        name: torch.stack([t.values[name].isnan() for t in picked]).any(0)
        for name in first.values
        if all(name in t.values for t in picked)
    }
    return [
        replace(t, values={k: t.values[k].masked_fill(m, torch.nan) for k, m in missing.items()})
        for t in picked
    ]


def estimates(table: ClipTable) -> dict[str, Estimate]:
    """Mean, deviation and interval of every measure."""
    return {name: contrast([(1, found)]) for name, found in table.resamples().items()}


def differences(table: ClipTable, reference: ClipTable) -> tuple[dict[str, Estimate], bool]:
    """Every measure minus the reference's, with its interval; and whether clips are paired.

    Where the data differ, e.g. in the correlation of action and scene, so do the clips, and both
    sets are drawn apart.
    """
    paired = table.fingerprint == reference.fingerprint
    if paired:
        table, reference = aligned([table, reference])
        if not table.ids:
            return {}, paired
    own = table.resamples(0 if paired else _OTHER_CLIPS)
    base = reference.resamples()
    return {k: contrast([(1, own[k]), (-1, base[k])]) for k in own if k in base}, paired


def interaction(
    factors: Sequence[str], tables: Mapping[Cell, ClipTable]
) -> dict[str, dict[str, Estimate]] | None:
    """The effects of a factorial by measure; None where the cells saw different data."""
    if len({t.fingerprint for t in tables.values()}) > 1:
        return None
    found = dict(zip(tables, aligned(list(tables.values())), strict=True))
    measured = {cell: table.resamples() for cell, table in found.items()}
    measures = next(iter(measured.values()))
    return {
        name: effects(factors, {cell: each[name] for cell, each in measured.items()})
        for name in measures
    }
