"""From values of clips to a number that can be printed: mean, interval, counts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from whyact.metrics.bootstrap import draws_of_means, percentile_interval
from whyact.types import WhyactError


@dataclass(frozen=True)
class Summary:
    """A mean over clips.

    Attributes:
        mean, low, high: of the defined values, with its bootstrap interval; None without any.
        clips: number of defined values. undefined: number of clips without a value.
    """

    mean: float | None
    low: float | None
    high: float | None
    clips: int
    undefined: int

    def __str__(self) -> str:
        missing = f", {self.undefined} N/A" if self.undefined else ""
        if self.mean is None:
            return f"N/A (0 clips{missing})"
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}] ({self.clips} clips{missing})"


def summarise(values: Tensor, *, level: float = 0.95, draws: int = 2000, seed: int = 0) -> Summary:
    """Mean of ``values`` (n,) with its percentile bootstrap interval over clips.

    NaN marks a clip for which a metric is undefined; it is counted, never averaged.

    Raises:
        WhyactError: infinite values, or another shape.
    """
    if values.ndim != 1 or bool(values.isinf().any()):
        raise WhyactError(
            f"Expected one finite value (or NaN for undefined) a clip, got shape "
            f"{tuple(values.shape)}" + (" with infinities." if values.isinf().any() else ".")
        )
    defined = values[~values.isnan()].double().cpu()
    missing = len(values) - len(defined)
    if not len(defined):
        return Summary(None, None, None, 0, missing)
    drawn = draws_of_means(defined[None], draws=draws, seed=seed)[0]
    low, high = percentile_interval(drawn, level=level)
    return Summary(float(defined.mean()), low, high, len(defined), missing)


def summarise_difference(first: Tensor, second: Tensor, *, seed: int = 0) -> Summary:
    """`summarise` of ``first - second``, clip by clip: two methods on the same clips.

    Args:
        first, second: (n,) in the same order; a clip undefined in either is undefined.
        seed: of the bootstrap.

    Raises:
        WhyactError: different numbers of clips.
    """
    if first.shape != second.shape:
        raise WhyactError(
            f"Only values of the same clips can be compared, got {tuple(first.shape)} and "
            f"{tuple(second.shape)}."
        )
    return summarise(torch.as_tensor(first - second), seed=seed)


def summarise_gap(
    first: Tensor, second: Tensor, *, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> Summary:
    """Difference of the means of two sets of different clips, each drawn anew in the bootstrap.

    Args:
        first, second: (n,) and (m,); NaN marks an undefined clip.

    Returns:
        ``clips`` counts both sets.
    """
    sets = [v[~v.isnan()].double().cpu() for v in (first, second)]
    clips = sum(len(v) for v in sets)
    missing = len(first) + len(second) - clips
    if not all(len(v) for v in sets):
        return Summary(None, None, None, clips, missing)
    generator = torch.Generator().manual_seed(seed)
    means = [v[torch.randint(len(v), (draws, len(v)), generator=generator)].mean(1) for v in sets]
    tail = (1 - level) / 2
    ends = torch.tensor([tail, 1 - tail], dtype=torch.float64)
    low, high = torch.quantile(means[0] - means[1], ends).tolist()
    return Summary(float(sets[0].mean() - sets[1].mean()), low, high, clips, missing)
