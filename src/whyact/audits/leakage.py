"""Can the scene be read from a layer? Probes on clips whose backgrounds were swapped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from rich.progress import track
from torch import Tensor, nn

from whyact.audits.changes import CHANGES, Scene
from whyact.audits.clips import AuditClips
from whyact.config_io import nearest
from whyact.explainers.base import Model
from whyact.metrics.disentanglement import Leakage, halves, leakage
from whyact.types import WhyactError

LEAST = 40
"""Clips below which no probe is trained."""
TOGETHER = 3
"""Clips by which it is told whether a layer's output holds a code of each."""


def find_layer(module: nn.Module | None, name: str) -> nn.Module:
    """A module by its name in ``named_modules``.

    Raises:
        WhyactError: the model has no modules, or none of that name.
    """
    if module is None or isinstance(module, torch.jit.ScriptModule):
        raise WhyactError(
            f"The layer '{name}' cannot be read: layers need a PyTorch module, not an exported "
            "file or a plain function."
        )
    layers = dict(module.named_modules())
    layers.pop("", None)
    if name not in layers:
        raise WhyactError(
            f"The model has no layer '{name}'. Did you mean '{nearest(name, list(layers))}'?"
        )
    return layers[name]


def pooled(output: Any, clips: int) -> Tensor:
    """A layer's output for B clips as codes (B, C), the mean over frames and places.

    Args:
        output: (B, C), (B, C, ...) or, for networks that run per frame, (B * T, C, ...); three
            axes are tokens, (B, N, C). A tuple's first tensor counts.
        clips: B.

    Raises:
        WhyactError: no tensor, a first axis that is no multiple of B, or a last axis that is longer
            than the second one, so that channels may be last.
    """
    if isinstance(output, (tuple, list)) and output:
        output = output[0]
    if not isinstance(output, Tensor) or output.ndim < 2 or len(output) % clips:
        came = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise WhyactError(f"The layer gives {came} for {clips} clips; choose one that gives codes.")
    if output.ndim == 3:
        output = output.mean(1)
    elif output.ndim > 3:
        if output.shape[-1] > output.shape[1]:
            raise WhyactError(
                f"The layer gives {tuple(output.shape)}, whose channels seem to be the last axis; "
                "choose one that gives channels second, tokens (B, N, C) or codes (B, C)."
            )
        output = output.flatten(2).mean(2)
    return output.float().unflatten(0, (clips, -1)).mean(1)


@contextmanager
def _caught(layer: nn.Module) -> Iterator[list[Any]]:
    """What a layer gives, in the order in which it runs."""
    found: list[Any] = []
    handle = layer.register_forward_hook(lambda module, inputs, output: found.append(output))
    try:
        yield found
    finally:
        handle.remove()


def _unreadable(model: Model, layer: nn.Module, three: Tensor) -> str:
    """Why a layer's output for three clips is no code of each, found by leaving one of them out."""
    lengths, outputs = [], []
    for clips in (three[:2], three):
        with _caught(layer) as caught:
            model(clips)
        if len(caught) != 1:
            return f"the layer ran {len(caught)} times in a forward pass and must run once"
        output = caught[0][0] if isinstance(caught[0], (tuple, list)) else caught[0]
        try:
            pooled(output, 1)
        except WhyactError as error:
            return str(error)
        lengths.append(len(output))
        outputs.append(output)
    # Of (T * B, C) the length is right, but other clips change what is taken for a clip's code.
    if lengths[0] * 3 == lengths[1] * 2:
        alone, among = pooled(outputs[0], 2), pooled(outputs[1], 3)
        if torch.allclose(alone, among[:2], rtol=1e-3, atol=1e-3 * float(among.std())):
            return ""
    return "the layer's first axis does not hold the clips; perhaps time comes first"


@torch.no_grad()
def scene_leakage(
    model: Model, layer: nn.Module, clips: AuditClips, *, seed: int = 0, batch_size: int = 16,
    device: str = "cpu",
) -> Leakage | str:  # fmt: skip
    """How well probes read the background's scene from a layer's mean output.

    Every actor is pasted before another action's background, so that the action does not tell the
    scene. Every background is used once; probes are trained on one half of the clips and scored on
    the other, beside the floors of `whyact.metrics.disentanglement.leakage`.

    Returns:
        The accuracies and floors, or why there are none.
    """
    if not clips.scenes or bool((clips.nuisance < 0).all()):
        return "the data set names no scenes"
    if batch_size < TOGETHER:
        return f"a layer is read of {TOGETHER} clips at once, and --batch-size is {batch_size}"
    usable = clips.masked & (clips.donor >= 0) & clips.masked[clips.donor]
    rows = (usable & (clips.nuisance[clips.donor] >= 0)).nonzero()[:, 0]
    if len(rows) < LEAST:
        return f"{len(rows)} clips can be swapped, and probes need {LEAST}"
    if reason := _unreadable(model, layer, clips.floats(rows[:TOGETHER])[0].to(device)):
        return reason
    codes = []
    for part in track(rows.split(batch_size), "Read the layer", transient=True):
        own, donors = clips.floats(part), clips.floats(clips.donor[part])
        swapped = CHANGES["swapped"].make(Scene(*own, *donors, seeds=part))
        with _caught(layer) as outputs:
            model(swapped.to(device))
        codes.append(pooled(outputs[0], len(part)).cpu())
    every, scenes = torch.cat(codes), clips.nuisance[clips.donor[rows]]
    actions = clips.labels[rows]
    train, test = halves(actions, scenes, seed)
    return leakage(
        every[train], scenes[train], actions[train], every[test], scenes[test], actions[test],
        classes=len(clips.scenes), seed=seed,
    )  # fmt: skip
