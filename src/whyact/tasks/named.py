"""Measure explanations of named actions: on the right actor, moved by the name, absent ones low."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.progress import track
from torch import Tensor

from whyact.config import Config
from whyact.data.backdrop.arrays import BackdropDataset
from whyact.data.builders import build_dataset
from whyact.explainers.native import cell_evidence, upsample
from whyact.metrics.intervals import summarise
from whyact.metrics.named_action import (
    actor_energy,
    best_threshold,
    right_actor,
    right_actor_chance,
    swap_moves,
)
from whyact.models.recognizer import VideoModel
from whyact.tasks.evaluate import run_folder
from whyact.training.checkpoint import LoadedModel, check_label_map, load_model
from whyact.training.record import environment
from whyact.types import WhyactError


@torch.no_grad()
def measure_named(
    checkpoint: str | Path, *, split: str = "multi", clips: int = 200, data: Config | None = None,
    output: str | Path = "", device: str = "cpu",
) -> dict[str, Any]:  # fmt: skip
    """Name every action of each clip in turn; write ``named.json``.

    For every clip, over its actors: the energy on the right one over the energy on all (beside the
    same of a constant map and of the map without a name), the share of pairs of actors between
    which the map moves with the name, and the share of absent actions whose score, each asked by
    itself, is below the threshold that parts best on ``data.val``.

    Args:
        checkpoint: of a run. split: of Backdrop's multi kind. clips: how many, the first ones.
        data: a config whose ``data`` part replaces the checkpoint's.
        output: folder; ``named/<split>`` in the run's folder if empty. device: torch device.

    Returns:
        The record; ``scores`` has a summary of each measure, ``values`` those of every clip.

    Raises:
        WhyactError: a split without a mask for each actor, or the split that is selected on.
    """
    loaded = load_model(checkpoint, device)
    config = data or loaded.config
    if split == config.data.val:
        raise WhyactError(f"data.val '{split}' gives the threshold; measure on another split.")
    dataset = _several(loaded, config, split)
    threshold = _threshold(loaded, _several(loaded, config, config.data.val), clips)
    values: dict[str, list[Tensor]] = {}
    for index in track(range(min(clips, len(dataset))), "Named actions", transient=True):
        for name, value in _clip(loaded.model, dataset, index, threshold, device).items():
            values.setdefault(name, []).append(value)
    record = {
        "split": split, "threshold": threshold, "threshold_from": config.data.val,
        "checkpoint": str(loaded.folder), "seed": loaded.config.seed,
        "fingerprint": dataset.fingerprint,
        "scores": {k: asdict(summarise(torch.stack(v))) for k, v in values.items()},
        "values": {k: [None if x.isnan() else float(x) for x in v] for k, v in values.items()},
        **environment(torch.device(device), []),
    }  # fmt: skip
    folder = Path(output) if output else run_folder(loaded.folder) / "named" / split
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "named.json").write_text(json.dumps(record, allow_nan=False), encoding="utf-8")
    return record


def _several(loaded: LoadedModel, config: Config, split: str) -> BackdropDataset:
    dataset = build_dataset(config.data, split, train=False, seed=loaded.config.seed)
    if not isinstance(dataset, BackdropDataset) or not dataset.several:
        raise WhyactError(
            f"Split '{split}' has no mask for each of several actors; take multi, and multi_val "
            "for data.val."
        )
    check_label_map(loaded.folder, loaded.classes, dataset.classes)
    return dataset


def _threshold(loaded: LoadedModel, dataset: BackdropDataset, clips: int) -> float:
    device = next(loaded.model.parameters()).device
    scores, labels = [], []
    for index in track(range(min(clips, len(dataset))), "Threshold", transient=True):
        clip = dataset[(index, 0)]
        video = clip.video[None].float().to(device) / 255
        scores.append(_alone(loaded.model, video).cpu())
        labels.append(torch.as_tensor(clip.label))
    return best_threshold(torch.stack(scores), torch.stack(labels))


def _alone(model: VideoModel, video: Tensor) -> Tensor:
    """(Y,), the score of every class asked by itself, of one clip (1, 3, T, H, W)."""
    tokens, grid = model.encode(video)
    classes = model.decode(tokens, grid).logits.shape[1]
    return model.score_wishes(tokens, grid, torch.eye(classes).to(video)).logits[0]


def _clip(
    model: VideoModel, dataset: BackdropDataset, index: int, threshold: float, device: str
) -> dict[str, Tensor]:
    clip = dataset[(index, 0)]
    video = clip.video[None].float().to(device) / 255
    actions = [a["action"] for a in dataset.factors[index]["actors"]]
    masks = dataset.actor_masks(index)
    wishes = torch.eye(len(dataset.classes))[actions].to(device)
    targets = torch.tensor(actions, device=device)

    def heat(ask: Callable[[Tensor], Tensor | None]) -> Tensor:
        clips = video.expand(len(actions), -1, -1, -1, -1)
        output = model(clips, ask(wishes))
        return upsample(cell_evidence(output, targets), video.shape[2:]).cpu()

    shares = actor_energy(heat(lambda wish: wish), masks)
    plain = actor_energy(heat(lambda wish: None), masks)
    absent = torch.as_tensor(clip.label) == 0
    scores = _alone(model, video).cpu()
    return {
        "right_actor": right_actor(shares),
        "right_actor_without_a_name": right_actor(plain),
        "right_actor_chance": right_actor_chance(masks),
        "swap_moves": swap_moves(shares),
        "swap_moves_without_a_name": swap_moves(plain),
        "absent_below": (scores[absent] < threshold).double().mean(),
        "present_above": (scores[~absent] >= threshold).double().mean(),
    }
