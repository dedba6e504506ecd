"""Compare models of a cross-validated set: all held-out clips of every run, over seeds.

    for seed in 42 0 1; do
        whyact train --config configs/ut_interaction.yaml --seed $seed --name ut_interaction_$seed
    done
    whyact train --config configs/ut_interaction.yaml --name ut_pooled --model.type pooled \
        --objectives.deep_supervision 0
    python benchmarks/fold_table.py full=runs/ut_interaction_{42,0,1} pooled=runs/ut_pooled

Each argument is ``NAME=RUN``, a run of all folds and one seed; a name comes again with the runs of
other seeds. The first name is what the others are compared with, on the seeds that both have.
Intervals are over seeds and clips, as if the clips of a fold, which share a model, had none in
common; where sets are small they are too narrow.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from whyact.config_io import load_config, to_yaml
from whyact.metrics.seeds import Resamples, contrast, resample_values, top_hits
from whyact.tasks.evaluation_record import read_predictions
from whyact.tasks.folds import fold_runs
from whyact.training.record import environment
from whyact.types import WhyactError


def hits(run: Path, split: str) -> dict[str, float]:
    """By clip held out by one of a run's folds: 1 where its class is found, else 0."""
    found: dict[str, float] = {}
    for fold in fold_runs(run):
        made = read_predictions(fold / "evaluation" / split)
        right = top_hits(made.logits[None], made.labels)["top1"][0]
        own = dict(zip(made.ids, right.tolist(), strict=True))
        if twice := sorted(found.keys() & own.keys()):
            raise WhyactError(f"{fold}: '{twice[0]}' is held out by another fold too.")
        found |= own
    if not found:
        raise WhyactError(f"{run}: no folds here; train with data.fold: -1 first.")
    return found


def table(runs: dict[str, list[Path]], split: str) -> dict[str, Any]:
    """Top-1 by name and seed, with the difference from the first name."""
    found = {n: {load_config([r / "config.yaml"], []).seed: hits(r, split) for r in rs}
             for n, rs in runs.items()}  # fmt: skip
    configs = {n: to_yaml(load_config([r[0] / "config.yaml"], [])) for n, r in runs.items()}
    for name, given in runs.items():
        if len(found[name]) < len(given):
            raise WhyactError(f"{name}: two of its runs have the same seed.")
    first, *_ = found
    ids = sorted(next(iter(found[first].values())))

    def resampled(name: str) -> Resamples:
        rows = [[one[i] for i in ids] for one in found[name].values()]
        return resample_values(torch.tensor(rows, dtype=torch.float64), list(found[name]))

    rows = {}
    for name, each in found.items():
        if any(sorted(one) != ids for one in each.values()):
            raise WhyactError(f"{name}: other clips than {first}; they don't compare.")
        own = resampled(name)
        rows[name] = {
            "each": dict(zip(own.seeds, own.values.tolist(), strict=True)),
            "top1": asdict(contrast([(1.0, own)])),
            "difference": asdict(contrast([(1.0, own), (-1.0, resampled(first))])),
        }
    hit = {n: {s: [one[i] for i in ids] for s, one in e.items()} for n, e in found.items()}
    return {
        "split": split, "clips": ids, "rows": rows, "hits": hit, "configs": configs,
        **environment(torch.device("cpu"), []),
    }  # fmt: skip


def markdown(made: dict[str, Any]) -> str:
    """The table for people, in per cent."""

    def cell(of: dict[str, Any], sign: str = "") -> str:
        if of["mean"] is None:
            return "no seed in common"
        mean, low, high = (format(100 * of[k], f"{sign}.1f") for k in ("mean", "low", "high"))
        return f"{mean} [{low}, {high}]"

    lines = ["| | top-1 in % | by seed | difference |", "|---|---|---|---|"]
    for name, row in made["rows"].items():
        each = ", ".join(f"{100 * v:.1f}" for v in row["each"].values())
        lines.append(f"| {name} | {cell(row['top1'])} | {each} | {cell(row['difference'], '+')} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Read runs, write the record, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN")
    parser.add_argument("--split", default="test")
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    runs = defaultdict[str, list[Path]](list)
    for given in args.runs:
        name, _, run = given.rpartition("=")
        runs[name].append(Path(run))
    made = table(runs, args.split)
    if args.output:
        args.output.write_text(json.dumps(made) + "\n", encoding="utf-8")
    print(markdown(made))


if __name__ == "__main__":
    main()
