"""Evaluate a model that can be asked under every protocol, with the leak of each beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from whyact.config import Config
from whyact.data.protocol import ClipDataset
from whyact.data.views import views_of
from whyact.metrics.recognition import recognition_scores
from whyact.models.asking import PROTOCOLS, asked_logits
from whyact.tasks.evaluation_record import write_record
from whyact.training.checkpoint import LoadedModel
from whyact.training.predictions import predict_dataset


def evaluate_asked(
    folder: Path, *, split: str, config: Config, loaded: LoadedModel, dataset: ClipDataset,
    device: torch.device,
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """Write the record of every protocol to ``<folder>/asked/<protocol>``.

    Each record names its protocol, says whether its wishes were read from the labels, and holds
    the leak: the scores of the same model under the same wishes when it never sees the video.

    Args:
        folder: of the split's evaluation. The others: as of `write_record`.

    Returns:
        By protocol its scores and its ``leak``.
    """
    found = predict_dataset(
        loaded.model, dataset, device=device, workers=config.data.workers,
        batch_size=loaded.config.training.eval_batch_size, title=f"Ask {split}",
        pooling=views_of(config.data.protocol).pooling,
        score=lambda batch: asked_logits(loaded.model, batch).flatten(1, 2),
    )  # fmt: skip
    results = {}
    for number, protocol in enumerate(PROTOCOLS):
        blind = found.logits[:, len(PROTOCOLS) + number]
        leak = recognition_scores(blind, found.labels)
        asked = {**vars(protocol), "leak": leak}
        scores = write_record(
            folder / "asked" / protocol.name, split=split, config=config, loaded=loaded,
            dataset=dataset, found=replace(found, logits=found.logits[:, number]), device=device,
            asked=asked,
        )  # fmt: skip
        results[protocol.name] = {**scores, "leak": leak}
    return results
