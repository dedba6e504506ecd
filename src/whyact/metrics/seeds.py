"""Means over training seeds, and differences between variants, with intervals over both.

Every seed's model sees the same test clips, so seeds and clips are crossed and both are resampled
(the pigeonhole bootstrap, Owen, Annals of Applied Statistics 2007). Variants share the resampled
clips and the resampled seeds, which pairs them by clip and by seed. Of S seeds S - 1 are drawn, for
which the variance of the mean is unbiased (McCarthy and Snowden, 1985); S of them would make the
intervals of three seeds a fifth too narrow. One seed is always drawn: its interval is over clips
alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from whyact.metrics.bootstrap import (
    drawn_clips,
    draws_of_means,
    draws_of_measures,
    percentile_interval,
)
from whyact.metrics.recognition import recognition_scores
from whyact.metrics.temporal import Clips, detection_map
from whyact.types import WhyactError


@dataclass(frozen=True)
class Resamples:
    """A measure of one variant, on the clips and on resampled clips.

    Attributes:
        seeds: of the S trainings.
        values: (S,), NaN where undefined. draws: (S, R), on resampled clips.
        clips: that have a value for every seed. undefined: those that have none for some.
    """

    seeds: tuple[int, ...]
    values: Tensor
    draws: Tensor
    clips: int
    undefined: int = 0


@dataclass(frozen=True)
class Estimate:
    """A number over seeds.

    Attributes:
        mean: over seeds. std: over seeds; None for one. low, high: 95 % interval over clips and
            seeds. All None where nothing is defined.
        seeds: that it is over. clips: that have a value for each. undefined: clips without.
    """

    mean: float | None
    std: float | None
    low: float | None
    high: float | None
    seeds: int
    clips: int
    undefined: int = 0


def resample_values(
    values: Tensor, seeds: Sequence[int], *, draws: int = 1000, seed: int = 0
) -> Resamples:
    """Resample a measure that is a mean over clips.

    Args:
        values: (S, n), NaN where undefined. seeds: S.
        draws, seed: of the clips; calls with the same number of clips and seed draw the same.
    """
    values = values.double()
    undefined = int(values.isnan().any(0).sum())
    return Resamples(
        tuple(seeds), values.nanmean(1), draws_of_means(values, draws=draws, seed=seed),
        values.shape[1] - undefined, undefined,
    )  # fmt: skip


def log_odds(hits: Resamples) -> Resamples:
    """``log(p / (1 - p))`` of shares p of clips, in which gains have room at both ends.

    Half a hit and half a miss are added to every share (Haldane 1956), so that all hits of n clips
    have ``log(2 n + 1)`` and not infinity.
    """

    def scaled(share: Tensor) -> Tensor:
        return ((share * hits.clips + 0.5) / (hits.clips + 1)).logit()

    return replace(hits, values=scaled(hits.values), draws=scaled(hits.draws))


def top_hits(logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """``top1`` and ``top5``, (S, n): 1 where the true class is the first, or of the first five.

    Args:
        logits: (S, n, Y). labels: (n,) int64.
    """
    five = logits.topk(min(5, logits.shape[-1]), dim=-1).indices
    return {
        "top1": (logits.argmax(-1) == labels).double(),
        "top5": (five == labels[:, None]).any(-1).double(),
    }


def resample_map(
    logits: Tensor, labels: Tensor, seeds: Sequence[int], *, draws: int = 1000, seed: int = 0
) -> Resamples:
    """Resample the mean average precision, which is no mean over clips.

    Args:
        logits: (S, n, Y). labels: (n, Y) multi-hot. The others: as in `resample_values`.
    """
    found = [recognition_scores(x, labels, intervals=False)["map"] for x in logits]
    parts = [draws_of_measures(x, labels, draws=draws, seed=seed)["map"] for x in logits]
    values = torch.tensor([torch.nan if x is None else x for x in found], dtype=torch.float64)
    return Resamples(tuple(seeds), values, torch.stack(parts), len(labels))


def resample_detections(
    truth: Clips, found: Sequence[Clips], seeds: Sequence[int], *, threshold: float = 0.5,
    draws: int = 1000, seed: int = 0,
) -> Resamples:  # fmt: skip
    """Resample the mean average precision of detected intervals, which is no mean over clips.

    Args:
        truth: intervals of n clips. found: detected ones, of each of S trainings.
        threshold: temporal IoU. The others: as in `resample_values`.
    """
    picks = torch.cat(list(drawn_clips(len(truth), draws=draws, seed=seed))).tolist()

    def score(one: Clips, at: Sequence[int]) -> float:
        of = detection_map([truth[i] for i in at], [one[i] for i in at], [threshold])["map"]
        return torch.nan if of is None else of

    everything = range(len(truth))
    values = torch.tensor([score(one, everything) for one in found], dtype=torch.float64)
    drawn = [[score(one, at) for at in picks] for one in found]
    return Resamples(tuple(seeds), values, torch.tensor(drawn, dtype=torch.float64), len(truth))


def contrast(parts: Sequence[tuple[float, Resamples]], *, seed: int = 0) -> Estimate:
    """A weighted sum of variants: ``[(1, a)]`` is a's mean, ``[(1, a), (-1, b)]`` a difference.

    Args:
        parts: weights and variants; seeds that one of them lacks are left out.
        seed: of the drawn training seeds.

    Raises:
        WhyactError: other numbers of draws.
    """
    if len({r.draws.shape[1] for _, r in parts}) != 1:
        raise WhyactError("Only variants with the same number of draws can be combined.")
    clips = min(r.clips for _, r in parts)
    undefined = max(r.undefined for _, r in parts)
    shared = [s for s in parts[0][1].seeds if all(s in r.seeds for _, r in parts)]
    if not shared:
        return Estimate(None, None, None, None, 0, clips, undefined)
    rows = [[r.seeds.index(s) for s in shared] for _, r in parts]
    pairs = list(zip(parts, rows, strict=True))
    values = torch.stack([w * r.values[at] for (w, r), at in pairs]).sum(0)
    drawn = torch.stack([w * r.draws[at] for (w, r), at in pairs]).sum(0)
    if bool(values.isnan().any()):
        return Estimate(None, None, None, None, len(shared), clips, undefined)
    generator = torch.Generator().manual_seed(seed)
    size = (max(1, len(shared) - 1), drawn.shape[1])
    picks = torch.randint(len(shared), size, generator=generator)
    low, high = percentile_interval(drawn.gather(0, picks).mean(0))
    std = float(values.std()) if len(shared) > 1 else None
    return Estimate(float(values.mean()), std, low, high, len(shared), clips, undefined)
