"""The command ``whyact ablate``."""

from __future__ import annotations

import argparse
import sys

from whyact.config import Config
from whyact.config_io import builtin_config, load_config


def add_ablate_options(one: argparse.ArgumentParser) -> None:
    """Declare what ``whyact ablate`` takes."""
    one.add_argument(
        "--grid", default="", metavar="FILE",
        help="variants and seeds; default: the ablation of the README, ablation_config.yaml",
    )  # fmt: skip
    one.add_argument("--output", default="runs/ablation", help="folder of the runs and the table")
    one.add_argument(
        "--only", default="", metavar="VARIANT[,VARIANT…]",
        help="train these now; the table has all variants that are done",
    )  # fmt: skip
    one.add_argument(
        "--table-only", action="store_true", help="train nothing; tabulate what is done"
    )
    one.add_argument("--quick", action="store_true", help="the grid's short form")
    one.add_argument(
        "--workers", type=int, default=0, metavar="N",
        help="runs at a time, with one CPU thread and one GPU each; default: one a GPU, else one",
    )  # fmt: skip


def run_ablate(args: argparse.Namespace, config: Config) -> int:
    """Run the command; 1 where a run failed."""
    from whyact.tasks.ablate import ablate, base_configs

    grid = args.grid or builtin_config("ablation_config")
    config = load_config([*base_configs(grid), *args.config], args.flags)
    only = [name for name in args.only.split(",") if name]
    found = ablate(
        config, grid=grid, output=args.output, quick=args.quick, workers=args.workers, only=only,
        table_only=args.table_only,
    )  # fmt: skip
    print(found.text)
    for name, reason in found.failed.items():
        print(f"whyact: {name} failed: {reason}", file=sys.stderr)
    return 1 if found.failed else 0
