"""The commands ``whyact evaluate`` and ``whyact compare``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from whyact.cli_options import add_threshold, given, only_data, refuse
from whyact.cli_tables import print_comparison, print_record, print_scores
from whyact.config import Config
from whyact.config_io import load_config
from whyact.types import WhyactError

OF_LOCALISATION = ("window", "hop", "smooth", "threshold", "least_score")
OPTIONS = {
    "explain": ("clips", "rerun", "workers", "metric_steps", "bf16"),
    "localise": ("clips", *OF_LOCALISATION),
    "named": ("clips",),
    "": ("class_map",),
}
"""What each thing that is measured takes besides what all take; scores have no name."""


def add_evaluate_options(one: argparse.ArgumentParser) -> None:
    """Declare what ``whyact evaluate`` takes."""
    one.add_argument(
        "checkpoint",
        nargs="?",
        default="",
        help="runs/<name>, or a checkpoint in it; default: the run that the config names",
    )
    one.add_argument("--splits", nargs="+", action="extend", default=[],
                     help="default: data.test of the config")  # fmt: skip
    one.add_argument("--output", default="", help="folder of the record")
    one.add_argument(
        "--class-map", metavar="FILE",
        help="rows 'class of the data,class of the model', for a set with other classes",
    )  # fmt: skip
    one.add_argument("--device", default="cpu", help="torch device, e.g. cuda")
    group = one.add_argument_group("measured instead of scores")
    instead = group.add_mutually_exclusive_group()
    instead.add_argument(
        "--explain", default="", metavar="METHOD[,METHOD…]",
        help="explanations by these methods: native, grad_cam, occlusion, …",
    )  # fmt: skip
    instead.add_argument(
        "--localise", action="store_true",
        help="intervals in time, against baselines (splits with intervals)",
    )  # fmt: skip
    instead.add_argument(
        "--named",
        action="store_true",
        help="explanations of named actions (multi, untrimmed, joined clips)",
    )
    group.add_argument(
        "--clips", type=int, metavar="N",
        help="of each split, at most; default: 200, and all with --localise",
    )  # fmt: skip
    localise = one.add_argument_group(
        "with --localise", "chosen on data.val, not on what they score"
    )
    localise.add_argument(
        "--window", type=int, metavar="FRAMES",
        help="that the model sees at once; default: all of a clip",
    )  # fmt: skip
    localise.add_argument(
        "--hop", type=int, metavar="FRAMES", help="between windows; default: half a window"
    )
    localise.add_argument(
        "--smooth", type=int, metavar="FRAMES",
        help="on either side whose mean a frame takes; default: 1",
    )  # fmt: skip
    add_threshold(localise)
    localise.add_argument(
        "--least-score", type=float, metavar="PROBABILITY",
        help="of a class in the clip, 0.05 by default: less than that is not detected",
    )  # fmt: skip
    explain = one.add_argument_group("with --explain")
    explain.add_argument(
        "--rerun", type=int, metavar="CLIPS",
        help="of --clips, for metrics that explain again; default: 50",
    )  # fmt: skip
    explain.add_argument("--workers", type=int, help="processes that explain; default: 1")
    explain.add_argument(
        "--metric-steps", type=int, metavar="N",
        help="of deletion and insertion, 8 by default, with 4 N parts of infidelity; below 8 ROAD "
        "takes one share of the clip, below 4 none; for slow models",
    )  # fmt: skip
    explain.add_argument(
        "--bf16", action="store_true", default=None,
        help="explain with the backbone in bf16: faster, rounded",
    )  # fmt: skip


def run_evaluate(args: argparse.Namespace, config: Config) -> int:
    """Run the command."""
    from whyact.tasks.evaluate import evaluate
    from whyact.tasks.folds import fold_runs
    from whyact.training.checkpoint import find_checkpoint, read_metadata

    if args.checkpoint:
        only_data(
            args.flags, "a trained model keeps its settings; whyact evaluate changes data only"
        )
    target = args.checkpoint or f"{config.output}/{config.name}"
    trained, _, _ = read_metadata(find_checkpoint(next(iter(fold_runs(target)), target)))
    data = load_config(args.config, args.flags, base=trained)
    measured = next((m for m in ("explain", "localise", "named") if getattr(args, m)), "")
    for mode, names in OPTIONS.items():
        to = f"belongs to --{mode}; add it" if mode else "is for scores alone"
        refuse(args, set(names) - set(OPTIONS[measured]), to)
    if measured == "explain":
        return _measure_explanations(args, target, data)
    if measured:
        return _measure(args, target, data)
    scores = evaluate(
        target, splits=args.splits, data=data, output=args.output, class_map=args.class_map or "",
        device=args.device,
    )  # fmt: skip
    print_scores(scores, target)
    folder = Path(args.output or f"{target}/evaluation")
    for split in scores:
        print_record(split, folder / split)
    return 0


def _measure_explanations(args: argparse.Namespace, target: str, data: Config) -> int:
    from whyact.metrics.quality import in_steps
    from whyact.report.explanation_table import markdown
    from whyact.tasks.explanations import measure_explanations

    if args.device != "cpu":
        raise WhyactError(f"--device {args.device}: --explain measures on the CPU; leave it out.")
    steps = in_steps(8 if args.metric_steps is None else args.metric_steps)
    for split, folder in _places(args, args.splits or [""]):
        table = measure_explanations(
            target, args.explain.split(","), split=split, data=data, output=folder, settings=steps,
            **given(args, ("clips", "rerun", "workers", "bf16")),
        )  # fmt: skip
        print(markdown(table))
    return 0


def _places(args: argparse.Namespace, splits: Sequence[str]) -> list[tuple[str, str]]:
    """Every split and the folder of its record, so that no split overwrites another's."""
    apart = args.output and len(splits) > 1
    return [(split, f"{args.output}/{split}" if apart else args.output) for split in splits]


def _measure(args: argparse.Namespace, target: str, data: Config) -> int:
    """Print what ``--localise`` and ``--named`` measure of each split."""
    from whyact.tasks.localise import localise
    from whyact.tasks.named import measure_named

    for split, folder in _places(args, args.splits or data.data.test):
        options = {
            "split": split, "data": data, "output": folder, "device": args.device,
            **given(args, ("clips",)),
        }  # fmt: skip
        if args.localise:
            record = localise(target, **options, **given(args, OF_LOCALISATION))
            scores = record["scores"]
            measures = {k: {m: scores[m][k] for m in scores} for k in scores["model"]}
            _print_rows(f"{split}: localisation in time, {record['clips']} clips", measures)
        if args.named:
            record = measure_named(target, **options)
            rows = {
                name: {k: row[k] for k in ("mean", "low", "high")}
                for name, row in record["scores"].items()
            }
            count = len(record["values"]["right_actor"])
            _print_rows(f"{split}: named actions, {count} clips", rows)
        if failed := record["failed"]:
            print(f"{split}: {len(failed)} clips could not be read, e.g. {failed[0]}")
    return 0


def _print_rows(title: str, rows: dict[str, dict[str, float | None]]) -> None:
    table = Table("", *next(iter(rows.values())), title=title)
    for name, row in rows.items():
        table.add_row(name, *("N/A" if v is None else f"{v:.3f}" for v in row.values()))
    Console().print(table)


def add_compare_options(one: argparse.ArgumentParser) -> None:
    """Declare what ``whyact compare`` takes."""
    one.add_argument("first", help="folder of a split's evaluation, e.g. runs/a/evaluation/test")
    one.add_argument("second", help="the other one; differences are second minus first")
    one.add_argument("--output", default="", metavar="FILE", help="JSON to write")


def run_compare(args: argparse.Namespace, config: Config) -> int:
    """Run the command."""
    from whyact.tasks.compare import compare

    print_comparison(compare(args.first, args.second, output=args.output))
    return 0
