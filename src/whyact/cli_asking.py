"""Options of the commands that ask for an action: when, where and on whom."""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.table import Table

from whyact.config import Config


def add_asking_options(evaluate: argparse.ArgumentParser, explain: argparse.ArgumentParser) -> None:
    """Add ``--localise`` and ``--named`` to evaluate, ``--timeline`` to explain."""
    evaluate.add_argument(
        "--localise", action="store_true",
        help="measure intervals in time instead, against baselines (splits with intervals)",
    )  # fmt: skip
    evaluate.add_argument(
        "--named", action="store_true",
        help="measure explanations of named actions instead (Backdrop's multi)",
    )  # fmt: skip
    explain.add_argument(
        "--timeline", action="store_true",
        help="with --action: stream the whole video, say when it happens, and write a page",
    )  # fmt: skip
    explain.add_argument(
        "--window", type=float, default=0.0, metavar="SECONDS", help="of --timeline"
    )
    explain.add_argument(
        "--threshold", type=float, default=0.5, help="least evidence of an interval of --timeline"
    )
    explain.add_argument(
        "--encoder", default="", metavar="FOLDER",
        help="sentence encoder, so that --action of --timeline may be free text",
    )  # fmt: skip


def run_timelines(args: argparse.Namespace) -> int:
    """Make and print the timeline of every video; one that cannot be read costs no other.

    Returns:
        The exit code.
    """
    from whyact.data.errors import VideoError
    from whyact.report.timeline import clock
    from whyact.tasks.inputs import find_clips
    from whyact.tasks.timeline import timeline

    code = 0
    for path in find_clips(args.paths):
        try:
            found = timeline(
                args.checkpoint, path, [args.action] if args.action else [], window=args.window,
                threshold=args.threshold, encoder=args.encoder, output=args.output,
                device=args.device,
            )  # fmt: skip
        except VideoError as error:
            print(error)
            code = 1
            continue
        print(f"{found.source}: {found.page}")
        for action, intervals in found.intervals.items():
            spans = [f"{clock(i.start)} – {clock(i.stop)} ({i.score:.2f})" for i in intervals]
            print(f"  {action}: {', '.join(spans) or 'not found'}")
    return code


def run_measures(args: argparse.Namespace, target: str, data: Config) -> int:
    """Print what ``--localise`` and ``--named`` measure of each split."""
    from whyact.tasks.localise import localise
    from whyact.tasks.named import measure_named

    options = {"clips": args.clips, "data": data, "device": args.device}
    for split in args.splits or data.data.test:
        if args.localise:
            record = localise(target, split=split, output=args.output, **options)
            scores = record["scores"]
            measures = {k: {m: scores[m][k] for m in scores} for k in scores["model"]}
            _print_rows(f"{split}: localisation in time", measures)
        if args.named:
            record = measure_named(target, split=split, output=args.output, **options)
            rows = {
                name: {k: row[k] for k in ("mean", "low", "high")}
                for name, row in record["scores"].items()
            }
            _print_rows(f"{split}: named actions, {args.clips} clips at most", rows)
    return 0


def _print_rows(title: str, rows: dict[str, dict[str, float | None]]) -> None:
    table = Table("", *next(iter(rows.values())), title=title)
    for name, row in rows.items():
        table.add_row(name, *("N/A" if v is None else f"{v:.3f}" for v in row.values()))
    Console().print(table)
