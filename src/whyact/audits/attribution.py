"""Where an explainer looks, what deleting does, and the clips on which the two disagree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from rich.progress import track
from torch import Tensor

from whyact.audits.clips import AuditClips
from whyact.audits.measure import NAN, Answers
from whyact.explainers.base import Explainer, Model
from whyact.explainers.gradient import IntegratedGradients
from whyact.explainers.perturbation import Occlusion
from whyact.metrics.localisation import energy_pointing
from whyact.types import WhyactError

Method = Literal["occlusion", "integrated_gradients", "none"]
METHODS: tuple[Method, ...] = get_args(Method)
TOGETHER = 4
"""Clips that are explained at once, at most."""
PARTS = 4
"""Parts of each axis whose tubes are occluded: 4 x 4 x 4 tubes, 64 forward passes a clip."""
LEAST_DROP = 0.01
"""Drops of probability below this say nothing of what a decision rests on."""

MEASURES: dict[str, str] = {
    "background_heat": "the map's energy on the background, above its area share",
    "actor_drop": "drop of the named class's probability when the actor is filled in",
    "background_drop": "drop of the named class's probability when the background is one colour",
    "background_share": "the background's part of both drops",
    "disagreement": "clips whose map points at one and whose deletion at the other",
}


def build_explainer(
    method: str, model: Model, size: Sequence[int], batch_size: int = 16
) -> Explainer | None:
    """An explainer that works for any callable; None for ``none``.

    Args:
        method: of `METHODS`. model: to explain. size: (T, H, W) of the clips.
        batch_size: clips a forward pass, at most.

    Raises:
        WhyactError: an unknown method.
    """
    if method == "occlusion":
        tube = tuple(-(-n // PARTS) for n in size)
        return Occlusion(model=model, tube=(tube[0], tube[1], tube[2]), batch_size=batch_size)
    if method == "integrated_gradients":
        return IntegratedGradients(model=model, steps=16, batch_size=batch_size)
    if method == "none":
        return None
    raise WhyactError(f"Unknown explainer '{method}'; an audit offers {list(METHODS)}.")


def background_heat(
    explainer: Explainer, clips: AuditClips, targets: Tensor, *, count: int, seed: int = 0,
    batch_size: int = 16, device: str = "cpu",
) -> Tensor:  # fmt: skip
    """(n,) share of each map's energy on the background minus the background's area share.

    0 is what a constant map gets. ``count`` clips with a mask, drawn at random, are explained; the
    others, and clips without a map, are NaN.

    Args:
        explainer: of the model. clips: that are audited. targets: (n,) classes to explain.
        count: clips. seed: of the draw. batch_size: clips that the model takes at once.
        device: of the model.
    """
    found = torch.full((len(clips),), NAN, dtype=torch.float64)
    masked = clips.masked.nonzero()[:, 0]
    drawn = torch.randperm(len(masked), generator=torch.Generator().manual_seed(seed))[:count]
    parts = masked[drawn].split(min(batch_size, TOGETHER)) if len(drawn) else ()
    for rows in track(parts, f"Explain by {explainer.name}", transient=True):
        video, mask = clips.floats(rows)
        maps = explainer(video.to(device), targets[rows].to(device))
        heat = torch.stack([one.heat for one in maps])
        empty = heat.flatten(1).amax(1) <= 0
        found[rows] = energy_pointing(heat, 1 - mask).masked_fill(empty, NAN)
    return found


def deletion(answers: Answers) -> dict[str, Tensor]:
    """What the named class loses without the actor and without the background, (n,) each.

    The clips are those of ``background_only`` (the actor filled in by what other frames show) and
    ``human_only`` (the background in one colour), so it costs no forward pass.
    """
    target = answers.target
    whole = answers.probability_of("original", target).double()
    actor = whole - answers.probability_of("background_only", target).double()
    background = whole - answers.probability_of("human_only", target).double()
    both = actor.clamp_min(0) + background.clamp_min(0)
    share = background.clamp_min(0) / both
    return {
        "actor_drop": actor,
        "background_drop": background,
        "background_share": share.where(both > LEAST_DROP, share.new_tensor(NAN)),
    }


def disagreement(heat: Tensor, share: Tensor) -> Tensor:
    """(n,) 1 where map and deletion name different places; NaN where either says nothing.

    Args:
        heat: of `background_heat`, above 0 where the map points at the background.
        share: of `deletion`, above one half where the background carries more.
    """
    differs = ((heat > 0) != (share > 0.5)).double()
    return differs.where(~(heat.isnan() | share.isnan()), differs.new_tensor(NAN))
