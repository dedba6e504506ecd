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
