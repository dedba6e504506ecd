"""Bootstrap over clips: the same draws for every measure, and for two models on the same clips."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

BINS = 15
"""Equal bins of confidence of the expected calibration error."""
_CHUNK = 50


def measures(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """The measures of `draws_of_measures` on the clips as they are."""
    every = torch.ones(1, len(labels), dtype=torch.float64)
    return {name: float(value) for name, value in _measured(logits, labels, every).items()}


def draws_of_measures(
    logits: Tensor, labels: Tensor, *, draws: int = 1000, seed: int = 0
) -> dict[str, Tensor]:
    """Every measure of recognition on resampled clips.

    Two calls with as many clips and the same seed resample the same clips, so that the difference
    of their results is the paired bootstrap.

    Args:
        logits: (n, Y). labels: (n,) int64, or (n, Y) multi-hot. draws: resamples.
        seed: of the draw.

    Returns:
        (draws,) float64 by measure: ``top1``, ``top5``, ``mean_class``, ``macro_f1``, and ``ece``,
        the mean gap between confidence and accuracy over 15 equal bins (Guo et al., ICML 2017); for
        several labels ``map``. Classes that a resample does not hold are left out of it.
    """
    found = [_measured(logits, labels, w) for w in _weights(len(labels), draws, seed)]
    return {name: torch.cat([part[name] for part in found]) for name in found[0]}


def draws_of_means(values: Tensor, *, draws: int = 1000, seed: int = 0) -> Tensor:
    """Means of resampled clips, (S, draws) float64; the clips are those of `draws_of_measures`.

    Args:
        values: (S, n) float64, rows of the same n clips; NaN marks a clip without a value, which
            is left out. A resample without any value is NaN.
        draws, seed: see `draws_of_measures`.
    """
    defined = (~values.isnan()).double().T
    filled = values.nan_to_num().T
    chunks = _weights(values.shape[1], draws, seed)
    return torch.cat([(w @ filled) / (w @ defined) for w in chunks]).T


def percentile_interval(values: Tensor, *, level: float = 0.95) -> list[float]:
    """The interval [low, high] that holds ``level`` of ``values`` (draws,).

    NaN marks a resample without any labelled class, which has no score.
    """
    tail = (1 - level) / 2
    values = values[~values.isnan()]
    ends = torch.tensor([tail, 1 - tail], dtype=torch.float64)
    low, high = torch.quantile(values.double(), ends).tolist()
    return [low, high]


def drawn_clips(clips: int, *, draws: int = 1000, seed: int = 0) -> Iterator[Tensor]:
    """The clips of every resample, (draws, n) int64 in chunks; those of `draws_of_measures`."""
    generator = torch.Generator().manual_seed(seed)
    for start in range(0, draws, _CHUNK):
        yield torch.randint(clips, (min(_CHUNK, draws - start), clips), generator=generator)


def _weights(clips: int, draws: int, seed: int) -> Iterator[Tensor]:
    """How often every clip is drawn, (draws, n) float64 in chunks."""
    for picks in drawn_clips(clips, draws=draws, seed=seed):
        ones = torch.ones(picks.shape, dtype=torch.float64)
        yield torch.zeros_like(ones).scatter_add_(1, picks, ones)


def _by_class(weights: Tensor, place: Tensor, classes: int) -> Tensor:
    """Weights (draws, n) added up by the class or bin of each clip: (draws, classes)."""
    return weights.new_zeros(len(weights), classes).index_add_(1, place, weights)


def _measured(logits: Tensor, labels: Tensor, weights: Tensor) -> dict[str, Tensor]:
    """Every measure, (draws,), where clips count as often as weights (draws, n) say."""
    return (_several if labels.ndim == 2 else _single)(logits, labels, weights)


def _single(logits: Tensor, labels: Tensor, weights: Tensor) -> dict[str, Tensor]:
    classes, clips = logits.shape[1], len(labels)
    chance, guess = logits.double().softmax(1).max(1)
    hit = (guess == labels).double()
    five = logits.topk(min(5, classes), dim=1).indices
    close = (five == labels[:, None]).any(1).double()
    truth = _by_class(weights, labels, classes)
    right = _by_class(weights * hit, labels, classes)
    named = _by_class(weights, guess, classes)
    present = (truth > 0).double()
    bins = (chance * BINS).ceil().sub(1).clamp(0, BINS - 1).long()
    gap = _by_class(weights * (hit - chance), bins, BINS)
    recall, f1 = right / truth.clamp(min=1), 2 * right / (truth + named).clamp(min=1)
    return {
        "top1": weights @ hit / clips,
        "top5": weights @ close / clips,
        "mean_class": (recall * present).sum(1) / present.sum(1),
        "macro_f1": (f1 * present).sum(1) / present.sum(1),
        "ece": gap.abs().sum(1) / clips,
    }


def _several(logits: Tensor, labels: Tensor, weights: Tensor) -> dict[str, Tensor]:
    seen = labels.bool().any(0)
    ranked, order = logits[:, seen].sort(0, descending=True)
    truth = labels[:, seen].double().gather(0, order)
    # Equal scores are one threshold: the precision of each is that of all of them.
    last = torch.searchsorted(-ranked.T.contiguous(), -ranked.T.contiguous(), right=True).T - 1
    rows = []
    for drawn in weights:
        count = drawn[order]
        positive = count * truth
        precision = (positive.cumsum(0) / count.cumsum(0).clamp(min=1e-12)).gather(0, last)
        total = positive.sum(0)
        average = (precision * positive).sum(0) / total.clamp(min=1e-12)
        rows.append(average[total > 0].mean())
    return {"map": torch.stack(rows)}
