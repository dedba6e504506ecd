"""Localisation: does a heat map point at the actor?

All functions take heat maps and masks (B, T, H, W) and give one value a clip, (B,), in double
precision. A clip whose value is not defined gets NaN, which `whyact.metrics.summary.summarise`
counts as N/A: a mask that is empty, or full, so that no map could miss it. An empty map says
nothing, like a constant one, and gets the same value. Report each beside the five controls and the
`grid_ceiling` of the method.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from whyact.metrics.faithfulness import enlarge, fitting
from whyact.metrics.maps import check_pair
from whyact.types import WhyactError


def area_share(mask: Tensor) -> Tensor:
    """Share of a clip's cells that its mask covers, (B,): the chance level of pointing."""
    return mask.bool().flatten(1).double().mean(1)


def energy_pointing(heat: Tensor, mask: Tensor) -> Tensor:
    """Share of the map's sum that lies in the mask, minus the mask's area share.

    Source: Wang et al., Score-CAM (CVPR Workshops 2020); the chance level is taken off because a
    large mask would look like skill. In [-1, 1]; 0 for a constant map.
    """
    heat, mask = check_pair(heat, mask)
    inside, total = (heat * mask).sum((1, 2, 3)), heat.sum((1, 2, 3))
    chance = area_share(mask)
    share = torch.where(total > 0, inside / total.clamp_min(1e-300), chance)
    return _defined(share - chance, chance)


def pointing_game(heat: Tensor, mask: Tensor) -> Tensor:
    """Share of frames whose hottest cell lies in the mask (Zhang et al., ECCV 2016, per frame).

    Frames with an empty or full mask do not count. Where several cells tie for the hottest, all of
    them must lie in the mask; so a constant or empty frame is a miss.
    """
    heat, mask = check_pair(heat, mask)
    cells, inside = heat.flatten(2), mask.flatten(2)
    hottest = cells == cells.amax(2, keepdim=True)
    hit = ~(hottest & ~inside).any(2)
    return _mean_over_frames(hit.double(), inside)


def pointing_chance(mask: Tensor) -> Tensor:
    """What a random cell scores in `pointing_game`: the mask's area share in the frames it has."""
    inside = mask.bool().flatten(2)
    return _mean_over_frames(inside.double().mean(2), inside)


def iou_equal_area(heat: Tensor, mask: Tensor) -> Tensor:
    """Overlap of the mask with the hottest cells of a frame, as many as the mask has, over frames.

    Cells that tie at the threshold are taken in proportion, which is what a random choice among
    them gives on average. Frames with an empty or full mask do not count.
    """
    heat, mask = check_pair(heat, mask)
    inside = mask.flatten(2)
    area = inside.sum(2)
    overlap = _top_overlap(heat.flatten(2), inside, area)
    union = 2 * area - overlap
    return _mean_over_frames(overlap / union.clamp_min(1), inside)


def iou_curve(heat: Tensor, mask: Tensor, thresholds: Tensor) -> Tensor:
    """Intersection over union of the mask and ``heat >= threshold * max``, over frames, (B, n).

    Of an empty map 0, as nothing of it is hot.

    Args:
        heat, mask: (B, T, H, W). The maximum is that of the clip.
        thresholds: (n,) in (0, 1].

    Raises:
        WhyactError: a threshold out of range.
    """
    heat, mask = check_pair(heat, mask)
    if not bool(((thresholds > 0) & (thresholds <= 1)).all()):
        raise WhyactError("Thresholds must be above 0 and at most 1.")
    top = heat.amax((1, 2, 3), keepdim=True)
    inside = mask.flatten(2)
    curve = []
    for threshold in thresholds.tolist():
        chosen = ((heat >= threshold * top) & (top > 0)).flatten(2)
        overlap, union = (chosen & inside).sum(2), (chosen | inside).sum(2)
        curve.append(_mean_over_frames(overlap / union.clamp_min(1).double(), inside))
    return torch.stack(curve, 1)


def rank_accuracy(heat: Tensor, mask: Tensor) -> Tensor:
    """Share of the clip's hottest cells that lie in the mask, as many as it has, minus chance.

    Source: relevance rank accuracy (Arras et al., Information Fusion 2022). Ties count in
    proportion; chance is the mask's area share.
    """
    heat, mask = check_pair(heat, mask)
    inside = mask.flatten(1)[:, None]
    area = inside.sum(2)
    overlap = _top_overlap(heat.flatten(1)[:, None], inside, area)
    chance = area_share(mask)
    return _defined((overlap / area.clamp_min(1))[:, 0] - chance, chance)


def grid_ceiling(
    mask: Tensor, grid: tuple[int, int, int], tube: tuple[int, int, int] | None = None
) -> Tensor:
    """The map of an explainer with cells (T', h, w) that marks the mask: its share of each cell.

    It is enlarged as most maps are (trilinear); score it with any metric of this module to learn
    what a map of all of the mask gets on that grid. One that marks only a part may get more energy.

    Args:
        mask: (B, T, H, W). grid: (T', h, w).
        tube: pixels of a cell of a map that has one value in each, cut at the far ends.
    """
    whole = mask[:, None].double()
    if tube is not None:
        longest = fitting(tube, mask.shape[1:])
        shares = F.avg_pool3d(whole, longest, ceil_mode=True, count_include_pad=False)[:, 0]
        return enlarge(shares, longest, whole)
    cells = F.adaptive_avg_pool3d(whole, grid)
    return F.interpolate(cells, tuple(mask.shape[1:]), mode="trilinear")[:, 0]


def _top_overlap(values: Tensor, inside: Tensor, count: Tensor) -> Tensor:
    """Expected number of the ``count`` (B, n) largest of ``values`` (B, n, cells) that are inside.

    Cells that tie with the smallest of them are chosen at random.
    """
    ordered = values.sort(2, descending=True).values
    last = (count - 1).clamp_min(0)[..., None]
    threshold = ordered.gather(2, last)
    above, tied = values > threshold, values == threshold
    open_places = count - above.sum(2)
    share = (tied & inside).sum(2) / tied.sum(2).double()
    return (above & inside).sum(2) + open_places * share


def _defined(values: Tensor, chance: Tensor) -> Tensor:
    return values.where((chance > 0) & (chance < 1), values.new_tensor(float("nan")))


def _mean_over_frames(values: Tensor, inside: Tensor) -> Tensor:
    """Mean of ``values`` (B, T) over frames whose mask (B, T, cells) is neither empty nor full."""
    counts = (inside.any(2) & ~inside.all(2)).double()
    frames = counts.sum(1)
    mean = (values * counts).sum(1) / frames.clamp_min(1)
    return mean.where(frames > 0, mean.new_tensor(float("nan")))
