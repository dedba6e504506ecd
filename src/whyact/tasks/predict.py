"""Name the action in videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from whyact.tasks.inputs import find_clips, read_test_clip
from whyact.training.checkpoint import load_model
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


@torch.no_grad()
def predict(
    checkpoint: str | Path, paths: Sequence[str], *, top_k: int = 5, device: str = "cpu"
) -> list[Prediction]:
    """Predict; a video that cannot be read gets its error, and the others go on.

    Args:
        checkpoint: of a run. paths: files, folders, globs. top_k: classes to list.
        device: torch device.
    """
    if top_k < 1:
        raise WhyactError(f"Asked for the {top_k} most probable classes; ask for at least 1.")
    loaded = load_model(checkpoint, device)
    results = []
    for path in find_clips(paths):
        try:
            video, _ = read_test_clip(loaded.config.data, path)
        except WhyactError as error:
            results.append(Prediction(str(path), error=str(error)))
            continue
        chances = loaded.model(video[None].to(device).float() / 255).logits[0].softmax(0).cpu()
        best = chances.topk(min(top_k, len(loaded.classes)))
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        results.append(Prediction(str(path), tuple((loaded.classes[i], p) for i, p in pairs)))
    return results
