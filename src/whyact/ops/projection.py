"""Many-dimensional codes in two dimensions, and in clusters."""

from __future__ import annotations

import torch
from torch import Tensor

from whyact.extras import needed
from whyact.types import WhyactError

PROJECTIONS = ("pca", "umap")


def project(codes: Tensor, method: str, seed: int = 0) -> Tensor:
    """Codes (n, C) as points (n, 2).

    Args:
        codes: of at least three clips.
        method: ``pca``, or ``umap`` (McInnes et al., 2018), which shows neighbourhoods and no
            distances, and needs the extra ``umap``.
        seed: of UMAP.

    Raises:
        WhyactError: another method, fewer than three clips, or UMAP that is not installed.
    """
    if method not in PROJECTIONS:
        raise WhyactError(f"There is no projection '{method}'; choose from {list(PROJECTIONS)}.")
    if len(codes) < 3:
        raise WhyactError(f"A projection needs at least three clips, got {len(codes)}.")
    return pca(codes) if method == "pca" else _umap(codes, seed)


def pca(codes: Tensor) -> Tensor:
    """(n, 2), the two directions of largest variance, the larger first.

    A direction's sign is free; here its largest entry is positive, so that two runs agree.
    """
    centred = (codes - codes.mean(0)).double()
    _, _, directions = torch.linalg.svd(centred, full_matrices=False)
    axes = directions[:2]
    largest = axes.gather(1, axes.abs().argmax(1, keepdim=True))
    points = centred @ (axes * largest.sign()).T
    return torch.nn.functional.pad(points, (0, 2 - points.shape[1])).float()


def _umap(codes: Tensor, seed: int) -> Tensor:
    umap = needed("umap", "umap", "The projection 'umap' (pca does not)")
    neighbours = min(15, len(codes) - 1)
    made = umap.UMAP(n_neighbors=neighbours, init="pca", random_state=seed, n_jobs=1)
    return torch.from_numpy(made.fit_transform(codes.numpy())).float()


def kmeans(codes: Tensor, clusters: int, seed: int = 0, rounds: int = 100) -> Tensor:
    """Cluster of every code, (n,) int64, by Lloyd's algorithm from k-means++ seeds.

    Source: Arthur and Vassilvitskii, k-means++ (SODA 2007). The best of ten starts is kept.

    Args:
        codes: (n, C). clusters: at least 2, at most n. seed: of the starts. rounds: at most.
    """
    if not 2 <= clusters <= len(codes):
        raise WhyactError(f"Expected 2 to {len(codes)} (the clips) clusters, got {clusters}.")
    codes = codes.double()
    generator = torch.Generator().manual_seed(seed)
    found = [_lloyd(codes, _spread(codes, clusters, generator), rounds) for _ in range(10)]
    return min(found, key=lambda pair: pair[1])[0]


def _spread(codes: Tensor, clusters: int, generator: torch.Generator) -> Tensor:
    """Centres (clusters, C): codes drawn by their squared distance to those drawn before."""
    chosen = [int(torch.randint(len(codes), (1,), generator=generator))]
    while len(chosen) < clusters:
        gap = torch.cdist(codes, codes[chosen]).amin(1).square()
        # Codes that are all the same leave no distance to draw by.
        chances = gap if bool(gap.any()) else torch.ones_like(gap)
        chosen.append(int(torch.multinomial(chances, 1, generator=generator)))
    return codes[chosen]


def _lloyd(codes: Tensor, centres: Tensor, rounds: int) -> tuple[Tensor, float]:
    """Clusters (n,), and the summed squared distance to their centres."""
    for _ in range(rounds):
        nearest = torch.cdist(codes, centres).argmin(1)
        sums = torch.zeros_like(centres).index_add_(0, nearest, codes)
        counts = nearest.bincount(minlength=len(centres))[:, None]
        moved = torch.where(counts > 0, sums / counts.clamp_min(1), centres)
        if torch.equal(moved, centres):
            break
        centres = moved
    distance = torch.cdist(codes, centres)
    return distance.argmin(1), float(distance.amin(1).square().sum())
