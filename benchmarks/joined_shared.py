"""What the studies of clips joined from UT-Interaction share: `joined_when.py`, `joined_who.py`."""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.progress import track

from whyact.config import Config
from whyact.config_io import load_config
from whyact.data.builders import build_dataset
from whyact.data.joined import JoinedDataset
from whyact.metrics.bootstrap import percentile_interval
from whyact.models.recognizer import VideoModel
from whyact.training.record import environment
from whyact.training.seeding import derive
from whyact.training.token_cache import TokenDataset, cache_tokens
from whyact.types import Clip

CONFIG = Path(__file__).parents[1] / "configs" / "ut_interaction.yaml"


def over_folds(
    measure: Callable[[Sequence[int]], dict[str, float]], folds: int, draws: int
) -> dict[str, Any]:
    """A measure of all folds together, with its 95 % interval over resampled folds."""
    generator = torch.Generator().manual_seed(0)
    drawn = defaultdict(list)
    for _ in track(range(draws), "Bootstrap", transient=True):
        picks = torch.randint(folds, (folds,), generator=generator).tolist()
        for name, value in measure(picks).items():
            drawn[name].append(value)
    found = {}
    for name, value in measure(range(folds)).items():
        low, high = percentile_interval(torch.tensor(drawn[name], dtype=torch.float64))
        found[name] = {"mean": value, "low": low, "high": high}
    return found


def mean_of(each: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of every score, by name; all have the same names."""
    assert all(one.keys() == each[0].keys() for one in each)
    return {name: sum(one[name] for one in each) / len(each) for name in each[0]}


def config_of(args: argparse.Namespace, fold: int, *flags: str) -> Config:
    """The recipe of UT-Interaction in a fold, with changes."""
    place = ["--data.root", args.data, "--data.fold", str(fold), "--output", args.runs]
    threads = ["--training.threads", str(args.threads)]
    made: Config = load_config([CONFIG], [*place, *threads, *flags])
    return made


def tokens_of(
    args: argparse.Namespace, config: Config, model: VideoModel
) -> tuple[TokenDataset, tuple[int, int]]:
    """Tokens of all clips, or pairs, of a model's frozen backbone; their grid."""
    return cache_tokens(
        config=config, model=model, train=False,
        source=build_dataset(config.data, "all", train=False, seed=derive(config.seed, "data")),
        root=Path(args.runs) / ".cache", device=torch.device("cpu"),
    )  # fmt: skip


def clip_of(dataset: JoinedDataset | TokenDataset, index: int) -> Clip:
    """A clip that has to be readable."""
    clip = dataset[(index, 0)]
    assert isinstance(clip, Clip), f"{clip.id}: {clip.reason}"
    return clip


def arguments(text: str | None, output: str) -> argparse.ArgumentParser:
    """Those of both studies, which write to ``output``."""
    made = argparse.ArgumentParser(description=text, formatter_class=argparse.RawTextHelpFormatter)
    made.add_argument("--published", nargs="+", default=["runs/ut_interaction_42"])
    made.add_argument("--draws", type=int, default=1000, help="of the bootstrap")
    made.add_argument("--runs", default="runs")
    made.add_argument("--data", default="data/ut_interaction/segmented_set1")
    made.add_argument("--threads", type=int, default=1)
    made.add_argument("--output", type=Path, default=Path("docs/results/asking") / output)
    return made


def write(args: argparse.Namespace, found: dict[str, Any]) -> None:
    """The record of a study."""
    record = {**found, "environment": environment(torch.device("cpu"), [])}
    args.output.write_text(json.dumps(record) + "\n")
