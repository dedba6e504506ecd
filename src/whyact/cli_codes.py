"""The command ``whyact codes``."""

from __future__ import annotations

import argparse

from whyact.cli_options import only_data
from whyact.config import Config
from whyact.config_io import load_config


def add_codes_options(one: argparse.ArgumentParser) -> None:
    """Declare what ``whyact codes`` takes."""
    one.add_argument(
        "checkpoints", nargs="+", metavar="CHECKPOINT", help="runs/<name>, or checkpoints in them"
    )
    one.add_argument("--split", default="", help="default: the first of data.test")
    one.add_argument("--clips", type=int, default=600, help="drawn from the split; 0 takes all")
    one.add_argument("--projection", default="pca", help="pca, or umap (pip install whyact[umap])")
    one.add_argument(
        "--clusters", type=int, default=0,
        help="of the nuisance code, for data.balance; default: none",
    )  # fmt: skip
    one.add_argument(
        "--attention", type=int, default=4, metavar="CLIPS",
        help="in the picture of where the models look; 0 writes none",
    )  # fmt: skip
    one.add_argument("--format", default="svg", choices=("svg", "pdf", "png"), help="of figures")
    one.add_argument("--output", default="codes", metavar="DIR", help="of everything")
    one.add_argument(
        "--seed", type=int, default=0, dest="codes_seed", metavar="N", help="of all that is drawn"
    )
    one.add_argument("--device", default="cpu", help="torch device, e.g. cuda")


def run_codes(args: argparse.Namespace, config: Config) -> int:
    """Run the command and say what was written."""
    from whyact.tasks.codes import codes
    from whyact.training.checkpoint import find_checkpoint, read_metadata

    only_data(args.flags, "trained models keep their settings; whyact codes changes data only")
    trained, _, _ = read_metadata(find_checkpoint(args.checkpoints[0]))
    written = codes(
        args.checkpoints, split=args.split, data=load_config(args.config, args.flags, base=trained),
        clips=args.clips, projection=args.projection, clusters=args.clusters,
        attention=args.attention, form=args.format, output=args.output, seed=args.codes_seed,
        device=args.device,
    )  # fmt: skip
    print(*written, sep="\n")
    return 0
