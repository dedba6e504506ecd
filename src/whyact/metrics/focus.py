"""Focus: how little of the clip, or how local a part, a map points at; nothing of being right."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from whyact.metrics.maps import check_heat


def normalised_entropy(heat: Tensor) -> Tensor:
    """Entropy of each map over its logarithm's largest value, (B,) in [0, 1]; lower is focused.

    ``-sum(p log p) / log N`` with ``p = heat / sum(heat)`` over all N = T * H * W cells. An empty
    map points nowhere, like a constant one, and gets 1.

    Args:
        heat: (B, T, H, W), non-negative.

    Raises:
        WhyactError: signed or non-finite maps, for which the entropy is not defined.
    """
    heat = check_heat(heat).flatten(1)
    # The map and a share of itself have the same entropy; this avoids the overflow of the sum.
    heat = heat / heat.amax(1, keepdim=True).clamp_min(1e-300)
    total = heat.sum(1, keepdim=True)
    share = heat / total.clamp_min(1e-300)
    entropy = -(share * share.clamp_min(1e-300).log()).sum(1)
    if heat.shape[1] == 1:
        return entropy + 1
    entropy = entropy / math.log(heat.shape[1])
    return entropy.where(total.squeeze(1) > 0, entropy.new_ones(())).clamp(0, 1)


def spatial_spread(heat: Tensor) -> Tensor:
    """How far the heat of a frame lies from its own centre, (B,); lower is more local.

    The root of the mean squared distance, over that of a constant frame: 0 for a single cell, 1 for
    a constant frame, above 1 for heat at opposite ends. A frame counts by its share of the clip's
    heat; an empty map is spread like a constant one, 1.

    Args:
        heat: (B, T, H, W), non-negative. A cell is as far from the next in both directions.

    Raises:
        WhyactError: signed or non-finite maps.
    """
    heat = check_heat(heat)
    h, w = heat.shape[-2:]
    x, y = (torch.arange(n).to(heat) - (n - 1) / 2 for n in (w, h))
    total = heat.sum((2, 3))
    share = heat / total.clamp_min(1e-300)[..., None, None]
    columns, rows = share.sum(2), share.sum(3)
    variance = sum(
        (part * at.square()).sum(-1) - (part * at).sum(-1).square()
        for part, at in ((columns, x), (rows, y))
    )
    constant = (h * h + w * w - 2) / 12  # variance of 0 … n - 1 is (n² - 1) / 12
    if not constant:
        return heat.new_ones(len(heat))
    weight = total / total.sum(1, keepdim=True).clamp_min(1e-300)
    spread = (weight * torch.as_tensor(variance).clamp_min(0)).sum(1).div(constant).sqrt()
    return spread.where(total.sum(1) > 0, spread.new_ones(()))
