"""The command ``whyact data``."""

from __future__ import annotations

import argparse
from collections import Counter

from rich.console import Console
from rich.table import Table

from whyact.cli_options import given, refuse
from whyact.config import Config
from whyact.types import WhyactError

OPTIONS = {
    "check": ("workers", "deep"),
    "prepare": ("form", "short_side", "workers"),
    "boxes": (),
    "shard": ("splits", "shard_size"),
    "backdrop": ("splits",),
    "sheet": (),
}
"""What each of them takes besides what all take."""
SHOWN = 20
"""Findings of a check that are printed; the report holds all."""


def add_data_options(one: argparse.ArgumentParser) -> None:
    """Declare what ``whyact data`` takes."""
    one.add_argument(
        "what", choices=list(OPTIONS),
        help="check: find what is missing, unreadable, mislabelled or duplicated; prepare: write "
        "smaller copies; boxes: write a table of annotated boxes; shard: write tar shards; "
        "backdrop: write it as videos; sheet: as pictures",
    )  # fmt: skip
    one.add_argument("configs", nargs="*", metavar="CONFIG", help="YAML settings")
    one.add_argument("--out", default="", metavar="DIR", help="folder of the result, file of boxes")
    one.add_argument(
        "--splits", nargs="+", action="extend",
        help="default of backdrop: train val iid swap; of shard: those of the config",
    )  # fmt: skip
    one.add_argument("--workers", type=int, help="check, prepare: processes; default: data.workers")
    one.add_argument("--deep", action="store_true", default=None, help="check: decode every frame")
    one.add_argument("--form", help="prepare: video or frames; default: video")
    one.add_argument("--short-side", type=int, help="prepare: pixels of the copies; default: 256")
    one.add_argument("--shard-size", type=int, help="shard: megabytes of a file; default: 256")


def run_data(args: argparse.Namespace, config: Config) -> int:
    """Run the command."""
    for name in {name for names in OPTIONS.values() for name in names}:
        takers = [what for what, names in OPTIONS.items() if name in names]
        if args.what not in takers:
            refuse(args, [name], f"belongs to whyact data {', '.join(takers)}; run that")
    if args.what == "check":
        return _check(args, config)
    if not args.out:
        kind = "FILE, the table" if args.what == "boxes" else "DIR, the folder"
        raise WhyactError(f"whyact data {args.what} needs --out {kind} to write to.")
    if args.what == "prepare":
        return _prepare(args, config)
    if args.what == "boxes":
        from whyact.tasks.data import write_boxes

        boxes, videos = write_boxes(config, out=args.out)
        print(f"{boxes} boxes of {videos} videos. Use them with --data.boxes.table {args.out}")
        return 0
    if args.what == "shard":
        return _shard(args, config)
    from whyact.tasks.data import write_backdrop

    splits = args.splits or ["train", "val", "iid", "swap"]
    write_backdrop(config, out=args.out, splits=splits, sheet=args.what == "sheet")
    return 0


def _check(args: argparse.Namespace, config: Config) -> int:
    from whyact.tasks.check import check_data

    found = check_data(config, output=args.out or "runs/check", **given(args, OPTIONS["check"]))
    table = Table(title=f"{config.data.type}: {config.data.root}")
    for column in ("split", "listed", "readable", "official"):
        table.add_column(column, justify="left" if column == "split" else "right")
    for split, (listed, readable) in found.clips.items():
        table.add_row(split, str(listed), str(readable), str(found.official[split] or "–"))
    Console().print(table)
    for one in found.findings[:SHOWN]:
        print(f"{one.kind} ({one.split}): {one.text}")
    more = len(found.findings) - SHOWN
    kinds = Counter(one.kind for one in found.findings)
    said = ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "nothing wrong"
    print(f"{said}{f'; {more} more' if more > 0 else ''}. Report: {found.report}")
    return 1 if found.findings else 0


def _prepare(args: argparse.Namespace, config: Config) -> int:
    from whyact.tasks.prepare import prepare_data

    found = prepare_data(config, out=args.out, **given(args, OPTIONS["prepare"]))
    for path, reason in list(found.failures.items())[:SHOWN]:
        print(f"not prepared: {reason if path in reason else f'{path}: {reason}'}")
    print(
        f"{found.made} copies written, {found.kept} were there, {len(found.failures)} clips could "
        f"not be read ({args.out}/failures.json). Use them with --data.root {args.out}"
    )
    return 1 if found.failures else 0


def _shard(args: argparse.Namespace, config: Config) -> int:
    from whyact.tasks.data import shard_data

    size = {} if args.shard_size is None else {"megabytes": args.shard_size}
    made = shard_data(config, out=args.out, splits=args.splits or [], **size)
    for split, one in made.items():
        print(f"{split}: {one.clips} clips in {one.shards} shards, {len(one.failures)} unreadable")
        for name, reason in list(one.failures.items())[:SHOWN]:
            print(f"{split}: {name}: {reason}")
    print(f"Use them with --data.type shards --data.root {args.out}")
    return 1 if any(one.failures for one in made.values()) else 0
