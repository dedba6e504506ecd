"""Independence of two sets of codes, measured by kernels: HSIC and its permutation test."""

from __future__ import annotations

import torch
from torch import Tensor

MIN_CLIPS = 4
"""The unbiased estimate divides by n - 3."""


def gaussian_kernel(codes: Tensor) -> Tensor:
    """(n, n), ``exp(-d^2 / (2 m^2))`` with m the median distance between two different clips."""
    # From differences, not from products: exact for close codes, and smooth at distance 0.
    square = (codes[:, None] - codes[None]).square().sum(-1)
    others = ~torch.eye(len(codes), dtype=torch.bool, device=codes.device)
    median = square.detach()[others].median().clamp_min(1e-12)
    return torch.exp(-square / (2 * median))


def unbiased_hsic(first: Tensor, second: Tensor) -> Tensor:
    """HSIC from two kernel matrices (n, n), n at least 4 (Song et al., JMLR 2012, eq. 5)."""
    n = len(first)
    off = 1 - torch.eye(n, device=first.device, dtype=first.dtype)
    first, second = first * off, second * off
    trace = (first * second).sum()
    whole = first.sum() * second.sum() / ((n - 1) * (n - 2))
    cross = 2 / (n - 2) * (first.sum(0) * second.sum(0)).sum()
    return (trace + whole - cross) / (n * (n - 3))


def normalised_hsic(action: Tensor, nuisance: Tensor) -> Tensor:
    """Return nHSIC of (n, C) and (n, C'), n at least 4: 0 for independent, 1 for equal codes."""
    with torch.autocast(action.device.type, enabled=False):
        a, z = gaussian_kernel(action.float()), gaussian_kernel(nuisance.float())
        own = (unbiased_hsic(a, a) * unbiased_hsic(z, z)).clamp_min(1e-8)
        return unbiased_hsic(a, z) / own.sqrt()


def permutation_p_value(
    action: Tensor, nuisance: Tensor, permutations: int, generator: torch.Generator
) -> float:
    """Share of random pairings whose HSIC is at least the true one's, the true one included.

    Source: Gretton et al., A Kernel Statistical Test of Independence (NIPS 2007).

    Args:
        action: (n, C).
        nuisance: (n, C').
        permutations: random pairings; the smallest p-value is ``1 / (permutations + 1)``.
        generator: on the CPU.

    Returns:
        In (0, 1]; 1 for fewer than four rows or codes of width 0.
    """
    if len(action) < MIN_CLIPS or 0 in (action.shape[1], nuisance.shape[1]):
        return 1.0
    a, z = gaussian_kernel(action.float()), gaussian_kernel(nuisance.float())
    true = unbiased_hsic(a, z)
    hits = 1
    for _ in range(permutations):
        order = torch.randperm(len(a), generator=generator).to(a.device)
        hits += int(unbiased_hsic(a, z[order][:, order]) >= true)
    return hits / (permutations + 1)
