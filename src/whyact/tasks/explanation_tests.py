"""Test the explanation of one clip beside controls that know nothing of the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from whyact.explainers.controls import CentrePrior, MotionMagnitude, RandomMap
from whyact.explainers.native import follow
from whyact.metrics.faithfulness import Curves, deletion_insertion
from whyact.metrics.robustness import largest_change, neighbours
from whyact.metrics.stability import backward_flow, temporal_stability
from whyact.ops.probability import Probabilities, one_of
from whyact.types import ActionOutput, Explanation

DRAWS = 2
"""Random maps; their curves are averaged, as a single one may be lucky."""
STEPS = 6
"""Steps of deletion and of insertion, where not said."""
NOISY = 4
"""Copies of the clip with noise."""


@torch.no_grad()
def add_tests(
    model: nn.Module, video: Tensor, explanation: Explanation, *, steps: int = STEPS,
    probabilities: Probabilities = one_of,
) -> Explanation:  # fmt: skip
    """A native explanation with ``extra["tests"]``; `docs/explanation-schema.md` names its parts.

    Deletion and insertion take 20 forward passes of the clip a step, stability four more.

    Args:
        model: maps (B, 3, T, H, W) in [0, 1] to an `ActionOutput`.
        video: (3, T, H, W), uint8 or float in [0, 1]. explanation: of it.
        steps: of deletion and of insertion.
        probabilities: of logits.
    """
    clip = (video if video.is_floating_point() else video.float() / 255)[None]
    target = torch.tensor([explanation.target], device=clip.device)
    maps = {explanation.method: explanation.heat[None].to(clip), **_controls(model, clip)}
    names = [name for name, heat in maps.items() for _ in heat]
    heat = torch.cat(list(maps.values()))

    def score(clips: Tensor) -> Tensor:
        return probabilities(model(clips).logits)

    # One clip at a time is fastest on a CPU, whose cache a batch of maps at full size leaves.
    batch_size = 8 if clip.is_cuda else 1
    side = _tube_side(clip)
    curves = deletion_insertion(
        score, clip.expand(len(heat), -1, -1, -1, -1), heat, target.expand(len(heat)),
        fills=("blur", "mean"), tube=(2, side, side), steps=steps,
        batch_size=batch_size,
    )  # fmt: skip
    tests = {
        "maps": list(maps),
        "curves": [_by_map(c, names) for c in curves],
        "gap": _gaps(curves, names),
        "stability": {
            "flow": _number(temporal_stability(heat[:1], backward_flow(clip))),
            "noise": _number(_noise(model, clip, target, explanation)),
        },
    }
    return replace(explanation, extra={**explanation.extra, "tests": tests})


def _tube_side(clips: Tensor) -> int:
    """A fourteenth of the long side, and at least 8 pixels: as fine as a token grid."""
    return max(8, max(clips.shape[-2:]) // 14)


def _controls(model: nn.Module, clip: Tensor) -> dict[str, Tensor]:
    side = _tube_side(clip)
    draws = [RandomMap(model=model, cell=side, seed=s).heat(clip) for s in range(DRAWS)]
    return {
        "random": torch.cat(draws),
        "centre_prior": CentrePrior(model=model).heat(clip),
        "motion_magnitude": MotionMagnitude(model=model).heat(clip),
    }


def _by_map(curves: Curves, names: list[str]) -> dict[str, Any]:
    """The curves of one fill-in, by map; those of several draws as their mean."""

    def means(rows: Tensor) -> dict[str, list[float]]:
        return {
            name: rows[[i for i, n in enumerate(names) if n == name]].mean(0).tolist()
            for name in dict.fromkeys(names)
        }

    return {
        "fill": curves.fill, "fractions": curves.fractions.tolist(),
        "deletion": means(curves.deletion), "insertion": means(curves.insertion),
    }  # fmt: skip


def _gaps(curves: list[Curves], names: list[str]) -> dict[str, float]:
    """Area under insertion minus area under deletion by map, the mean over the fill-ins."""
    gaps = torch.stack([c.insertion_auc - c.deletion_auc for c in curves]).mean(0)
    return {
        name: float(gaps[[i for i, n in enumerate(names) if n == name]].mean())
        for name in dict.fromkeys(names)
    }


def _noise(
    model: Callable[..., ActionOutput], clip: Tensor, target: Tensor, explanation: Explanation
) -> Tensor:
    """Largest relative change of the map under noise that can hardly be seen."""
    near = neighbours(clip, radius=0.02, samples=NOISY)
    size = explanation.heat.shape
    moved = torch.cat([follow(model(one, traced=True), target).heat(size) for one in near])
    return largest_change(explanation.heat[None].to(clip), list(moved[:, None]))


def _number(value: Tensor) -> float | None:
    """The only value of a tensor; None where it is undefined."""
    return None if bool(value.isnan()) else float(value)
