"""The record of an evaluation: one JSON file, and the scores of every clip beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from whyact.config import Config
from whyact.data.protocol import ClipDataset, label_map_hash
from whyact.data.references import references
from whyact.data.submissions import SCRIPTED, write_submission
from whyact.data.video import decoder_version
from whyact.data.views import views_of
from whyact.metrics.recognition import confusion_matrix, per_class_scores, recognition_scores
from whyact.models.foreign import file_hash
from whyact.report.confusion import draw_confusion
from whyact.training.checkpoint import LoadedModel
from whyact.training.predictions import Predictions
from whyact.training.record import environment, write_json
from whyact.types import Failure, WhyactError

SCHEMA = "1.0"


def write_record(
    folder: Path, *, split: str, config: Config, loaded: LoadedModel, dataset: ClipDataset,
    found: Predictions, device: torch.device, class_map: Mapping[str, Any] | None = None,
    asked: Mapping[str, Any] | None = None, modules: Mapping[str, Tensor] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Write ``scores.json``, ``clips.parquet``, ``confusion.png``, and a submission file.

    The matrix is for single labels; the file for lists without labels, and for sets whose own
    script reads it (`whyact.data.submissions`).

    Args:
        folder: of this evaluation. split: its name. config: resolved, of the evaluation.
        loaded: the model. dataset: that was read. found: what the model said of it.
        device: of the model. class_map: what `MappedDataset` mapped, for another set's classes.
        asked: protocol of the wishes and its leak (`whyact.tasks.asked`); None for no wishes.
        modules: logits after each module, shaped like those of ``found``.

    Returns:
        The scores, with ``expected``, ``decoded`` and ``failed`` clips.
    """
    folder.mkdir(parents=True, exist_ok=True)
    labelled = found.labels.ndim == 2 or not bool((found.labels < 0).any())
    counts = {
        "expected": found.expected, "decoded": len(found.ids), "failed": len(found.failures)
    }  # fmt: skip
    scores: dict[str, Any] = (
        recognition_scores(found.logits, found.labels) if labelled else {"clips": 0}
    )
    if labelled and modules:
        scores["modules"] = {
            name: recognition_scores(logits, found.labels, intervals=False)
            for name, logits in modules.items()
        }
    record: dict[str, Any] = {"schema": SCHEMA, "scores": scores | counts}
    record |= _provenance(split, config, loaded, dataset, device)
    record["failures"] = {f.id: f.reason for f in found.failures}
    record["class_map"] = dict(class_map) if class_map else None
    record["asked"] = dict(asked) if asked else None
    if labelled and found.ids:
        record["per_class"] = per_class_scores(found.logits, found.labels, dataset.classes)
        if found.labels.ndim == 1:
            matrix = confusion_matrix(found.logits, found.labels)
            record["confusion"] = matrix.tolist()
            draw_confusion(folder / "confusion.png", matrix, dataset.classes)
    if found.ids and (not labelled or config.data.type in SCRIPTED):
        file = write_submission(
            folder, config.data.type, ids=found.ids, logits=found.logits, classes=dataset.classes,
            groups=[dataset.groups[i] for i in found.index.tolist()],
        )  # fmt: skip
        record["submission"] = file.name
    write_json(folder / "scores.json", record, indent=1)
    _write_clips(folder / "clips.parquet", found)
    return dict(record["scores"])


def _provenance(
    split: str, config: Config, loaded: LoadedModel, dataset: ClipDataset, device: torch.device
) -> dict[str, Any]:
    """Everything that the scores depend on."""
    data = config.data
    return {
        "set": {
            "type": data.type, "split": split, "folding": data.folding, "fold": data.fold,
            "fingerprint": dataset.fingerprint,
        },
        "protocol": {"name": data.protocol, **asdict(views_of(data.protocol))},
        "views": dataset.views,
        "references": [asdict(r) for r in references(data.type, split)],
        "decoder": decoder_version(),
        "label_map": label_map_hash(dataset.classes),
        "classes": list(dataset.classes),
        "checkpoint": str(loaded.folder),
        "checkpoint_sha256": file_hash(loaded.folder / "model.safetensors"),
        "seed": loaded.config.seed,
        "config": asdict(config),
        **environment(device, []),
    }  # fmt: skip


def _write_clips(file: Path, found: Predictions) -> None:
    table = {
        "id": list(found.ids),
        "index": found.index.tolist(),
        "label": found.labels.tolist(),
        "logits": found.logits.tolist(),
    }
    pq.write_table(pa.table(table), file)


def read_record(folder: Path) -> dict[str, Any]:
    """The JSON of an evaluation, given its folder or the file itself."""
    file = folder if folder.name == "scores.json" else folder / "scores.json"
    if not file.is_file():
        inside = sorted(p.parent.name for p in folder.glob("*/scores.json"))
        hint = f" Evaluations inside it: {', '.join(inside)}." if inside else ""
        raise WhyactError(
            f"{folder}: no evaluation here; give the folder of a split, such as "
            f"runs/<name>/evaluation/test.{hint}"
        )
    record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return record


def read_predictions(folder: Path) -> Predictions:
    """The per-clip scores that an evaluation wrote to its folder."""
    file = folder / "clips.parquet"
    if not file.is_file():
        raise WhyactError(f"{file}: no per-clip scores here; run whyact evaluate first.")
    table = pq.read_table(file).to_pydict()
    record = read_record(folder)
    several = bool(table["label"]) and isinstance(table["label"][0], list)
    return Predictions(
        ids=tuple(table["id"]),
        index=torch.tensor(table["index"], dtype=torch.int64),
        logits=torch.tensor(table["logits"]).reshape(len(table["id"]), len(record["classes"])),
        labels=torch.tensor(table["label"], dtype=torch.float32 if several else torch.int64),
        expected=record["scores"]["expected"],
        failures=tuple(Failure(k, v) for k, v in record["failures"].items()),
    )
