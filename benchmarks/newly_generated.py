"""Do the numbers hold on clips that no one has seen? Every run on splits of another data seed.

    python ablation.py --grid configs/ablation_headline.yaml --output runs/headline --workers 2
    python benchmarks/newly_generated.py {full,plain}=runs/headline/{full,plain}/seed_{0,1,2} \
        --output docs/results/headline/newly_generated.json

(Give each as NAME=RUN.) Scores the splits of each run's config, drawn with ``--seed``, by
`whyact.evaluate`, whose records go to ``<run>/newly_generated``, and writes the hits of every clip,
means over the runs of a name with 95 % intervals over runs and clips, and drops from ``iid``, whose
clips are paired by their place in the split. Prints Markdown.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from whyact.metrics.seeds import Estimate, Resamples, contrast, resample_values
from whyact.tasks.ablation.scores import score_run
from whyact.tasks.evaluate import evaluate
from whyact.training.checkpoint import find_checkpoint, read_metadata
from whyact.training.record import environment, write_json

NUISANCES = ("camera", "light", "clothing", "occluded", "tempo")


def scores(run: Path, seed: int) -> dict[str, dict[str, Any]]:
    """What every clip of the newly generated splits got."""
    config, _, _ = read_metadata(find_checkpoint(run))
    config.data.backdrop.seed = seed
    place = run / "newly_generated"
    evaluate(run, data=config, output=place / "evaluation")
    return score_run(place, config.data.test)


def summary(runs: Sequence[dict[str, dict[str, Any]]]) -> dict[str, Estimate]:
    """Accuracy by split, and drops by nuisance with their mean, over the runs of one name."""
    hits: dict[str, Resamples] = {}
    for split in runs[0]:
        if len({run[split]["fingerprint"] for run in runs}) > 1:
            raise SystemExit(f"The runs saw other clips of '{split}'.")
        values = torch.tensor([run[split]["top1"] for run in runs])
        hits[split] = resample_values(values, range(len(runs)))
    made = {split: contrast([(1.0, found)]) for split, found in hits.items()}
    lost = [name for name in NUISANCES if name in hits and "iid" in hits]
    for name in lost:
        made[f"drop, {name}"] = contrast([(1.0, hits["iid"]), (-1.0, hits[name])])
    if lost:
        parts = [(-1.0 / len(lost), hits[name]) for name in lost]
        made["mean drop"] = contrast([(1.0, hits["iid"]), *parts])
    return made


def _cell(found: Estimate | None) -> str:
    if found is None or found.mean is None or found.low is None or found.high is None:
        return ""
    return f"{100 * found.mean:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def markdown(found: dict[str, dict[str, Estimate]]) -> str:
    """A row for each measure, a column for each name, in % and points."""
    rows = [["", *found], ["---"] * (len(found) + 1)]
    for measure in dict.fromkeys(m for columns in found.values() for m in columns):
        cells = [_cell(columns.get(measure)) for columns in found.values()]
        rows.append([measure, *cells])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def main() -> None:
    """Evaluate the runs, write the record, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN")
    parser.add_argument("--seed", type=int, default=14, help="of the data")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    runs = defaultdict[str, list[Path]](list)
    for given in args.runs:
        name, _, run = given.rpartition("=")
        runs[name].append(Path(run))
    clips = {str(run): scores(run, args.seed) for each in runs.values() for run in each}
    found = {name: summary([clips[str(run)] for run in each]) for name, each in runs.items()}
    write_json(
        args.output,
        {
            "data_seed": args.seed,
            "summary": {n: {k: asdict(e) for k, e in one.items()} for n, one in found.items()},
            "clips": clips,
            **environment(torch.device("cpu"), []),
        },
    )
    print(markdown(found))


if __name__ == "__main__":
    main()
