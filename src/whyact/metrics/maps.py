"""What all metrics of heat maps ask of them."""

from __future__ import annotations

import torch
from torch import Tensor

from whyact.types import WhyactError


def check_heat(heat: Tensor) -> Tensor:
    """A heat map (B, T, H, W) in double precision.

    Raises:
        WhyactError: another shape, values that are no finite numbers, or negative ones.
    """
    if heat.ndim != 4:
        raise WhyactError(f"Expected heat maps (B, T, H, W), got {tuple(heat.shape)}.")
    if not bool(torch.isfinite(heat).all()):
        raise WhyactError("The heat maps have values that are no finite numbers.")
    if bool((heat < 0).any()):
        raise WhyactError(
            "The heat maps have negative values; metrics read evidence for the class: pass the "
            "positive part, heat.clamp_min(0)."
        )
    return heat.double()


def check_pair(heat: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Heat maps and masks (B, T, H, W), in double precision and as bool.

    Raises:
        WhyactError: as `check_heat`, or masks of another shape or with values besides 0 and 1.
    """
    heat = check_heat(heat)
    if mask.shape != heat.shape:
        raise WhyactError(
            f"Heat maps {tuple(heat.shape)} and masks {tuple(mask.shape)} differ in shape."
        )
    if mask.dtype != torch.bool and not bool(((mask == 0) | (mask == 1)).all()):
        raise WhyactError("Masks must hold 0 and 1 only; choose a threshold for soft ones.")
    return heat, mask.bool().to(heat.device)


def ranks(values: Tensor) -> Tensor:
    """Ranks (n, cells) of values in each row, ties averaged, in double precision."""
    ordered = values.sort(1).values
    low = torch.searchsorted(ordered, values.contiguous(), right=False)
    high = torch.searchsorted(ordered, values.contiguous(), right=True)
    return (low + high - 1).double() / 2


def correlation(first: Tensor, second: Tensor) -> Tensor:
    """Pearson correlation of rows (n, cells), (n,) in double precision; NaN for a constant row."""
    a, b = first.double(), second.double()
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    # Scaled first, so that squares neither vanish nor overflow.
    a = a / a.abs().amax(1, keepdim=True).clamp_min(1e-300)
    b = b / b.abs().amax(1, keepdim=True).clamp_min(1e-300)
    size = a.norm(dim=1) * b.norm(dim=1)
    value = (a * b).sum(1) / size.clamp_min(1e-300)
    return value.where(size > 1e-6, value.new_tensor(float("nan"))).clamp(-1, 1)


def map_similarity(first: Tensor, second: Tensor) -> Tensor:
    """Rank correlation (Spearman) of heat maps (B, T, H, W), clip by clip, (B,) in [-1, 1].

    A map that did not change has similarity 1, a constant one too; where just one of the two is
    constant it is 0.

    Raises:
        WhyactError: as `check_heat`, or different shapes.
    """
    if first.shape != second.shape:
        raise WhyactError(
            f"Only maps of the same clips can be compared, got {tuple(first.shape)} and "
            f"{tuple(second.shape)}."
        )
    a, b = check_heat(first).flatten(1), check_heat(second).flatten(1)
    value = correlation(ranks(a), ranks(b)).nan_to_num(0.0)
    return value.where((a != b).any(1), value.new_ones(()))
