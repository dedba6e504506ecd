"""What nuisances cost: accuracy by split and drops from ``iid`` of several models, with intervals.

    python ablation.py --grid configs/ablation_headline.yaml --output runs/headline --workers 2
    python benchmarks/drops.py full=runs/headline/full/seed_{0,1,2} \
        plain=runs/headline/plain/seed_{0,1,2} --output docs/results/headline/drops.json
    … --data-seed 14 --output docs/results/headline/newly_generated.json

Reads what the ablation kept of every clip. With ``--data-seed`` the same splits are generated anew
with that seed, and every run is scored on them by `whyact.evaluate`, whose records go to
``<run>/data_seed_<seed>``: do the numbers hold on clips that no one has seen?

Means over the runs of a name with 95 % intervals over runs and clips; the clips of two splits are
paired by their place, those of two names too, and their runs in the order that they are given in.
``mean drop, half`` sets the first name's mean drop against half of another's. Prints Markdown and
writes every clip's hits.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from whyact.metrics.seeds import Estimate, Resamples, contrast, resample_values
from whyact.tasks.ablation.scores import score_run
from whyact.tasks.evaluate import evaluate
from whyact.training.checkpoint import find_checkpoint, read_metadata
from whyact.training.record import environment, write_json

MEAN = "mean drop"
NUISANCES = ("camera", "light", "clothing", "occluded", "tempo")
Scores = dict[str, dict[str, Any]]
"""By split what `whyact.tasks.ablation.scores.score_run` has of every clip."""


def scores(run: Path, data_seed: int | None) -> Scores:
    """Of the run's own splits, or of newly generated ones."""
    if data_seed is None:
        found: Scores = json.loads((run / "scored.json").read_text())
        return found
    config, _, _ = read_metadata(find_checkpoint(run))
    config.data.backdrop.seed = data_seed
    place = run / f"data_seed_{data_seed}"
    evaluate(run, data=config, output=place / "evaluation")
    return score_run(place, config.data.test)


def measures(splits: Sequence[str]) -> dict[str, dict[str, float]]:
    """Each a weighted sum of the accuracies of splits."""
    made = {split: {split: 1.0} for split in splits}
    lost = [name for name in NUISANCES if name in splits]
    made |= {f"drop, {name}": {"iid": 1.0, name: -1.0} for name in lost}
    if lost:
        made[MEAN] = {"iid": 1.0} | dict.fromkeys(lost, -1.0 / len(lost))
    return made


def hits(runs: Sequence[Scores]) -> dict[str, Resamples]:
    """Of the runs of a name, by split."""
    made = {}
    for split in runs[0]:
        if len({run[split]["fingerprint"] for run in runs}) > 1:
            raise SystemExit(f"The runs saw other clips of '{split}'.")
        values = torch.tensor([run[split]["top1"] for run in runs])
        made[split] = resample_values(values, range(len(runs)))
    return made


def summary(runs: Mapping[str, Sequence[Scores]]) -> dict[str, dict[str, Estimate]]:
    """Every measure of each name, and of the first minus each other."""
    found = {name: hits(each) for name, each in runs.items()}
    first, *others = found
    asked = measures([split for split in found[first] if all(split in h for h in found.values())])

    def estimate(*signed: tuple[float, str]) -> dict[str, Estimate]:
        return {
            measure: contrast([(s * w, found[name][k]) for s, name in signed for k, w in m.items()])
            for measure, m in asked.items()
        }

    made = {name: estimate((1.0, name)) for name in found}
    for other in others:
        gaps = estimate((1.0, first), (-1.0, other))
        if MEAN in asked:
            gaps[f"{MEAN}, half"] = estimate((1.0, first), (-0.5, other))[MEAN]
        made[f"{first} − {other}"] = gaps
    return made


def _cell(found: Estimate | None) -> str:
    if found is None or found.mean is None or found.low is None or found.high is None:
        return ""
    return f"{100 * found.mean:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def markdown(found: Mapping[str, Mapping[str, Estimate]]) -> str:
    """A row for each measure, a column for each name, in % and points."""
    rows = [["", *found], ["---"] * (len(found) + 1)]
    for measure in dict.fromkeys(m for columns in found.values() for m in columns):
        rows.append([measure, *(_cell(columns.get(measure)) for columns in found.values())])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _hits(found: Scores) -> Scores:
    """What a record needs of the clips."""
    return {split: {k: one[k] for k in ("fingerprint", "top1")} for split, one in found.items()}


def main() -> None:
    """Read or score the runs, write the record, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN")
    parser.add_argument("--data-seed", type=int)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    runs = defaultdict[str, dict[str, Scores]](dict)
    for given in args.runs:
        name, _, run = given.rpartition("=")
        runs[name][run] = scores(Path(run), args.data_seed)
    found = summary({name: [*each.values()] for name, each in runs.items()})
    write_json(
        args.output,
        {
            "data_seed": args.data_seed,
            "summary": {n: {k: asdict(e) for k, e in one.items()} for n, one in found.items()},
            "clips": {
                name: {r: _hits(one) for r, one in each.items()} for name, each in runs.items()
            },
            **environment(torch.device("cpu"), []),
        },
    )
    print(markdown(found))


if __name__ == "__main__":
    main()
