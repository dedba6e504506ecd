"""Two dimensions and clusters of codes whose answers are known."""

import sys

import pytest
import torch

from whyact.ops.projection import kmeans, pca, project
from whyact.types import WhyactError


def test_pca_finds_the_axes_by_variance_and_fixes_signs() -> None:
    # Spread 4 along (0, 1, 0), 1 along (1, 0, 0), none along the third; the mean is not 0.
    codes = torch.tensor([[0.0, 4, 7], [0, -4, 7], [1, 0, 7], [-1, 0, 7]]) + 10
    expected = torch.tensor([[4.0, 0], [-4, 0], [0, 1], [0, -1]])
    assert torch.allclose(pca(codes), expected, atol=1e-5)
    # A rotation of the codes leaves the distances as they are.
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)))[0]
    points = pca(codes @ turn)
    assert torch.allclose(torch.cdist(points, points), torch.cdist(expected, expected), atol=1e-4)
    assert pca(torch.arange(4.0)[:, None]).shape == (4, 2)  # a code of one channel


def test_kmeans_finds_the_groups_and_repeats() -> None:
    centres = torch.tensor([[0.0, 0], [10, 0], [0, 10]])
    noise = torch.randn(3, 20, 2, generator=torch.Generator().manual_seed(0))
    codes = (centres[:, None] + 0.1 * noise).flatten(0, 1)
    found = kmeans(codes, 3).view(3, 20)
    assert (found == found[:, :1]).all() and len(set(found[:, 0].tolist())) == 3
    assert torch.equal(kmeans(codes, 3, seed=1), kmeans(codes, 3, seed=1))
    assert kmeans(torch.ones(4, 2), 2).tolist() == [0] * 4  # nothing to tell apart
    for wrong in (1, 61):
        with pytest.raises(WhyactError, match=f"Expected 2 to 60 .* clusters, got {wrong}"):
            kmeans(codes, wrong)


def test_umap_keeps_neighbours_together() -> None:
    pytest.importorskip("umap")
    noise = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
    codes = noise + 30 * (torch.arange(40) < 20)[:, None]
    points = project(codes, "umap", seed=3)
    gap = torch.cdist(points, points)
    assert points.shape == (40, 2)
    assert gap[:20, :20].median() < 0.5 * gap[:20, 20:].min()
    assert torch.equal(points, project(codes, "umap", seed=3))


def test_what_cannot_be_projected_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(
        WhyactError, match=r"\(pca does not\) needs the package umap: .*whyact\[umap\]"
    ):
        project(torch.zeros(5, 2), "umap")
    with pytest.raises(WhyactError, match=r"no projection 'tsne'; choose from \['pca', 'umap'\]"):
        project(torch.zeros(5, 2), "tsne")
    with pytest.raises(WhyactError, match="at least three clips, got 2"):
        project(torch.zeros(2, 2), "pca")
