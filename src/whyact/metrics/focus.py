"""Focus: how little of the clip a heat map points at. It says nothing of being right."""

from __future__ import annotations

import math

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
