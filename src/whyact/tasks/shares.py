"""How much of a logit the actor and the scene carry: the model runs again without each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from whyact.explainers.native import action_share
from whyact.ops.fill import fill_region
from whyact.ops.motion import foreground
from whyact.types import ActionOutput


@dataclass(frozen=True)
class Share:
    """How much of a logit the actor and the scene carry.

    Attributes:
        actor: the actor's share of both drops, in [0, 1]; None where neither drops, or where no
            actor was found.
        drops: of the logit when ``actor`` and when ``background`` is filled in; None where no actor
            was found.
        mask: where the actor came from: ``given`` or ``motion``.
    """

    actor: float | None
    drops: dict[str, float] | None
    mask: str


@torch.no_grad()
def measure_shares(
    model: Callable[[Tensor], ActionOutput], clips: Tensor, targets: Tensor, scores: Tensor,
    mask: Tensor | None = None,
) -> list[list[Share]]:  # fmt: skip
    """How much of each logit the actor and the background carry, by filling each in.

    The actor is filled with the background that other frames show behind it, the background with
    a blur of itself, which keeps its colours' mean but none of its objects. Two forward passes,
    whatever the number of classes.

    Args:
        model: maps (B, 3, T, H, W) in [0, 1] to an `ActionOutput`.
        clips: (B, 3, T, H, W). targets: (B, n) classes. scores: (B, n) their logits.
        mask: (B, T, H, W) of the actor; found by motion (`whyact.ops.motion`) if None.

    Returns:
        For each clip, the shares of its n classes.
    """
    actor = (foreground(clips) if mask is None else mask.to(clips)).clamp(0, 1)
    rest = fill_region(clips, actor, "plate"), fill_region(clips, 1 - actor, "blur")
    without = [model(clip).logits.gather(1, targets) for clip in rest]
    found = (actor.amax((1, 2, 3)) > 0.5).tolist()
    source = "motion" if mask is None else "given"

    def share(values: list[float], there: bool) -> Share:
        drops = {"actor": values[0] - values[1], "background": values[0] - values[2]}
        return Share(action_share(values), drops, source) if there else Share(None, None, source)

    rows = torch.stack([scores, *without], 2).tolist()
    return [[share(v, there) for v in row] for row, there in zip(rows, found, strict=True)]
