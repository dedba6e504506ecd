"""The command ``whyact serve``."""

from __future__ import annotations

import argparse
import contextlib

from whyact.config import Config
from whyact.types import WhyactError


def add_serve_options(one: argparse.ArgumentParser) -> None:
    """Declare what ``whyact serve`` takes."""
    one.add_argument("checkpoint", help="runs/<name>, or a checkpoint in it")
    one.add_argument("clips", nargs="*", help="video files, folders or globs that the page offers")
    one.add_argument(
        "--host", default="127.0.0.1",
        help="address to listen on; 0.0.0.0 lets other machines ask, without a password",
    )  # fmt: skip
    one.add_argument("--port", type=int, default=8321, help="0 for any free one")
    one.add_argument("--max-megabytes", type=float, default=64, help="of an uploaded file")
    one.add_argument("--max-seconds", type=float, default=60, help="of a film")
    one.add_argument("--device", default="cpu", help="torch device, e.g. cuda")


def run_serve(args: argparse.Namespace, config: Config) -> int:
    """Serve until interrupted."""
    try:
        from whyact.tasks.serve import serve
    except ModuleNotFoundError as error:
        raise WhyactError(
            f"whyact serve needs the package {error.name}: pip install 'whyact[serve]'."
        ) from error
    from whyact.data.film import Limits

    limits = Limits(megabytes=args.max_megabytes, seconds=args.max_seconds)
    with contextlib.suppress(KeyboardInterrupt):
        serve(
            args.checkpoint, args.clips, host=args.host, port=args.port, limits=limits,
            device=args.device,
            ready=lambda address: print(f"{address}  (Ctrl+C stops it)", flush=True),
        )  # fmt: skip
    return 0
