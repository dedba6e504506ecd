"""Measure explanations of named actions: on the right actor, moved by the name, absent ones low."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from rich.progress import track
from torch import Tensor

from whyact.config import Config
from whyact.data.backdrop.arrays import BackdropDataset
from whyact.data.builders import build_dataset, middle_view
from whyact.data.joined import JoinedDataset
from whyact.data.loader import chosen, none_read
from whyact.explainers.native import follow
from whyact.metrics.named_action import (
    actor_energy,
    best_threshold,
    right_actor,
    right_actor_chance,
    swap_moves,
)
from whyact.metrics.summary import summarise
from whyact.models.interventions import with_boxes
from whyact.tasks.evaluate import run_folder
from whyact.training.checkpoint import LoadedModel, check_label_map, load_model
from whyact.training.record import environment, write_json
from whyact.types import Clip, WhyactError


@torch.no_grad()
def measure_named(
    checkpoint: str | Path, *, split: str = "multi", clips: int = 200, data: Config | None = None,
    output: str | Path = "", device: str = "cpu",
) -> dict[str, Any]:  # fmt: skip
    """Name every action of each clip in turn; write ``named.json``.

    For every clip, over its actors: the energy on the right one over the energy on all (beside the
    same of a constant map and of the map without a name), the share of pairs of actors between
    which the map moves with the name, and the share of absent actions whose score, each asked by
    itself, is below the threshold that parts best on ``data.val``. In clips that are joined
    (``data.join``) each part is an actor. A model that was not built to be asked is not: the map
    for a name is its explanation of that class, and the score the class' logit.

    Args:
        checkpoint: of a run. split: Backdrop's multi or untrimmed, or one with ``data.join``.
        clips: how many, drawn from all; all if 0.
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
    threshold = _threshold(loaded, config, clips)
    values: dict[str, list[Tensor]] = {}
    failed = []
    for index in track(chosen(len(dataset), clips), "Named actions", transient=True):
        clip = dataset[(index, 0)]
        if not isinstance(clip, Clip):
            failed.append(clip.id)
            continue
        one, tokens, grid = _read(loaded, clip)
        actions, masks = dataset.labels[index], dataset.actor_masks(index)
        assert isinstance(actions, tuple)
        for name, value in named_values(one, tokens, grid, actions, masks, threshold).items():
            values.setdefault(name, []).append(value)
    if not values:
        raise none_read(split)
    record = {
        "split": split, "failed": failed, "threshold": threshold, "threshold_from": config.data.val,
        "checkpoint": str(loaded.folder), "seed": loaded.config.seed,
        "fingerprint": dataset.fingerprint,
        "scores": {k: asdict(summarise(torch.stack(v))) for k, v in values.items()},
        "values": {k: [None if x.isnan() else float(x) for x in v] for k, v in values.items()},
        **environment(torch.device(device), []),
    }  # fmt: skip
    folder = Path(output) if output else run_folder(loaded.folder) / "named" / split
    write_json(folder / "named.json", record)
    return record


def _several(loaded: LoadedModel, config: Config, split: str) -> BackdropDataset | JoinedDataset:
    data = middle_view(config.data)
    dataset = build_dataset(data, split, train=False, seed=loaded.config.seed)
    if not isinstance(dataset, JoinedDataset) and not (
        isinstance(dataset, BackdropDataset) and dataset.several
    ):
        raise WhyactError(
            f"Split '{split}' has no mask for each of several actors; take Backdrop's multi or "
            "untrimmed, with multi_val or untrimmed_val for data.val, or joined clips (data.join)."
        )
    check_label_map(loaded.folder, loaded.classes, dataset.classes)
    return dataset


def _threshold(loaded: LoadedModel, config: Config, clips: int) -> float:
    dataset = _several(loaded, config, config.data.val)
    scores, labels = [], []
    for index in track(chosen(len(dataset), clips), "Threshold", transient=True):
        clip = dataset[(index, 0)]
        if isinstance(clip, Clip):
            scores.append(named_scores(*_read(loaded, clip)).cpu())
            labels.append(torch.as_tensor(clip.label))
    if not scores:
        raise none_read(config.data.val)
    return best_threshold(torch.stack(scores), torch.stack(labels))


def _read(loaded: LoadedModel, clip: Clip) -> tuple[LoadedModel, Tensor, tuple[int, int]]:
    """The model with the clip's boxes, and the clip's tokens on their grid."""
    device = next(loaded.model.parameters()).device
    tokens, grid = loaded.model.encode(clip.video[None].float().to(device) / 255)
    return replace(loaded, model=with_boxes(loaded.model, clip.boxes)), tokens, grid


def named_scores(loaded: LoadedModel, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """(Y,), the score of every class asked by itself.

    Of a model that cannot be asked its logits, less their mean where classes exclude each other,
    which the softmax does not see.

    Args:
        loaded: model. tokens, grid: of one clip, (1, T', N, D), as of `VideoModel.encode`.
    """
    if loaded.model.can_be_asked:
        each = torch.eye(len(loaded.classes)).to(tokens)
        return loaded.model.score_wishes(tokens, grid, each).logits[0]
    logits = loaded.model.decode(tokens, grid).logits[0]
    return logits if loaded.multi_label else logits - logits.mean()


def named_values(
    loaded: LoadedModel, tokens: Tensor, grid: tuple[int, int], actions: Sequence[int],
    masks: Tensor, threshold: float,
) -> dict[str, Tensor]:  # fmt: skip
    """The measures of `measure_named` for one clip, scalars.

    Args:
        loaded: model. tokens, grid: as of `named_scores`. actions: of A actors, class indices.
        masks: (A, T, H, W) of 0 and 1, without overlap. threshold: of present actions.
    """
    targets = torch.tensor(actions, device=tokens.device)
    wishes = torch.eye(len(loaded.classes)).to(tokens)[targets]
    clips = tokens.expand(len(actions), -1, -1, -1)

    def shares(wish: Tensor | None) -> Tensor:
        output = loaded.model.trace(clips, grid, wish)
        heat = follow(output, targets).heat(masks.shape[1:]).cpu()
        return actor_energy(heat, masks)

    named, plain = shares(wishes if loaded.model.can_be_asked else None), shares(None)
    scores = named_scores(loaded, tokens, grid).cpu()
    absent = torch.ones(len(scores), dtype=torch.bool)
    absent[list(actions)] = False
    return {
        "right_actor": right_actor(named),
        "right_actor_without_a_name": right_actor(plain),
        "right_actor_chance": right_actor_chance(masks),
        "swap_moves": swap_moves(named),
        "swap_moves_without_a_name": swap_moves(plain),
        "absent_below": (scores[absent] < threshold).double().mean(),
        "present_above": (scores[~absent] >= threshold).double().mean(),
    }
