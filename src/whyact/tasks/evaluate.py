"""Evaluate a checkpoint on the splits of its data set, or of another one."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from whyact.config import Config
from whyact.data.builders import build_dataset
from whyact.data.catalog import folds
from whyact.data.class_map import MappedDataset, read_class_map
from whyact.data.protocol import ClipDataset
from whyact.data.views import views_of
from whyact.metrics.background import background_robustness
from whyact.tasks.asked import evaluate_asked
from whyact.tasks.evaluation_record import write_record
from whyact.tasks.folds import fold_runs, summarise
from whyact.training.checkpoint import (
    LoadedModel,
    check_label_map,
    find_checkpoint,
    load_model,
    read_metadata,
)
from whyact.training.predictions import Predictions, predict_dataset
from whyact.training.record import write_json
from whyact.types import Batch, WhyactError


def evaluate(
    checkpoint: str | Path,
    *,
    splits: Sequence[str] = (),
    data: Config | None = None,
    output: str | Path = "",
    class_map: str | Path = "",
    device: str = "cpu",
) -> dict[str, dict[str, Any]]:
    """Score a checkpoint and write a record of each split.

    A split's folder gets ``scores.json`` (the record), ``clips.parquet`` (labels and logits of
    every clip) and ``confusion.png``; a split without labels gets a submission file instead. A
    model that can be asked for actions is also scored under every protocol of asking
    (`whyact.tasks.asked`), in ``asked/<protocol>``.

    Where the splits tell of the background (``iid`` and ``swap``, ``scuba``, ``scufo``), what they
    tell goes to ``<output>/background.json`` (`whyact.metrics.background`).

    Args:
        checkpoint: of a run (its best) or a checkpoint's folder; or a run of all folds, each of
            which is evaluated with its own model and summed up as `train` does.
        splits: names; ``data.test`` of the config if empty.
        data: a config whose ``data`` part replaces the checkpoint's (other paths or protocols).
        output: folder; ``evaluation`` in the run's folder if empty.
        class_map: table of `read_class_map`, to evaluate on a set with other classes: its clips of
            mapped classes are scored among the model's mapped classes.
        device: torch device.

    Returns:
        Scores by split: those of `recognition_scores`, and ``expected``, ``decoded``, ``failed``
        clips; ``modules`` holds what the head makes of each module's own result (without
        intervals), ``asked`` the scores by protocol, where there are any.

    Raises:
        WhyactError: no such checkpoint or split, other classes than it was trained with, or a fold
            without a model.
    """
    if runs := fold_runs(checkpoint):
        return _evaluate_folds(
            runs, splits=splits, data=data, output=output, class_map=class_map, device=device
        )
    loaded = load_model(checkpoint, device)
    config = replace(loaded.config, data=(data or loaded.config).data)
    folder = Path(output) if output else run_folder(loaded.folder) / "evaluation"
    results, hits = {}, {}
    for split in splits or config.data.test:
        results[split], found = _score(loaded, config, split, folder / split, class_map, device)
        if found.labels.ndim == 1:
            # Clips of two versions of a split belong together by their place.
            hits[split] = found.hits
    background = background_robustness(hits)
    if background:
        values = {name: asdict(summary) for name, summary in background.items()}
        write_json(folder / "background.json", values, indent=1)
    return results


def _score(
    loaded: LoadedModel, config: Config, split: str, folder: Path, class_map: str | Path,
    device: str,
) -> tuple[dict[str, Any], Predictions]:  # fmt: skip
    """Score one split and write its record."""
    place = torch.device(device)
    source = build_dataset(config.data, split, train=False, seed=loaded.config.seed)
    dataset, mapped = _mapped(source, loaded, class_map)
    modules: list[str] = []

    def score(batch: Batch) -> Tensor:
        output = loaded.model(batch.streams, **batch.given)
        modules[:] = output.module_logits
        return torch.stack([output.logits, *output.module_logits.values()], 1)

    found = predict_dataset(
        loaded.model, dataset, device=place, batch_size=loaded.config.training.eval_batch_size,
        workers=config.data.workers, pooling=views_of(config.data.protocol).pooling,
        title=f"Evaluate {split}", score=score,
    )  # fmt: skip
    if isinstance(dataset, MappedDataset) and found.ids:
        found = replace(found, logits=found.logits[..., dataset.columns])
    own, *parts = found.logits.unbind(1) if found.ids else [found.logits]
    found = replace(found, logits=own)
    scores = write_record(
        folder, split=split, config=config, loaded=loaded, dataset=dataset, found=found,
        device=place, class_map=mapped, modules=dict(zip(modules, parts, strict=False)),
    )  # fmt: skip
    labelled = found.labels.ndim == 2 or not bool((found.labels < 0).any())
    if loaded.model.can_be_asked and mapped is None and found.ids and labelled:
        scores["asked"] = evaluate_asked(
            folder, split=split, config=config, loaded=loaded, dataset=dataset, device=place
        )
    return scores, found


def _evaluate_folds(
    runs: Sequence[Path], *, splits: Sequence[str], data: Config | None, output: str | Path,
    class_map: str | Path, device: str,
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """Evaluate every fold's own model on its own part, and sum up each split."""
    rows: list[dict[str, dict[str, Any]]] = []
    places: list[Path] = []
    trained, _, _ = read_metadata(find_checkpoint(runs[0]))
    numbers = {int(run.name.removeprefix("fold_")) for run in runs}
    if missing := sorted(set(range(folds((data or trained).data))) - numbers):
        raise WhyactError(
            f"{runs[0].parent} has no model of fold {', '.join(map(str, missing))}: train the rest "
            f"with --resume, or evaluate the folds that are there one by one, as {runs[0]}."
        )
    for fold, run in enumerate(runs):
        one = copy.deepcopy(data)
        if one is not None:
            one.data.fold = fold
        places.append(Path(output) / run.name if output else run / "evaluation")
        rows.append(
            evaluate(run, splits=splits, data=one, output=places[-1], class_map=class_map,
                     device=device)
        )  # fmt: skip
    found: dict[str, dict[str, Any]] = {}
    for split in rows[0]:
        made = summarise([row[split] for row in rows], [place / split for place in places])
        prefix = f"{split} " if len(rows[0]) > 1 else ""
        found |= {prefix + name: scores for name, scores in made.items()}
    return found


def run_folder(checkpoint: Path) -> Path:
    """The folder of the run that a checkpoint belongs to; its own where it is of none."""
    return checkpoint.parent.parent if checkpoint.parent.name == "checkpoints" else checkpoint


def _mapped(
    source: ClipDataset, loaded: LoadedModel, table: str | Path
) -> tuple[ClipDataset, dict[str, Any] | None]:
    """The clips under the model's classes, and what the record says of the map."""
    if not table:
        check_label_map(loaded.folder, loaded.classes, source.classes)
        return source, None
    pairs = read_class_map(table)
    dataset = MappedDataset(source, table=pairs, model_classes=loaded.classes)
    return dataset, {
        "file": str(table),
        "mapped": dataset.mapped,
        "classes_of_data": len(source.classes),
        "classes_of_model": len(loaded.classes),
        "scored_classes": len(dataset.classes),
        "clips_left_out": dataset.left_out,
        "pairs": pairs,
    }
