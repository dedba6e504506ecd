"""Two models on the same clips."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from whyact.metrics.bootstrap import draws_of_measures, percentile_interval
from whyact.metrics.recognition import recognition_scores
from whyact.types import WhyactError


@dataclass(frozen=True)
class McNemar:
    """The exact McNemar test (McNemar, 1947) on which clips each model gets right.

    Attributes:
        only_first, only_second: clips that only one model gets right.
        p: two-sided probability of a split at least as uneven if the models were equal.
    """

    only_first: int
    only_second: int
    p: float


def mcnemar(first: Tensor, second: Tensor, labels: Tensor) -> McNemar:
    """Test the first guesses of two models.

    Args:
        first, second: logits (n, Y) of the same clips. labels: (n,).
    """
    a, b = first.argmax(1) == labels, second.argmax(1) == labels
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    total, low = only_a + only_b, min(only_a, only_b)
    tail, ways = 0, 1  # whole numbers, for 2^-total underflows a float
    for k in range(low + 1):
        tail, ways = tail + ways, ways * (total - k) // (k + 1)
    return McNemar(only_a, only_b, min(1.0, float(_ratio(2 * tail, total))))


def _ratio(numerator: int, bits: int) -> float:
    """``numerator / 2**bits`` for whole numbers of any size."""
    surplus = max(0, numerator.bit_length() - 64)
    return float(numerator >> surplus) * 2.0 ** (surplus - bits)


def paired_differences(
    first: Tensor, second: Tensor, labels: Tensor, *, draws: int = 2000, seed: int = 0
) -> dict[str, dict[str, object]]:
    """Difference of every measure, second minus first, with its paired bootstrap interval.

    Args:
        first, second: logits (n, Y) of the same clips. labels: (n,), or (n, Y) multi-hot.
        draws, seed: of the bootstrap.

    Returns:
        By measure: ``first``, ``second``, ``difference`` and its 95 % ``interval``.

    Raises:
        WhyactError: no clips.
    """
    if not len(labels):
        raise WhyactError("There are no clips to compare.")
    scores = [recognition_scores(x, labels, intervals=False) for x in (first, second)]
    resampled = [draws_of_measures(x, labels, draws=draws, seed=seed) for x in (first, second)]
    return {
        name: {
            "first": scores[0][name],
            "second": scores[1][name],
            "difference": scores[1][name] - scores[0][name],
            "interval": percentile_interval(resampled[1][name] - resampled[0][name]),
        }
        for name in resampled[0]
    }
