"""All folds of a cross-validated set as one result."""

from __future__ import annotations

import copy
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

from whyact.config import Config
from whyact.config_io import to_yaml
from whyact.data.catalog import folds
from whyact.metrics.recognition import MEASURES, recognition_scores
from whyact.tasks.evaluation_record import read_predictions
from whyact.training.record import write_json
from whyact.types import WhyactError

Scores = dict[str, dict[str, Any]]


def train_folds(config: Config, train_one: Callable[[Config], Scores]) -> tuple[Path, Scores]:
    """Train every fold, or official split, and sum them up.

    Args:
        config: with ``data.fold`` -1. train_one: trains a fold's config and gives its scores.

    Returns:
        The run's folder, and scores: ``mean`` with every measure's mean and standard deviation
        over the folds, ``pooled`` over all held-out clips where no clip is in two folds (official
        splits overlap), and each ``fold``.

    Raises:
        WhyactError: the set has a single split.
    """
    if not config.data.test:
        raise WhyactError("data.test is empty; name the split that the folds are scored on.")
    folder, split = Path(config.output) / config.name, config.data.test[0]
    count = folds(config.data)
    if count == 1:
        raise WhyactError(
            f"data.fold is -1, but data.type '{config.data.type}' has no folds; set it to 0, or "
            "data.folding to group or random."
        )
    rows = [train_one(one)[split] for one in fold_configs(config)]
    places = [folder / f"fold_{fold}" / "evaluation" / split for fold in range(count)]
    result = summarise(rows, places)
    if PartialState().is_main_process:
        (folder / "config.yaml").write_text(to_yaml(config), encoding="utf-8")
        write_json(folder / "result.json", result, indent=1)
    return folder, result


def fold_configs(config: Config) -> Iterator[Config]:
    """The config of each fold's run."""
    for fold in range(folds(config.data)):
        one = copy.deepcopy(config)
        one.data.fold = fold
        one.name = f"{config.name}/fold_{fold}"
        yield one


def fold_runs(run: str | Path) -> list[Path]:
    """The runs of all folds below a run's folder, in their order; empty for a single run."""
    found = [
        p for p in Path(run).glob("fold_*")
        if p.name.removeprefix("fold_").isdecimal() and (p / "checkpoints").is_dir()
    ]  # fmt: skip
    return sorted(found, key=lambda p: int(p.name.removeprefix("fold_")))


def summarise(rows: Sequence[dict[str, Any]], places: Sequence[Path]) -> Scores:
    """Scores of all folds as `train_folds` gives them.

    Args:
        rows: scores of each fold. places: folders of their evaluations.
    """
    mean = _mean(rows)
    each = {f"fold {k}": row for k, row in enumerate(rows)}
    return {"mean": mean, **_pooled(places, mean), **each}


def _mean(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation of every measure; sums of the counts."""
    made: dict[str, Any] = {"folds": len(rows)}
    for name in ("clips", "expected", "decoded", "failed"):
        made[name] = sum(row[name] for row in rows)
    for name in MEASURES:
        values = [row[name] for row in rows if row.get(name) is not None]
        if len(values) == len(rows):
            made[name] = statistics.mean(values)
            # A run whose other folds are still to come has no deviation yet.
            made[f"{name}_std"] = statistics.stdev(values) if len(values) > 1 else None
    return made


def _pooled(places: Sequence[Path], mean: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Scores over the held-out clips of all folds together, where every clip is held out once."""
    parts = [read_predictions(place) for place in places]
    ids = [name for part in parts for name in part.ids]
    if len(set(ids)) < len(ids):
        return {}
    logits, labels = torch.cat([p.logits for p in parts]), torch.cat([p.labels for p in parts])
    scores = recognition_scores(logits, labels)
    scores["expected"] = sum(p.expected for p in parts)
    scores["decoded"] = len(ids)
    scores["failed"] = scores["expected"] - len(ids)
    scores["mean_over_folds"] = mean.get("top1", mean.get("map"))
    return {"pooled": scores}
