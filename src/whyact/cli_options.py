"""Options that only some uses of a command take."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from whyact.types import WhyactError


def add_threshold(group: Any) -> None:
    """Declare the bar of intervals in time, as all commands that find them take it."""
    group.add_argument(
        "--threshold", type=float, metavar="LOGITS",
        help="least evidence of an interval; default: half way between the lowest and the highest",
    )  # fmt: skip


def only_data(flags: Iterable[str], why: str) -> None:
    """Fail where a setting outside ``data`` was given to a command that reads no other.

    Raises:
        WhyactError: the first such flag, and ``why`` it is none of the command's.
    """
    for flag in flags:
        if flag.startswith("--") and not flag.startswith("--data."):
            raise WhyactError(f"{flag}: {why}.")


def given(args: argparse.Namespace, names: Iterable[str]) -> dict[str, Any]:
    """The options that were given; the defaults of the others are the function's."""
    return {name: value for name in names if (value := getattr(args, name)) is not None}


def refuse(args: argparse.Namespace, names: Iterable[str], why: str) -> None:
    """Fail where one of these was given, which would do nothing."""
    for name in given(args, names):
        raise WhyactError(f"--{name.replace('_', '-')} {why}, or leave it out.")
