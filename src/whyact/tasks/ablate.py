"""Train a grid of settings x seeds, in parallel, and tabulate it."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from rich.progress import track

from whyact.config import Config, DataConfig
from whyact.config_io import from_dict, load_config, merge, nearest
from whyact.data.builders import build_dataset
from whyact.data.catalog import folds
from whyact.objectives.builders import objectives_of, wants_foreground
from whyact.report.ablation_table import write_ablation
from whyact.tasks.ablation.grid import Grid, base_configs, read_grid
from whyact.tasks.ablation.jobs import Job, run_jobs
from whyact.tasks.ablation.matching import (
    Match,
    Sizes,
    count_parameters,
    match_parameters,
    resized,
    shadow_model,
)
from whyact.tasks.ablation.table import Variant, matched_name, tabulate
from whyact.tasks.ablation.worker import COSTS, LATENCY, explained, probed, scored
from whyact.tasks.train import finished
from whyact.training.record import environment
from whyact.types import WhyactError

__all__ = ["Ablation", "ablate", "base_configs"]

ROUNDS = 30
"""Of the forward passes whose time is compared."""


@dataclass(frozen=True)
class Ablation:
    """What an ablation left.

    Attributes:
        folder: of the runs and of ``table.{json,md,png}``. text: the table in Markdown.
        failed: runs without a result, by name, with the reason and the log. The table leaves them
            out; the same call tries them again.
    """

    folder: Path
    text: str
    failed: dict[str, str]


@dataclass(frozen=True)
class _Run:
    """One variant with one seed."""

    variant: str
    config: Config

    @cached_property
    def sizes(self) -> Sizes:
        """What of its data the model's size depends on."""
        data = _one_fold(self.config.data)
        dataset = build_dataset(data, data.val, train=False, seed=0)
        return Sizes(len(dataset.classes), len(dataset.scenes), data.motion.source)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(T, H, W) of its clips."""
        size = self.config.data.transform.size
        return self.config.data.clip.frames, size, size

    @property
    def folder(self) -> Path:
        return Path(self.config.output) / self.config.name


def ablate(
    config: Config | None = None, *, grid: str | Path, output: str | Path = "runs/ablation",
    quick: bool = False, workers: int = 0, only: Collection[str] = (), table_only: bool = False,
) -> Ablation:  # fmt: skip
    """Train every variant with every seed, measure it, and compare all with the reference.

    Each run is a process of its own with a folder and a log of its own; one that fails does not
    stop the others. What is done is kept: the same call does only what is missing, and an
    interrupted run goes on from its last checkpoint.

    Args:
        config: the base of all variants; the one that the grid names if None.
        grid: file, see `whyact.tasks.ablation.grid.read_grid`.
        output: folder of the runs and of the table. quick: the grid's short form.
        workers: runs at a time; 0 for one a GPU, or one where there is none. Several have one CPU
            thread and, in turn, one GPU each.
        only: variants to train now, those at matched size by their own names; the table has all
            that are done. Empty for all.

        table_only: train nothing, tabulate what is done.

    Raises:
        WhyactError: a grid, setting or variant that is wrong, or runs there that were made with
            other settings.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise WhyactError(
            "whyact ablate starts its own processes: call it once, not through torchrun or "
            "accelerate launch, and say how many with --workers."
        )
    plan = read_grid(grid, quick)
    config = config or load_config(base_configs(grid))
    runs = _plan(config, plan.variants, plan.seeds, Path(output), str(grid), workers)
    for run in runs:
        finished(run.config)  # refuses other settings than those of a run that is there
    matches = _add_matched(runs, plan.reference) if plan.matched else {}
    names = {run.variant for run in runs}
    for name in only:
        if name not in names:
            raise WhyactError(
                f"{grid} has no variant '{name}'. Did you mean '{nearest(name, sorted(names))}'?"
            )
    wanted = [
        run for run in runs
        if not table_only and (not only or run.variant in only) and not _measured(run, plan)
    ]  # fmt: skip
    _check(wanted, plan)
    devices = 0 if config.training.device == "cpu" else torch.cuda.device_count()
    workers = workers or max(1, devices)
    jobs = [_job(run, plan, workers) for run in wanted]
    failed = run_jobs(jobs, workers=workers, devices=devices)
    done = [run for run in runs if finished(run.config)]
    latency = _latency(done, Path(output), failed, devices)
    variants = _variants(runs, done, matches)
    if only or table_only:
        variants = {n: v for n, v in variants.items() if v.runs or n in only}
    alike = [
        name for name in plan.variants if (found := matches.get(matched_name(name))) and found.fits
    ]
    table = tabulate(plan, variants, latency, alike)
    table |= {"grid": str(grid), "quick": quick, "failed": failed}
    table |= environment(torch.device("cpu"), [])
    return Ablation(Path(output), write_ablation(Path(output), table), failed)


def _plan(
    config: Config, variants: Mapping[str, Mapping[str, Any]], seeds: Iterable[int], output: Path,
    grid: str, workers: int,
) -> list[_Run]:  # fmt: skip
    """Seed by seed, so that an interrupted ablation has compared all variants with one."""
    runs = []
    for seed in seeds:
        for name, settings in variants.items():
            made = from_dict(merge(asdict(config), settings), f"{grid}, variant {name}")
            made.seed, made.output, made.name = seed, str(output), f"{name}/seed_{seed}"
            if workers > 1:
                made.training.threads = 1
            objectives_of(made)
            runs.append(_Run(name, made))
    return runs


def _check(runs: Sequence[_Run], plan: Grid) -> None:
    """Say what is wrong before the first run is trained, which may take hours; make the data."""
    measured = [s for s in (plan.explain and plan.explain.split, plan.probe) if s]
    _prepare_data((run.config for run in runs), measured)
    for run in {run.variant: run for run in runs}.values():
        shadow_model(run.config.model, run.sizes)
        _check_measures(run, plan)


def _check_measures(run: _Run, plan: Grid) -> None:
    """Refuse what cannot be measured of a variant's models."""
    data, where = run.config.data, f"variant '{run.variant}'"
    if plan.probe and data.fold == -1:
        raise WhyactError(
            f"probe: {where} trains a model for every fold (data.fold -1), whose codes cannot be "
            "mixed; leave it out of the grid, or set data.fold to one of them."
        )
    if plan.explain and run.config.model.spatial_graph.type == "boxes":
        raise WhyactError(
            f"explain: {where} reads boxes (model.spatial_graph.type), which altered clips do not "
            "have; leave it out of the grid, and use whyact evaluate --explain."
        )
    if plan.explain and data.motion.source not in ("none", "difference"):
        raise WhyactError(
            f"explain: {where} reads optical flow (data.motion.source '{data.motion.source}'), "
            "which altered clips do not have; leave it out of the grid, or set it to difference."
        )


def _variants(
    runs: Sequence[_Run], done: Sequence[_Run], matches: Mapping[str, Match]
) -> dict[str, Variant]:
    """The variants of all runs, with the folders of those that are done."""
    return {
        name: Variant(
            config, matches.get(name),
            {run.config.seed: run.folder for run in done if run.variant == name},
        )
        for name, config in {run.variant: run.config for run in runs}.items()
    }  # fmt: skip


def _prepare_data(configs: Iterable[Config], measured: Sequence[str]) -> None:
    """Make what the data sets keep on disk once, before several processes would all make it.

    Args:
        configs: of the runs. measured: splits that are explained or probed afterwards; one that a
            set does not have is better found now than after its training.
    """
    seen: set[str] = set()
    for config in configs:
        data = _one_fold(config.data)
        wanted = wants_foreground(config)
        key = json.dumps([asdict(data), wanted])
        if key in seen:
            continue
        seen.add(key)
        trained = (data.train, data.val, *data.test) if data.type == "backdrop" else ()
        for split in dict.fromkeys([*trained, *measured]):
            build_dataset(
                data, split, train=False, seed=0, foreground=wanted and split == data.train
            )


def _one_fold(data: DataConfig) -> DataConfig:
    """The first fold where all are asked for; they have the same classes."""
    return replace(data, fold=max(0, data.fold))


def _add_matched(runs: list[_Run], reference: str) -> dict[str, Match]:
    """Append all runs but the reference's at its number of parameters; how each variant got it."""
    base = next(run for run in runs if run.variant == reference)
    target = count_parameters(base.config.model, base.sizes)
    matches: dict[str, Match] = {}
    for run in track([*runs], "Matching sizes", transient=True):
        if run.variant == reference:
            continue
        name = matched_name(run.variant)
        if name not in matches:
            matches[name] = match_parameters(run.config, run.sizes, target)
        if matches[name].fits:
            continue
        config = resized(run.config, matches[name].setting, matches[name].after)
        config.name = f"{name}/seed_{config.seed}"
        finished(config)
        runs.append(_Run(name, config))
    return matches


def _explain(run: _Run, plan: Grid) -> dict[str, Any] | None:
    """Arguments of `explain_run`; the reference's runs also measure the controls."""
    if plan.explain is None:
        return None
    return asdict(plan.explain) | {"controls": run.variant == plan.reference}


def _measured(run: _Run, plan: Grid) -> bool:
    """Whether nothing of a run is missing."""
    explain = _explain(run, plan)
    return (
        bool(finished(run.config))
        and (run.folder / COSTS).is_file()
        and scored(run.folder, run.config.data.test)
        and (explain is None or bool(explained(run.folder, explain)))
        and (not plan.probe or probed(run.folder, plan.probe))
    )


def _job(run: _Run, plan: Grid, workers: int) -> Job:
    task = {
        "kind": "run", "config": asdict(run.config), "sizes": asdict(run.sizes),
        "explain": _explain(run, plan), "probe": plan.probe, "workers": workers,
    }  # fmt: skip
    count = folds(run.config.data) if run.config.data.fold == -1 else 1
    return Job(run.config.name, run.folder, task, run.config.training.epochs * count)


def _latency(
    runs: Sequence[_Run], output: Path, failed: dict[str, str], devices: int
) -> dict[str, list[float]] | None:
    """Seconds of a forward pass of every variant, measured in turn when nothing else runs."""
    models = {
        run.variant: {
            "model": asdict(run.config.model), "sizes": asdict(run.sizes), "shape": [*run.shape]
        }
        for run in runs
    }  # fmt: skip
    if not models:
        return None
    file = output / LATENCY
    record = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if record.get("models") != models:
        task = {
            "kind": "latency", "models": models, "rounds": ROUNDS,
            "device": "auto" if devices else "cpu", "output": str(file),
        }  # fmt: skip
        error = run_jobs([Job("latency", output / "latency", task)], title="latency")
        failed.update(error)
        if error:
            return None
        record = json.loads(file.read_text(encoding="utf-8"))
    seconds: dict[str, list[float]] = record["seconds"]
    return seconds
