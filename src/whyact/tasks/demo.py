"""The main job on the built-in benchmark: generate, train, evaluate, explain."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from whyact.config import Config
from whyact.config_io import builtin_config, load_config
from whyact.data.builders import build_dataset
from whyact.objectives.builders import wants_foreground
from whyact.tasks.ablation.jobs import Job, run_jobs
from whyact.tasks.explain import explain_to
from whyact.tasks.explanation_files import write_gallery
from whyact.tasks.train import finished
from whyact.training.checkpoint import load_model
from whyact.training.record import write_json
from whyact.types import Clip, WhyactError

EXPLAINED = (0, 3, 4, 5, 9, 13)
"""Clips of the swap split that are explained: six different actions, fixed before training."""


def demo(
    *, output: str | Path = "runs/demo", configs: Sequence[str] = (), flags: Sequence[str] = ()
) -> dict[str, Any]:
    """Train the full model and the plain baseline side by side, compare them, explain six clips.

    Finished parts are kept: running it again repeats nothing but the explanations.

    Args:
        output: folder of everything. configs, flags: settings on top of the built-in ``demo``.

    Returns:
        Scores by model and split.
    """
    start = time.monotonic()
    console = Console()
    config = load_config([builtin_config("demo"), *configs], flags)
    config.output = str(output)
    if config.data.backdrop.eval_clips <= max(EXPLAINED):
        raise WhyactError(
            f"data.backdrop.eval_clips is {config.data.backdrop.eval_clips}; the demo explains "
            f"clips up to number {max(EXPLAINED)}, so it needs at least {max(EXPLAINED) + 1}."
        )
    for split in (config.data.train, config.data.val, *config.data.test):
        build_dataset(
            config.data, split, train=False, seed=config.seed,
            foreground=split == config.data.train and wants_foreground(config),
        )  # fmt: skip
    results = _train_both({"full": config, "plain": plain(config)})
    table = Table(
        title=f"Accuracy, trained with {config.data.backdrop.correlation:.0%} scene correlation"
    )
    table.add_column("model")
    for split in config.data.test:
        table.add_column(split, justify="right")
    for name, scores in results.items():
        table.add_row(name, *(_cell(scores[s]) for s in config.data.test))
    console.print(table)
    pictures = explain_examples(Path(output) / "full", Path(output) / "explanations")
    seconds = time.monotonic() - start
    summary = {"scores": results, "seconds": seconds, "explanations": [str(p) for p in pictures]}
    write_json(Path(output) / "summary.json", summary, indent=1)
    console.print(
        f"Explanations: {Path(output) / 'explanations' / 'index.html'}. "
        f"Took {seconds / 60:.1f} minutes."
    )
    return results


def _cell(row: dict[str, Any]) -> str:
    measure = "top1" if "top1" in row else "map"
    low, high = row[f"{measure}_interval"]
    return f"{row[measure]:.1%} ({low:.1%}–{high:.1%})"


def plain(config: Config) -> Config:
    """The baseline of a config: its backbone, average pooling and a linear layer; cross-entropy."""
    made = copy.deepcopy(config)
    made.name = "plain"
    made.model.type = "pooled"
    made.training.threads = 1
    made.objectives = type(made.objectives)()
    return made


def _train_both(configs: dict[str, Config]) -> dict[str, dict[str, Any]]:
    """Train in one process a model, side by side; what is finished is kept."""
    # Two threads help the full model when the plain one has ended; until then they must not spin.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    jobs = []
    for name, config in configs.items():
        config.name = name
        if not finished(config):
            task = {"kind": "train", "config": asdict(config)}
            jobs.append(Job(name, Path(config.output, name), task, config.training.epochs))
    for name, reason in run_jobs(jobs, workers=len(configs), title="models").items():
        raise WhyactError(f"Training '{name}' failed: {reason}")
    return {name: finished(config) for name, config in configs.items()}


def explain_examples(run: Path, folder: Path) -> list[Path]:
    """Explain the fixed clips of the swap split with a trained model; a page each, and a gallery.

    Returns:
        The pictures.
    """
    loaded = load_model(run)
    dataset = build_dataset(loaded.config.data, "swap", train=False, seed=loaded.config.seed)
    results = []
    for index in track(EXPLAINED, "Explain", transient=True):
        clip = dataset[(index, 0)]
        assert isinstance(clip, Clip)
        truth = loaded.classes[int(clip.label)]
        files = explain_to(
            folder, f"{index:03d}-{truth}", clip, loaded, source=f"{clip.id} (true: {truth})",
            truth=truth, html=True,
        )  # fmt: skip
        results.append(files)
    write_gallery(folder, results)
    return [one.picture for one in results if one.picture is not None]
