"""Evaluate a checkpoint on the splits of its data set, with a record of every clip."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from whyact.config import Config
from whyact.data.builders import build_dataset
from whyact.data.protocol import ClipDataset, label_map_hash
from whyact.data.video import decoder_version
from whyact.metrics.background import background_robustness
from whyact.metrics.recognition import confusion_matrix, recognition_scores
from whyact.training.checkpoint import LoadedModel, check_label_map, load_model
from whyact.training.predictions import Predictions, predict_dataset
from whyact.training.record import environment
from whyact.types import Failure, WhyactError


def evaluate(
    checkpoint: str | Path,
    *,
    splits: Sequence[str] = (),
    data: Config | None = None,
    output: str | Path = "",
    device: str = "cpu",
) -> dict[str, dict[str, Any]]:
    """Score a checkpoint and write ``<output>/<split>/{scores.json,clips.parquet}``.

    Where the splits tell of the background (``iid`` and ``swap``, ``scuba``, ``scufo``), what they
    tell goes to ``<output>/background.json`` (`whyact.metrics.background`).

    Args:
        checkpoint: of a run (its best) or a checkpoint's folder.
        splits: names; ``data.test`` of the config if empty.
        data: a config whose ``data`` part replaces the checkpoint's (other paths or protocols).
        output: folder; ``evaluation`` in the run's folder if empty.
        device: torch device.

    Returns:
        Scores by split: those of `recognition_scores`, and ``expected``, ``failed`` clips.

    Raises:
        WhyactError: no such checkpoint or split, or other classes than it was trained with.
    """
    loaded = load_model(checkpoint, device)
    config = (data or loaded.config).data
    folder = Path(output) if output else run_folder(loaded.folder) / "evaluation"
    results = {}
    hits: dict[str, torch.Tensor] = {}
    for split in splits or config.test:
        dataset = build_dataset(config, split, train=False, seed=loaded.config.seed)
        check_label_map(loaded.folder, loaded.classes, dataset.classes)
        found = predict_dataset(
            loaded.model, dataset, device=torch.device(device),
            batch_size=min(32, loaded.config.training.batch_size), workers=config.workers,
            title=f"Evaluate {split}",
        )  # fmt: skip
        results[split] = _write(folder / split, loaded, dataset, found)
        if found.labels.ndim == 1:
            hits[split] = found.logits.argmax(1) == found.labels
    background = background_robustness(hits)
    if background:
        values = {name: asdict(summary) for name, summary in background.items()}
        (folder / "background.json").write_text(json.dumps(values, indent=1))
    return results


def run_folder(checkpoint: Path) -> Path:
    """The folder of the run that a checkpoint belongs to; its own where it is of none."""
    return checkpoint.parent.parent if checkpoint.parent.name == "checkpoints" else checkpoint


def _write(
    folder: Path, loaded: LoadedModel, dataset: ClipDataset, found: Predictions
) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    scores = recognition_scores(found.logits, found.labels)
    scores |= {"expected": found.expected, "failed": len(found.failures)}
    record = {
        "scores": scores,
        "failures": {f.id: f.reason for f in found.failures},
        "views": dataset.views,
        "checkpoint": str(loaded.folder),
        "label_map": label_map_hash(dataset.classes),
        "data": dataset.fingerprint,
        "decoder": decoder_version(),
        "classes": list(dataset.classes),
        **environment(torch.device("cpu"), []),
    }
    if found.labels.ndim == 1:
        record["confusion"] = confusion_matrix(found.logits, found.labels).tolist()
    (folder / "scores.json").write_text(json.dumps(record, indent=1, ensure_ascii=False))
    clips = pa.table(
        {
            "id": list(found.ids),
            "index": found.index.tolist(),
            "label": found.labels.tolist(),
            "logits": found.logits.tolist(),
        }
    )
    pq.write_table(clips, folder / "clips.parquet")
    return scores


def read_predictions(folder: Path) -> Predictions:
    """The per-clip scores that `evaluate` wrote to a split's folder."""
    file = folder / "clips.parquet"
    if not file.is_file():
        raise WhyactError(f"{file}: no per-clip scores here; run whyact evaluate first.")
    table = pq.read_table(file).to_pydict()
    record = json.loads((folder / "scores.json").read_text())
    return Predictions(
        ids=tuple(table["id"]),
        index=torch.tensor(table["index"]),
        logits=torch.tensor(table["logits"]),
        labels=torch.tensor(table["label"]),
        expected=record["scores"]["expected"],
        failures=tuple(Failure(k, v) for k, v in record["failures"].items()),
    )
