"""Imputation against a dense solution of the same equations."""

import torch
from torch import Tensor

from whyact.ops.impute import impute


def dense(image: Tensor, hole: Tensor) -> Tensor:
    """One channel (h, w): solve weighted-mean equations as a full matrix."""
    h, w = image.shape
    places = hole.nonzero().tolist()
    number = {tuple(p): i for i, p in enumerate(places)}
    a, b = torch.zeros(len(places), len(places)).double(), torch.zeros(len(places)).double()
    for (y, x), i in number.items():
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                ny, nx = y + dy, x + dx
                if (dy, dx) == (0, 0) or not (0 <= ny < h and 0 <= nx < w):
                    continue
                weight = 1 / 12 if dy and dx else 1 / 6
                a[i, i] += weight
                if (ny, nx) in number:
                    a[i, number[ny, nx]] -= weight
                else:
                    b[i] += weight * float(image[ny, nx])
    solved = image.double().clone()
    solved[hole] = torch.linalg.solve(a, b)
    return solved


def test_the_equations_are_solved() -> None:
    generator = torch.Generator().manual_seed(0)
    video = torch.rand(2, 3, 2, 10, 12, generator=generator)
    mask = torch.rand(2, 2, 10, 12, generator=generator) < 0.6
    filled, error = impute(video, mask, tolerance=1e-6)
    assert error.shape == (2,) and float(error.max()) <= 1e-6
    for b, c, t in ((0, 0, 0), (1, 2, 1)):
        assert torch.allclose(
            filled[b, c, t].double(), dense(video[b, c, t], mask[b, t]), atol=1e-4
        )
    assert torch.equal(filled.where(~mask[:, None], video), video)


def test_a_linear_slope_is_restored() -> None:
    slope = torch.linspace(0, 1, 16).expand(16, 16)
    video = slope.expand(1, 3, 1, 16, 16).clone()
    mask = torch.zeros(1, 1, 16, 16, dtype=torch.bool)
    mask[..., 4:12, 4:12] = True
    filled, _ = impute(video, mask, tolerance=1e-6)
    assert torch.allclose(filled, video, atol=1e-3)


def test_a_frame_without_a_known_pixel_gets_the_mean_colour() -> None:
    video = torch.zeros(1, 3, 2, 4, 4)
    video[:, 0, 1] = 0.5
    mask = torch.zeros(1, 2, 4, 4, dtype=torch.bool)
    mask[:, 0] = True
    filled, _ = impute(video, mask)
    assert filled[0, 0, 0].unique().tolist() == [0.5] and float(filled[0, 1].max()) == 0
    everything, _ = impute(video, torch.ones_like(mask))
    assert everything[0, 0].unique().tolist() == [0.25]


def test_clips_do_not_see_each_other() -> None:
    generator = torch.Generator().manual_seed(1)
    video = torch.rand(3, 3, 2, 16, 16, generator=generator)
    mask = torch.rand(3, 2, 16, 16, generator=generator) < 0.5
    mask[0] = False
    together, _ = impute(video, mask)
    alone, _ = impute(video[1:2], mask[1:2])
    assert torch.allclose(together[1:2], alone, atol=1e-6)
    assert torch.equal(together[0], video[0])
