"""All numbers of an ablation, from the records of its runs."""

from __future__ import annotations

import json
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path
from typing import Any

from whyact.config import Config
from whyact.data.backdrop import ACTIONS, ORDER_PAIRS
from whyact.tasks.ablation import leaking
from whyact.tasks.ablation.costs import ratio
from whyact.tasks.ablation.explained import NATIVE, is_current
from whyact.tasks.ablation.grid import ExplainedClips, Grid
from whyact.tasks.ablation.matching import Match
from whyact.tasks.ablation.scores import (
    ClipTable,
    contrasted,
    differences,
    estimates,
    interaction,
    read_scores,
    recorded_scores,
)
from whyact.tasks.ablation.worker import COSTS, EXPLAINED, LEAKS, SCORED

ORDERED = [ACTIONS.index(action) for pair in ORDER_PAIRS for action in pair]
"""Actions of Backdrop that only the order of their frames tells from another."""
Tables = dict[str, dict[str, ClipTable]]
"""By split (or ``explained``) and variant."""


@dataclass(frozen=True)
class Variant:
    """A variant of a grid and the runs of it.

    Attributes:
        config: of its first seed. match: how it got the reference's size; None for one as it is.
        runs: folders of the finished runs by seed.
    """

    config: Config
    match: Match | None
    runs: dict[int, Path]

    def record(self, name: str) -> dict[int, dict[str, Any]]:
        """A record of every finished run that has it, by seed."""
        files = {seed: run / name for seed, run in self.runs.items()}
        return {s: json.loads(f.read_text("utf-8")) for s, f in files.items() if f.is_file()}


def tabulate(
    grid: Grid, variants: Mapping[str, Variant], latency: Mapping[str, Any] | None,
    alike: Collection[str] = (),
) -> dict[str, Any]:  # fmt: skip
    """The table as JSON values.

    Args:
        grid: that was trained. variants: by name; those that a matched size added among them.
        latency: seconds by variant of `whyact.tasks.ablation.costs.interleaved`; None if it failed.
        alike: variants besides the reference that have its size as they are.

    Returns:
        ``summary`` and ``top5``: by variant and split a mean over seeds with its interval, and the
        difference from the reference; ``explained``, ``controls``: the same by measure;
        ``leaks``: the same by question and probe, above the mean floor of all runs;
        ``interaction``; ``costs``; ``variants``; ``rows``: what each run scored.
    """
    tables = _scores(variants)
    measured = {split: _by_measure(found, grid.reference) for split, found in tables.items()}
    table: dict[str, Any] = {
        "reference": grid.reference,
        "seeds": grid.seeds,
        "variants": {n: _about(v) for n, v in variants.items()},
        "summary": _cells(variants, measured, ("top1", "map")),
        "top5": _cells(variants, measured, ("top5",)),
        "costs": {n: _costs(v, n, grid.reference, latency) for n, v in variants.items()},
        "rows": {n: v.record("result.json") for n, v in variants.items()},
    }
    explained: dict[str, ClipTable] = {}
    if grid.explain is not None:
        explained = _explained(variants, grid.explain)
        table["explain"] = asdict(grid.explain)
        table["explained"] = _by_measure(explained, grid.reference)
        table["controls"] = _controls(variants.get(grid.reference), grid.explain)
    leaks = _leaks(variants, grid.probe) if grid.probe else {}
    table["leaks"] = _by_measure(leaks, grid.reference)
    if grid.factors:
        measured_too = {"explained": explained, "leaks": leaks}
        table["interaction"] = _interactions(
            grid, {**tables, **measured_too}, {grid.reference, *alike}
        )
    return table


def _scores(variants: Mapping[str, Variant]) -> Tables:
    tables: Tables = {}
    for name, variant in variants.items():
        records = variant.record(SCORED)
        for split in variant.config.data.test if records else ():
            asked: dict[str, Sequence[int]] = {split: ()}
            if split == "swap" and variant.config.data.type == "backdrop":
                asked["swap, order"] = ORDERED
            for title, actions in asked.items():
                scored = {s: r[split] for s, r in records.items() if split in r}
                found = read_scores(scored, actions) if scored else None
                if found is not None:
                    tables.setdefault(title, {})[name] = found
    if "scuba" in tables and "scufo" in tables:
        pairs = {n: (t, tables["scufo"].get(n)) for n, t in tables["scuba"].items()}
        made = {n: contrasted(a, b) for n, (a, b) in pairs.items() if b is not None}
        tables["contrasted"] = {n: t for n, t in made.items() if t is not None}
    return tables


def _cells(
    variants: Iterable[str], measured: Mapping[str, Mapping[str, Any]], measures: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """By variant and split the one of the measures that was measured.

    Args:
        variants: names. measured: cells by split, variant and measure. measures: to choose from.
    """
    return {
        name: {
            split: {"measure": measure, **found[name][measure]}
            for split, found in measured.items()
            for measure in measures
            if measure in found.get(name, {})
        }
        for name in variants
    }


def _by_measure(tables: Mapping[str, ClipTable], reference: str) -> dict[str, dict[str, Any]]:
    """By variant and measure: the estimate, and its ``difference`` from the reference."""
    found: dict[str, dict[str, Any]] = {}
    for name, table in tables.items():
        found[name] = {k: asdict(e) for k, e in estimates(table).items()}
        if name != reference and reference in tables:
            gaps, paired = differences(table, tables[reference])
            for measure, gap in gaps.items():
                found[name][measure]["difference"] = {**asdict(gap), "paired": paired}
    return found


def _explained(variants: Mapping[str, Variant], asked: ExplainedClips) -> dict[str, ClipTable]:
    made = {}
    for name, variant in variants.items():
        found = variant.record(EXPLAINED)
        # A run that failed after training may have explained other clips for an earlier grid.
        records = {s: r for s, r in found.items() if is_current(r, *astuple(asked))}
        table = recorded_scores(records, NATIVE) if records else None
        if table is not None:
            made[name] = table
    return made


def _leaks(variants: Mapping[str, Variant], split: str) -> dict[str, ClipTable]:
    """What probes read above the floor, which is one for all runs.

    A part of a run's own floor, the probe of permuted labels, is chance; taken off run by run, it
    would be in every difference without being in its interval.
    """
    records = {
        name: {s: r for s, r in v.record(LEAKS).items() if leaking.is_current(r, split)}
        for name, v in variants.items()
    }
    floors: dict[str, list[float]] = {}
    for record in (r for found in records.values() for r in found.values()):
        for question, floor in record["floors"].items():
            floors.setdefault(question, []).append(floor)
    made = {}
    for name, found in records.items():
        table = recorded_scores(found, "probes") if found else None
        if table is not None:
            values = {
                measure: hits - statistics.mean(floors[measure.rsplit("_", 1)[0]])
                for measure, hits in table.values.items()
            }
            made[name] = replace(table, values=values)
    return made


def _controls(reference: Variant | None, asked: ExplainedClips) -> dict[str, dict[str, Any]]:
    """The maps that know nothing of the model on the reference's models, less its own map."""
    found_in = reference.record(EXPLAINED) if reference else {}
    records = {
        seed: record
        for seed, record in found_in.items()
        if is_current(record, *astuple(asked)) and len(record["rows"]) > 1
    }
    rows = list(next(iter(records.values()))["rows"]) if records else []
    tables = {row: recorded_scores(records, row) for row in rows}
    found = _by_measure({row: t for row, t in tables.items() if t is not None}, NATIVE)
    return {row: cells for row, cells in found.items() if row != NATIVE}


def _interactions(grid: Grid, tables: Tables, alike: Collection[str]) -> dict[str, dict[str, Any]]:
    """Effects by measure and split, of the variants as they are and at matched size."""
    made: dict[str, dict[str, Any]] = {}
    for size in ("as they are", *(["matched"] if grid.matched else [])):
        names = {
            cell: name if size == "as they are" or name in alike else matched_name(name)
            for cell, name in grid.cells.items()
        }
        for split, found in tables.items():
            if not all(name in found for name in names.values()):
                continue
            cells = {cell: found[name] for cell, name in names.items()}
            effects = interaction(grid.factors, cells)
            if effects is not None:
                each = {m: {k: asdict(e) for k, e in v.items()} for m, v in effects.items()}
                made.setdefault(size, {})[split] = each
    return made


def matched_name(name: str) -> str:
    """What a variant is called at the reference's size."""
    return f"{name}-matched"


def _about(variant: Variant) -> dict[str, Any]:
    match = None if variant.match is None else asdict(variant.match) | {"miss": variant.match.miss}
    commits = {s: _training_records(run)[0].get("commit") for s, run in variant.runs.items()}
    return {
        "seeds": list(variant.runs), "commits": commits, "matched": match,
        "config": asdict(variant.config),
    }  # fmt: skip


def _costs(
    variant: Variant, name: str, reference: str, latency: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What a variant costs; None where it was not, or cannot be, measured."""
    records = list(variant.record(COSTS).values())

    def largest(key: str) -> int | None:
        return max((r[key] for r in records if r[key] is not None), default=None)

    keys = ("parameters", "flops", "inference_bytes", "training_bytes")
    costs: dict[str, Any] = {key: largest(key) for key in keys}
    seconds = [sum(r["seconds"] for r in _training_records(f)) for f in variant.runs.values()]
    costs["training_seconds"] = statistics.mean(seconds) if seconds else None
    costs["workers"] = sorted({r["workers"] for r in records if "workers" in r})
    costs["latency"] = costs["seconds_a_clip"] = None
    if latency is not None and name in latency:
        costs["seconds_a_clip"] = statistics.median(latency[name])
        if reference in latency:
            costs["latency"] = ratio(latency[name], latency[reference])
    return costs


def _training_records(run: Path) -> list[dict[str, Any]]:
    """Of a run, or of all its folds; they may outlive the weights."""
    own = run / "record.json"
    files = [own] if own.is_file() else sorted(run.glob("fold_*/record.json"))
    return [json.loads(file.read_text("utf-8")) for file in files]
