"""Is asking learnt, does it help, and does it show who acts and when? Backdrop multi and untrimmed.

    python ablation.py --only SSG+DPM+GPNN                # single actors, to start from
    python benchmarks/asking.py --seeds 0 1 2 3

Trains what is not there yet in ``--runs``, for each seed: a model of ``multi`` that is never asked,
from it one that is asked, one that is not (its twin, of the same steps) and one that is asked and
never sees the video (the leak); and one of ``untrimmed``, from ``--start`` like the first. Then it
measures them on the test splits, where there is no record yet, copies the records and writes
``summary.json``. ``--parts`` takes some of it and leaves the rest of a summary as it is.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

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
from whyact.training.record import environment
from whyact.types import Interval

CONFIGS = Path(__file__).parents[1] / "configs"
PLAIN = [
    "--model.specification.type", "prompts", "--objectives.specification", "0",
    "--objectives.binary_cross_entropy", "1.0",
]  # fmt: skip
BLIND = ["--model.backbone.type", "blind", "--training.start", "", "--training.epochs", "1"]
NAMED_CLIPS = 200


def trained(args: argparse.Namespace, name: str, kind: str, seed: int, *changes: str) -> Path:
    """The folder of a run, which is trained if it is not there."""
    folder = Path(args.runs) / name
    if not (folder / "result.json").is_file():  # an interrupted run goes on
        flags = ["--name", name, "--seed", str(seed), "--output", args.runs, "--data.test", "[]"]
        flags += ["--data.root", args.data, "--training.threads", str(args.threads), *changes]
        config: Config = load_config([CONFIGS / f"backdrop_{kind}.yaml"], flags)
        train(config, resume=True)
    return folder


def evaluated(folder: Path, output: Path) -> Path:
    """The evaluation of a run on multi, copied without pictures."""
    found = folder / "evaluation" / "multi"
    if not (found / "scores.json").is_file():
        evaluate(folder, splits=["multi"])
    shutil.copytree(found, output / folder.name, dirs_exist_ok=True)
    for name in ("config.yaml", "metrics.jsonl", "record.json"):
        shutil.copy(folder / name, output / folder.name)
    return found


def maps(folders: list[Path], seeds: list[int]) -> Resamples:
    """Mean average precision of an evaluation a seed, and on resampled clips."""
    found = [read_predictions(folder) for folder in folders]
    return resample_map(torch.stack([f.logits for f in found]), found[0].labels, seeds)


def recognition(args: argparse.Namespace) -> dict[str, Any]:
    """Scores of every protocol, with the leak of each and of the models that never see a video."""
    folders: dict[str, list[Path]] = {"asked": [], "plain": [], "blind": []}
    for seed in args.seeds:
        base = trained(
            args, f"multi-{seed}", "multi", seed, "--training.start", args.start.format(seed=seed),
            "--training.epochs", "4", *PLAIN,
        )  # fmt: skip
        start = ["--training.start", str(base)]
        for kind, changes in (("asked", start), ("plain", [*start, *PLAIN]), ("blind", BLIND)):
            run = trained(args, f"{kind}-{seed}", "multi", seed, *changes)
            folders[kind].append(evaluated(run, args.output))
    twin = maps(folders["plain"], args.seeds)
    rows: dict[str, Any] = {"plain": {"map": asdict(contrast([(1, twin)]))}}
    for protocol in PROTOCOLS:
        asked, blind = (
            [folder / "asked" / protocol.name for folder in folders[kind]]
            for kind in ("asked", "blind")
        )
        own = maps(asked, args.seeds)
        leaks = [json.loads((f / "scores.json").read_text())["asked"]["leak"]["map"] for f in asked]
        rows[protocol.name] = {
            "map": asdict(contrast([(1, own)])),
            "above_plain": asdict(contrast([(1, own), (-1, twin)])),
            "leak_without_video": leaks,
            "leak_of_blind_model": asdict(contrast([(1, maps(blind, args.seeds))])),
        }
    seconds = {
        kind: [json.loads((f.parents[1] / "record.json").read_text())["seconds"] for f in found]
        for kind, found in folders.items()
    }
    return {"protocols": rows, "training_seconds": seconds}


def names(args: argparse.Namespace) -> dict[str, Any]:
    """Explanations of named actions, over seeds; a record each."""
    values: dict[str, list[list[float]]] = {}
    thresholds = []
    for seed in args.seeds:
        run = Path(args.runs) / f"asked-{seed}"
        file = run / "named" / "multi" / "named.json"
        if not file.is_file():
            measure_named(run, clips=NAMED_CLIPS)
        record = json.loads(file.read_text())
        shutil.copy(file, args.output / f"named-{seed}.json")
        thresholds.append(record["threshold"])
        for name, found in record["values"].items():
            values.setdefault(name, []).append([torch.nan if v is None else v for v in found])
    rows = {k: resample_values(torch.tensor(v), args.seeds) for k, v in values.items()}
    return {"thresholds": thresholds, **{k: asdict(contrast([(1, r)])) for k, r in rows.items()}}


def times(args: argparse.Namespace) -> dict[str, Any]:
    """Localisation in time on untrimmed, over seeds; a record each."""
    records = []
    for seed in args.seeds:
        run = trained(
            args, f"untrimmed-{seed}", "untrimmed", seed,
            "--training.start", args.start.format(seed=seed),
        )  # fmt: skip
        file = run / "localisation" / "untrimmed" / "localisation.json"
        if not file.is_file():
            localise(run, split="untrimmed")
        records.append(json.loads(file.read_text()))
        shutil.copy(file, args.output / f"localisation-{seed}.json")
        shutil.copy(run / "config.yaml", args.output / f"localisation-{seed}.yaml")
    rows = {
        m: resample_detections(
            intervals(records[0]["truth"]), [intervals(r["found"][m]) for r in records], args.seeds
        )
        for m in METHODS
    }
    model = rows["model"]
    return {
        "scores": {m: [r["scores"][m] for r in records] for m in METHODS},
        "map@0.5": {m: asdict(contrast([(1, row)])) for m, row in rows.items()},
        "above": {m: asdict(contrast([(1, model), (-1, rows[m])])) for m in METHODS[1:]},
    }


def intervals(clips: list[dict[str, Any]]) -> list[list[Interval]]:
    """Those of a record."""
    return [[Interval(**one) for one in clip["intervals"]] for clip in clips]


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "recognition": recognition, "named": names, "localisation": times,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--start", default="runs/ablation/SSG+DPM+GPNN/seed_{seed}", help="a seed's single actors"
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--runs", default="runs")
    parser.add_argument("--data", default="data")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("docs/results/asking"))
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    file = args.output / "summary.json"
    summary: dict[str, Any] = {"seeds": args.seeds, **environment(torch.device("cpu"), [])}
    if file.exists() and set(args.parts) < set(PARTS):
        summary = json.loads(file.read_text())
    for name in args.parts:
        summary[name] = PARTS[name](args)
        file.write_text(json.dumps(summary, indent=1) + "\n")


if __name__ == "__main__":
    main()
