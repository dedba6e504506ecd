"""Is asking learnt, does it help, and does it show who acts and when? Backdrop multi and untrimmed.

    python ablation.py --only SSG+DPM+GPNN                # single actors, to start from
    python benchmarks/asking.py --parts multi --seeds 0 1 2 3 4 5 6 7
    python benchmarks/asking.py --parts untrimmed --seeds 0 1 2

Trains what is not there yet in ``--runs``, for each seed: a model of ``multi`` that is never asked,
from it, for each of both splits, one that is asked and two that are not (its twin, of the same
steps, and one of as much time), and one that is asked and never sees the video (the leak). Then it
measures them on the test splits, where there is no record yet, copies the records and writes
``summary.json``, whose part of a split that is not among ``--parts`` stays as it is. ``--options``
does the same for what a model that is asked may have besides (`OPTIONS`), beside the one without.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from scipy import stats

from whyact.config import Config
from whyact.config_io import load_config
from whyact.metrics.seeds import (
    Resamples,
    contrast,
    resample_detections,
    resample_map,
    resample_values,
)
from whyact.models.asking import PROTOCOLS
from whyact.tasks.evaluate import evaluate
from whyact.tasks.evaluation_record import read_predictions
from whyact.tasks.localise import METHODS, localise
from whyact.tasks.named import measure_named
from whyact.tasks.train import train
from whyact.training.checkpoint import load_model
from whyact.training.record import environment
from whyact.types import Interval

CONFIGS = Path(__file__).parents[1] / "configs"
PLAIN = [
    "--model.specification.type", "none", "--objectives.specification", "0",
    "--objectives.binary_cross_entropy", "1.0",
]  # fmt: skip
BLIND = [
    "--model.backbone.type", "blind", "--training.start", "", "--training.epochs", "1",
    "--objectives.pause", "0",
]  # fmt: skip
KINDS: dict[str, dict[str, list[str]]] = {
    "multi": {
        "asked": [], "plain": PLAIN, "blind": BLIND, "longer": [*PLAIN, "--training.epochs", "4"],
    },
    "untrimmed": {
        "asked": [], "plain": PLAIN, "blind": BLIND, "longer": [*PLAIN, "--training.epochs", "5"],
    },
}  # fmt: skip
"""Runs of a split and what they change; ``longer`` is a twin that takes as long to train."""
OPTIONS: dict[str, dict[str, list[str]]] = {
    "multi": {"boxes": ["--model.spatial_graph.type", "boxes", "--data.backdrop.boxes", "true"]},
    "untrimmed": {
        "parts": [
            "--objectives.part_decorrelation", "0.01", "--objectives.part_reconstruction", "0.1",
        ],
    },
}  # fmt: skip
"""Changes of an asked model: a graph of the true boxes, the objectives of its two parts."""
PREFIX = {"multi": "", "untrimmed": "untrimmed_"}
"""Of the runs of a split."""
NAMED_CLIPS = 200


def trained(args: argparse.Namespace, name: str, split: str, seed: int, *changes: str) -> Path:
    """The folder of a run, which is trained if it is not there."""
    folder = Path(args.runs) / name
    if not (folder / "result.json").is_file():  # an interrupted run goes on
        flags = ["--name", name, "--seed", str(seed), "--output", args.runs, "--data.test", "[]"]
        flags += ["--data.root", args.data, "--training.threads", str(args.threads), *changes]
        config: Config = load_config([CONFIGS / f"backdrop_{split}.yaml"], flags)
        train(config, resume=True)
    return folder


def models(
    args: argparse.Namespace, split: str, kinds: dict[str, list[str]]
) -> dict[str, list[Path]]:
    """The runs of every kind, one a seed."""
    found: dict[str, list[Path]] = {kind: [] for kind in kinds}
    for seed in args.seeds:
        base = trained(
            args, f"multi-{seed}", "multi", seed, "--training.start", args.start.format(seed=seed),
            "--training.epochs", "4", *PLAIN,
        )  # fmt: skip
        recorded(base, args.output / base.name)
        recorded(Path(args.start.format(seed=seed)), args.output / f"single-{seed}")
        for kind, changes in kinds.items():
            name = f"{PREFIX[split]}{kind}-{seed}"
            run = trained(args, name, split, seed, "--training.start", str(base), *changes)
            found[kind].append(run)
    return found


def recorded(run: Path, folder: Path) -> None:
    """Copy how a run was trained."""
    folder.mkdir(exist_ok=True)
    for name in ("config.yaml", "metrics.jsonl", "record.json"):
        shutil.copy(run / name, folder)


def kept(file: Path, output: Path, run: Path) -> dict[str, Any]:
    """A record of a run, copied into the run's folder among the records."""
    (output / run.name).mkdir(exist_ok=True)
    shutil.copy(file, output / run.name)
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def evaluated(run: Path, split: str, output: Path) -> Path:
    """The evaluation of a run, copied without pictures."""
    found = run / "evaluation" / split
    if not (found / "scores.json").is_file():
        evaluate(run, splits=[split])
    shutil.copytree(found, output / run.name, dirs_exist_ok=True)
    recorded(run, output / run.name)
    return found


def maps(folders: Sequence[Path], seeds: Sequence[int]) -> Resamples:
    """Mean average precision of an evaluation a seed, and on resampled clips."""
    found = [read_predictions(folder) for folder in folders]
    return resample_map(torch.stack([f.logits for f in found]), found[0].labels, seeds)


def difference(first: Resamples, second: Resamples) -> dict[str, Any]:
    """First less second: over seeds and clips, by seed, and a t-interval over the seeds alone."""
    each = (first.values - second.values).tolist()
    return {**asdict(contrast([(1, first), (-1, second)])), "each": each, "t": t_interval(each)}


def t_interval(values: Sequence[float]) -> list[float] | None:
    """The 95 % interval of the mean of independent values; None for one."""
    if len(values) < 2:
        return None
    found = torch.tensor(values, dtype=torch.float64)
    reach = float(stats.t.ppf(0.975, len(values) - 1) * found.std() / len(values) ** 0.5)
    return [float(found.mean()) - reach, float(found.mean()) + reach]


def recognition(
    args: argparse.Namespace, split: str, runs: dict[str, list[Path]]
) -> dict[str, Any]:
    """Scores of every protocol, with the leak of each and of the models that never see a video."""
    folders = {k: [evaluated(run, split, args.output) for run in v] for k, v in runs.items()}
    twins = {k: maps(folders[k], args.seeds) for k in ("plain", "longer") if k in folders}
    rows: dict[str, Any] = {k: {"map": asdict(contrast([(1, v)]))} for k, v in twins.items()}
    for protocol in PROTOCOLS:
        asked, blind = (
            [folder / "asked" / protocol.name for folder in folders[kind]]
            for kind in ("asked", "blind")
        )
        own = maps(asked, args.seeds)
        leaks = [json.loads((f / "scores.json").read_text())["asked"]["leak"]["map"] for f in asked]
        rows[protocol.name] = {
            "map": asdict(contrast([(1, own)])),
            **{f"above_{k}": difference(own, twin) for k, twin in twins.items()},
            "leak_without_video": leaks,
            "leak_of_blind_model": asdict(contrast([(1, maps(blind, args.seeds))])),
        }
    seconds = {
        kind: [json.loads((run / "record.json").read_text())["seconds"] for run in found]
        for kind, found in runs.items()
    }
    parameters = {kind: size_of(found[0]) for kind, found in runs.items()}
    return {"protocols": rows, "training_seconds": seconds, "parameters": parameters}


def size_of(run: Path) -> int:
    """Parameters of a run's model."""
    return sum(p.numel() for p in load_model(run).model.parameters())


def options(args: argparse.Namespace, split: str) -> dict[str, Any]:
    """Scores and explanations of the options of a split, each above the asked model without it."""
    runs = models(args, split, {"asked": [], **OPTIONS[split]})
    folders = {k: [evaluated(run, split, args.output) for run in v] for k, v in runs.items()}

    def scores(kind: str, protocol: str) -> Resamples:
        return maps([folder / "asked" / protocol for folder in folders[kind]], args.seeds)

    found = {}
    for kind in OPTIONS[split]:
        rows = {}
        for name in (p.name for p in PROTOCOLS):
            own, plain = scores(kind, name), scores("asked", name)
            rows[name] = {"map": asdict(contrast([(1, own)])), "above": difference(own, plain)}
        found[kind] = {
            "seeds": args.seeds,
            "protocols": rows,
            "named": {k: names(args, split, runs[k]) for k in ("asked", kind)},
        }
    return found


def names(args: argparse.Namespace, split: str, runs: list[Path]) -> dict[str, Any]:
    """Explanations of named actions, over seeds; a record each."""
    values: dict[str, list[torch.Tensor]] = {}
    thresholds = []
    for run in runs:
        file = run / "named" / split / "named.json"
        if not file.is_file():
            measure_named(run, split=split, clips=NAMED_CLIPS)
        record = kept(file, args.output, run)
        thresholds.append(record["threshold"])
        numbers = {
            name: torch.tensor([torch.nan if v is None else v for v in found])
            for name, found in record["values"].items()
        }
        moves = numbers["swap_moves"]
        numbers["clips_whose_pairs_all_move"] = torch.where(moves.isnan(), moves, moves.eq(1))
        for name, found in numbers.items():
            values.setdefault(name, []).append(found)
    rows = {k: resample_values(torch.stack(v), args.seeds) for k, v in values.items()}
    return {"thresholds": thresholds, **{k: asdict(contrast([(1, r)])) for k, r in rows.items()}}


def located(args: argparse.Namespace, split: str, runs: list[Path]) -> list[dict[str, Any]]:
    """The record of localisation of each run."""
    records = []
    for run in runs:
        file = run / "localisation" / split / "localisation.json"
        if not file.is_file():
            localise(run, split=split)
        records.append(kept(file, args.output, run))
    return records


def times(args: argparse.Namespace, split: str, runs: dict[str, list[Path]]) -> dict[str, Any]:
    """Localisation in time over seeds, of the asked models, the baselines, and their twins."""

    def rows(records: list[dict[str, Any]], method: str) -> Resamples:
        truth = intervals(records[0]["truth"])
        found = [intervals(r["found"][method]) for r in records]
        return resample_detections(truth, found, args.seeds)

    asked = located(args, split, runs["asked"])
    twins = {k: located(args, split, runs[k]) for k in ("plain", "longer")}
    found = {m: rows(asked, m) for m in METHODS} | {k: rows(v, "model") for k, v in twins.items()}
    scores = {m: [r["scores"][m] for r in asked] for m in METHODS}
    return {
        "scores": scores | {k: [r["scores"]["model"] for r in v] for k, v in twins.items()},
        "map@0.5": {m: asdict(contrast([(1, row)])) for m, row in found.items()},
        "above": {m: difference(found["model"], r) for m, r in found.items() if m != "model"},
    }


def intervals(clips: list[dict[str, Any]]) -> list[list[Interval]]:
    """Those of a record."""
    return [[Interval(**one) for one in clip["intervals"]] for clip in clips]


def measured(args: argparse.Namespace, split: str) -> dict[str, Any]:
    """All that is said of a split."""
    runs = models(args, split, KINDS[split])
    return {
        "seeds": args.seeds,
        "recognition": recognition(args, split, runs),
        "named": names(args, split, runs["asked"]),
        **({"localisation": times(args, split, runs)} if split == "untrimmed" else {}),
        **environment(torch.device("cpu"), []),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--start", default="runs/ablation/SSG+DPM+GPNN/seed_{seed}", help="a seed's single actors"
    )
    parser.add_argument("--parts", nargs="+", choices=PREFIX, default=list(PREFIX))
    parser.add_argument("--options", action="store_true", help="measure those instead")
    parser.add_argument("--runs", default="runs")
    parser.add_argument("--data", default="data")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("docs/results/asking"))
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    file = args.output / "summary.json"
    summary: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    for split in args.parts:
        if args.options:
            summary.setdefault("options", {})[split] = options(args, split)
        else:
            summary[split] = measured(args, split)
        file.write_text(json.dumps(summary, indent=1) + "\n")


if __name__ == "__main__":
    main()
