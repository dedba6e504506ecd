"""Per-clip scores of all seeds of a variant, and what is estimated from them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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
    log_odds,
    resample_map,
    resample_values,
    top_hits,
)
from whyact.tasks.evaluation_record import read_predictions, read_record
from whyact.tasks.folds import fold_runs
from whyact.types import WhyactError

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


def score_run(run: Path, splits: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What every clip got in the evaluations of a run, as JSON values that are worth keeping.

    Args:
        run: its folder; of a cross-validated one all folds' clips are taken. splits: names.

    Returns:
        By split ``fingerprint``, ``ids``, ``labels``, and ``top1`` and ``top5`` of 0 and 1; for
        clips with several labels the ``logits``, as their score is no mean over clips.
    """
    return {split: _score_split(run, split) for split in splits}


def _score_split(run: Path, split: str) -> dict[str, Any]:
    folds = fold_runs(run)
    places = [part / "evaluation" / split for part in folds or [run]]
    parts = [read_predictions(place) for place in places]
    # Official folds may share clips, which different models have scored.
    ids = [f"{k}/{i}" if folds else i for k, part in enumerate(parts) for i in part.ids]
    prints = " ".join(read_record(place)["set"]["fingerprint"] for place in places)
    logits, labels = torch.cat([p.logits for p in parts]), torch.cat([p.labels for p in parts])
    record = {"fingerprint": prints, "ids": ids, "labels": labels.tolist()}
    if labels.ndim == 2:
        return record | {"logits": logits.tolist()}
    hits = top_hits(logits[None], labels)
    return record | {name: value[0].int().tolist() for name, value in hits.items()}


def read_scores(
    found: Mapping[int, Mapping[str, Any]], actions: Collection[int] = ()
) -> ClipTable | None:
    """The scores of a variant on a split.

    Args:
        found: by seed what `score_run` has of the split.
        actions: only clips with one label, of these classes; all clips if empty.

    Returns:
        Measures ``top1`` and ``top5``, or `ClipTable.logits` for several labels, of the clips that
        all seeds could read; None where there are none.

    Raises:
        WhyactError: seeds that saw different data.
    """
    records = [*found.values()]
    fingerprint = _fingerprint(found)
    shared, order = _shared([record["ids"] for record in records])
    truth = [records[0]["labels"][i] for i in order[0].tolist()]
    if actions:
        chosen = [i for i, label in enumerate(truth) if label in actions]
        shared, order = [shared[i] for i in chosen], [at[chosen] for at in order]
    if not shared:
        return None

    def stacked(name: str) -> Tensor:
        return torch.stack(
            [torch.tensor(r[name])[at] for r, at in zip(records, order, strict=True)]
        )

    base = ClipTable(fingerprint, tuple(shared), tuple(found), {})
    if "logits" in records[0]:
        return replace(base, logits=(stacked("logits"), torch.tensor(truth)))
    return replace(base, values={name: stacked(name).double() for name in ("top1", "top5")})


def _fingerprint(found: Mapping[int, Mapping[str, Any]]) -> str:
    """Of the data that all seeds saw."""
    prints = {seed: str(record["fingerprint"]) for seed, record in found.items()}
    first, *others = prints
    for seed in others:
        if prints[seed] != prints[first]:
            raise WhyactError(
                f"Seeds {first} and {seed} were measured on different data ({prints[first][:12]}… "
                f"and {prints[seed][:12]}…), so they are no seeds of one variant: give the newer "
                "runs an output folder of their own."
            )
    return prints[first]


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

    Raises:
        WhyactError: seeds that saw different data.
    """
    fingerprint = _fingerprint(found)
    shared, order = _shared([record["ids"] for record in found.values()])
    if not shared:
        return None
    columns: dict[str, list[Tensor]] = {}
    for record, place in zip(found.values(), order, strict=True):
        for name, values in record["rows"][row].items():
            numbers = [torch.nan if v is None else v for v in values]
            columns.setdefault(name, []).append(torch.tensor(numbers, dtype=torch.float64)[place])
    stacked = {k: torch.stack(v) for k, v in columns.items() if len(v) == len(found)}
    return ClipTable(fingerprint, tuple(shared), tuple(found), stacked)


def contrasted(scuba: ClipTable, scufo: ClipTable) -> ClipTable | None:
    """`whyact.metrics.background.contrasted_accuracy` as ``top1``; None for several labels.

    Args:
        scuba, scufo: of the same variant and seeds; clips ``scuba/N`` and ``scufo/N`` belong
            together, and a clip that only one of them has counts in neither.
    """
    if not (scuba.values and scufo.values):
        return None
    still = {name.rpartition("/")[2]: name for name in scufo.ids}
    ids = [name for name in scuba.ids if name.rpartition("/")[2] in still]
    if not ids:
        return None
    moving = scuba.pick(scuba.seeds, ids)
    frozen = scufo.pick(scuba.seeds, [still[name.rpartition("/")[2]] for name in ids])
    hits = contrasted_accuracy(moving.values["top1"], frozen.values["top1"])
    return replace(moving, values={"top1": hits})


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
    """The effects of a factorial by measure; None where the cells saw different data.

    ``log_odds`` are those of ``top1`` on `whyact.metrics.seeds.log_odds`: where few clips are wrong
    already, gains cannot add up in points.
    """
    if len({t.fingerprint for t in tables.values()}) > 1:
        return None
    found = dict(zip(tables, aligned(list(tables.values())), strict=True))
    measured = {cell: table.resamples() for cell, table in found.items()}
    for each in measured.values():
        if "top1" in each:
            each["log_odds"] = log_odds(each["top1"])
    measures = next(iter(measured.values()))
    return {
        name: effects(factors, {cell: each[name] for cell, each in measured.items()})
        for name in measures
    }
