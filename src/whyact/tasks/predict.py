"""Name the action in videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from whyact.data.views import views_of
from whyact.tasks.inputs import boxes_from, clips_of, find_clips
from whyact.training.checkpoint import load_model
from whyact.training.predictions import predict_dataset
from whyact.types import WhyactError


@dataclass(frozen=True)
class Prediction:
    """What a model says of one video.

    Attributes:
        source: of the video. classes: (name, probability), most probable first.
        error: why it could not be read; None if it could.
    """

    source: str
    classes: tuple[tuple[str, float], ...] = ()
    error: str | None = None


def predict(
    checkpoint: str | Path, paths: Sequence[str], *, top_k: int = 5, boxes: str | Path = "",
    device: str = "cpu",
) -> list[Prediction]:  # fmt: skip
    """Predict as evaluation does, over all views of the run's test protocol.

    A video that cannot be read gets its error, and the others go on.

    Args:
        checkpoint: of a run. paths: files, folders, globs. top_k: classes to list.
        boxes: table of the videos' persons and objects (`whyact.data.boxes`), for a model that
            reads them; the run's ``data.boxes.table`` if empty.
        device: torch device.
    """
    if top_k < 1:
        raise WhyactError(f"Asked for the {top_k} most probable classes; ask for at least 1.")
    loaded = boxes_from(load_model(checkpoint, device), boxes)
    config = loaded.config
    clips = clips_of(config.data, find_clips(paths), loaded.classes)
    found = predict_dataset(
        loaded.model, clips, device=torch.device(device), workers=config.data.workers,
        batch_size=config.training.eval_batch_size, title="Predict",
        pooling=views_of(config.data.protocol).pooling,
    )  # fmt: skip
    results = {f.id: Prediction(f.id, error=f.reason) for f in found.failures}
    for name, chances in zip(found.ids, loaded.probabilities(found.logits), strict=True):
        best = chances.topk(min(top_k, len(loaded.classes)))
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        results[name] = Prediction(name, tuple((loaded.classes[i], p) for i, p in pairs))
    return [results[name] for name in clips.ids]
