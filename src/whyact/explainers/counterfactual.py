"""Counterfactual: the smallest set of regions whose removal changes the prediction."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, islice

import torch
from torch import Tensor
from torch.nn import functional as F

from whyact.explainers.base import Model, check_clips, logits_of
from whyact.ops.fill import Fill, filling
from whyact.types import WhyactError


@dataclass(frozen=True)
class Counterfactual:
    """What would have changed the prediction.

    Attributes:
        regions: the smallest set, None where removing all of them changes nothing, or where the
            search ended before it found one.
        prediction: class of the clip as it is. becomes: class without the regions, or None.
        drop: of the first class's logit without the regions; of the largest set tried where None.
        exact: every smaller set was tried, so there is none.
        passes: forward passes that the search took.
        area: share of the clip's pixels that the regions cover.
    """

    regions: tuple[int, ...] | None
    prediction: int
    becomes: int | None
    drop: float
    exact: bool
    passes: int
    area: float


def region_masks(assignment: Tensor, size: tuple[int, int, int]) -> Tensor:
    """Pixels (K, T, H, W) in [0, 1] of the regions (T', K, h, w); they sum to one over K."""
    cells = assignment.transpose(0, 1)[:, None].float()
    return F.interpolate(cells, size, mode="trilinear")[:, 0].clamp(0, 1)


@torch.no_grad()
def counterfactual(
    model: Model,
    clip: Tensor,
    regions: Tensor,
    *,
    fill: Fill = "blur",
    budget: int = 256,
    batch_size: int = 16,
) -> Counterfactual:
    """Find the smallest set of regions without which the model names another class.

    Sets of one region are tried first, then of two, and so on; of the smallest that change the
    prediction, the one with the largest drop of the logit is taken. Beyond the budget the search is
    greedy: the best set so far grows by the region with the largest drop, and the result is marked
    as not exact. It gives up where it took as many passes again.

    Args:
        model: see `whyact.explainers.base.Model`.
        clip: (3, T, H, W), RGB in [0, 1]. regions: (K, T, H, W) in [0, 1], see `region_masks`.
        fill: what goes in place of a region. budget: forward passes of the exact search; 256 are
            enough for all sets of eight regions. A greedy one may take as many more.
        batch_size: clips a forward pass.

    Raises:
        WhyactError: regions of another size than the clip's.
    """
    check_clips(clip[None])
    if regions.ndim != 4 or regions.shape[1:] != clip.shape[1:] or not len(regions):
        raise WhyactError(
            f"Expected regions (K, {', '.join(map(str, clip.shape[1:]))}) for this clip, got "
            f"{tuple(regions.shape)}."
        )
    search = _Search(model, clip, regions, fill, batch_size)
    size = 0
    best: tuple[int, ...] = ()
    while size < len(regions):
        size += 1
        sets = list(islice(combinations(range(len(regions)), size), budget - search.passes + 1))
        if search.passes + len(sets) > budget:
            break
        best, changed = search.best(sets)
        if changed:
            return search.result(best, exact=True)
    exact = len(best) == len(regions)
    while len(best) < len(regions):
        sets = [tuple(sorted((*best, k))) for k in range(len(regions)) if k not in best]
        if search.passes + len(sets) > 2 * budget and best:
            break
        best, changed = search.best(sets)
        if changed:
            return search.result(best, exact=False)
    return search.result(best, exact=exact, changed=False)


class _Search:
    def __init__(
        self, model: Model, clip: Tensor, regions: Tensor, fill: Fill, batch_size: int
    ) -> None:
        self.model, self.clip, self.regions = model, clip, regions.to(clip)
        self.fill, self.batch_size = fill, batch_size
        whole = torch.ones_like(clip[:1])
        # Fill-ins that look at the mask are made anew for every set.
        masked = fill in ("frame", "plate")
        self.filling = None if masked else filling(clip[None], whole, fill)
        logits = logits_of(model, clip[None])[0]
        self.prediction, self.score = int(logits.argmax()), float(logits.max())
        self.passes = 1
        self.found: dict[tuple[int, ...], tuple[int, float]] = {}

    def best(self, sets: list[tuple[int, ...]]) -> tuple[tuple[int, ...], bool]:
        """The set with the largest drop, among those that change the prediction if any does."""
        for part in _parts(sets, self.batch_size):
            logits = logits_of(self.model, torch.cat([self._without(s) for s in part]))
            self.passes += len(part)
            drops = (self.score - logits[:, self.prediction]).tolist()
            for s, top, drop in zip(part, logits.argmax(1).tolist(), drops, strict=True):
                self.found[s] = (top, drop)
        changed = [s for s in sets if self.found[s][0] != self.prediction]
        return max(changed or sets, key=lambda s: self.found[s][1]), bool(changed)

    def result(
        self, regions: tuple[int, ...], *, exact: bool, changed: bool = True
    ) -> Counterfactual:
        top, drop = self.found[regions]
        area = float(self.regions[list(regions)].sum(0).clamp(0, 1).mean())
        return Counterfactual(
            regions=regions if changed else None, prediction=self.prediction,
            becomes=top if changed else None, drop=drop, exact=exact, passes=self.passes, area=area,
        )  # fmt: skip

    def _without(self, regions: tuple[int, ...]) -> Tensor:
        mask = self.regions[list(regions)].sum(0)[None].clamp(0, 1)
        new = filling(self.clip[None], mask, self.fill) if self.filling is None else self.filling
        return torch.lerp(self.clip[None], new, mask[:, None])


def _parts(sets: list[tuple[int, ...]], size: int) -> Iterator[list[tuple[int, ...]]]:
    for start in range(0, len(sets), size):
        yield sets[start : start + size]
