"""The command ``whyact figure``."""

from __future__ import annotations

import argparse

from whyact.config import Config

KINDS = ("strip", "timeline", "graph", "ablation")


def add_figure_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "source", help="JSON of whyact explain; for 'ablation' the folder of whyact ablate"
    )
    parser.add_argument("--kind", choices=KINDS, default="strip", help="of figure")
    parser.add_argument("--output", required=True, metavar="FILE", help=".pdf, .svg or .png")


def run_figure(args: argparse.Namespace, config: Config) -> int:
    """Write the figure and say where."""
    from whyact.tasks.figure import figure

    print(figure(args.source, kind=args.kind, output=args.output))
    return 0
