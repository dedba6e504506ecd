"""Infidelity: does a map foretell how far the score falls when random parts are filled in?"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from whyact.metrics.faithfulness import enlarge, fitting
from whyact.metrics.maps import check_heat
from whyact.ops.fill import Fill, filling
from whyact.types import WhyactError


@dataclass(frozen=True)
class Perturbations:
    """Random parts of clips, and what the score loses without them.

    Attributes:
        tubes: (n, T', H', W') bool, the same parts for every clip. drops: (B, n) of the score.
        tube: (frames, height, width) of a tube.
    """

    tubes: Tensor
    drops: Tensor
    tube: tuple[int, int, int]


@torch.no_grad()
def perturb(
    score: Callable[[Tensor], Tensor],
    clips: Tensor,
    targets: Tensor,
    *,
    count: int = 32,
    share: float = 0.1,
    tube: tuple[int, int, int] = (2, 8, 8),
    fill: Fill = "blur",
    batch_size: int = 32,
    seed: int = 0,
) -> Perturbations:
    """Fill in random sets of tubes; they serve all maps of these clips. ``count + 1`` passes.

    All sets hold the same number of tubes: if it varied, the size of a set would foretell the drop,
    and a constant map with it.

    Args:
        score: maps clips (n, 3, T, H, W) to logits (n, Y), which attributions explain.
        clips: (B, 3, T, H, W). targets: (B,) class indices.
        count: sets, the same for every clip, so no result depends on the batch.
        share: of the tubes in a set, rounded to whole tubes and at least one.
        tube: (frames, height, width). fill: what goes in their place. seed: of the sets.
        batch_size: clips a forward pass; it does not change results.

    Raises:
        WhyactError: fewer than two sets.
    """
    if count < 2:
        raise WhyactError(f"Infidelity needs at least two random parts, got {count}.")
    generator = torch.Generator().manual_seed(seed)
    shape = [-(-n // s) for n, s in zip(clips.shape[2:], tube, strict=True)]
    order = torch.rand(count, math.prod(shape), generator=generator).argsort(1).argsort(1)
    size = max(1, round(share * order.shape[1]))
    tubes = (order < size).view(count, *shape).to(clips.device)
    fills = filling(clips, torch.ones_like(clips[:, 0]), fill)
    targets = targets.to(clips.device)
    # Job count of a clip is the clip as it is.
    jobs = torch.arange(len(clips) * (count + 1), device=clips.device)
    found = []
    for part in jobs.split(batch_size):
        rows, sets = part // (count + 1), part % (count + 1)
        kept = (sets < count).view(-1, 1, 1, 1)
        masks = enlarge(tubes[sets.clamp_max(count - 1)] & kept, tube, clips)
        edited = torch.lerp(clips[rows], fills[rows], masks[:, None])
        found.append(score(edited).gather(1, targets[rows, None]).squeeze(1))
    values = torch.cat(found).double().view(len(clips), count + 1)
    return Perturbations(tubes, values[:, count:] - values[:, :count], tube)


def infidelity(heat: Tensor, perturbations: Perturbations) -> Tensor:
    """Normalised infidelity (B,) in [0, 1]; lower is better, 1 is as good as an empty map.

    ``min over s >= 0 of E[(s * I.phi - drop)^2] / E[drop^2]`` (Yeh et al., NeurIPS 2019, eq. 1,
    with the best scale of their sec. 2, so that no map gains by its units). ``I.phi`` is the heat
    in the parts that were filled in. A scale below 0 is not allowed: an inverted map is none. NaN
    where no part changed the score.

    Args:
        heat: (B, T, H, W), non-negative. perturbations: of the same clips.

    Raises:
        WhyactError: as `whyact.metrics.maps.check_heat`, or other clips.
    """
    heat = check_heat(heat)
    tubes, drops = perturbations.tubes, perturbations.drops
    fits = fitting(perturbations.tube, heat.shape[1:])
    sums = F.avg_pool3d(
        heat[:, None], fits, ceil_mode=True, count_include_pad=False, divisor_override=1
    )[:, 0]
    if len(heat) != len(drops) or sums.shape[1:] != tubes.shape[1:]:
        raise WhyactError(
            f"The perturbations are of {len(drops)} clips with {tuple(tubes.shape[1:])} tubes, the "
            f"heat maps {tuple(heat.shape)} of others."
        )
    sums = sums / sums.amax((1, 2, 3), keepdim=True).clamp_min(1e-300)
    told = torch.einsum("bthw,nthw->bn", sums, tubes.to(sums))
    scale = (told * drops).sum(1) / told.square().sum(1).clamp_min(1e-300)
    rest = (scale.clamp_min(0)[:, None] * told - drops).square().mean(1)
    power = drops.square().mean(1)
    value = rest / power.clamp_min(1e-300)
    return value.where(power > 1e-12, value.new_tensor(float("nan")))
