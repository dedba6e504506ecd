"""Grids, windows and blur against values worked out by hand."""

import torch

from whyact.ops.warp import blur, box_mean, dilate, erode, inside, sample, similarity_grid


def ramp(height: int = 5, width: int = 6) -> torch.Tensor:
    """Pixel (y, x) has value 10 y + x."""
    return (10 * torch.arange(height)[:, None] + torch.arange(width)).float()[None, None]


def test_shift_moves_content_to_the_left() -> None:
    grid = similarity_grid(torch.tensor([[1.0, 0.0]]), torch.zeros(1), (5, 6), (5, 6))
    moved = sample(ramp(), grid)[0, 0]
    assert torch.allclose(moved[:, :5], ramp()[0, 0, :, 1:], atol=1e-4)
    assert inside(grid)[0, 0].tolist() == [True] * 5 + [False]


def test_larger_target_keeps_the_centre() -> None:
    grid = similarity_grid(torch.zeros(1, 2), torch.zeros(1), (5, 6), (9, 10))
    canvas = sample(ramp(), grid)[0, 0]
    assert torch.allclose(canvas[2:7, 2:8], ramp()[0, 0], atol=1e-4)
    assert inside(grid)[0].sum() == 30


def test_zoom_reads_further_from_the_centre() -> None:
    grid = similarity_grid(torch.zeros(1, 2), torch.tensor([0.5]), (5, 5), (5, 5))
    row = sample(ramp(5, 5), grid)[0, 0, 2]
    # Columns -1, 0, 1 around the centre 22 read 1.5 columns away.
    assert torch.allclose(row[1:4], torch.tensor([20.5, 22.0, 23.5]), atol=1e-4)


def test_box_mean_counts_only_what_is_inside() -> None:
    line = torch.tensor([[1.0, 2.0, 6.0, 3.0]])
    assert torch.allclose(box_mean(line, (0, 1)), torch.tensor([[1.5, 3.0, 11 / 3, 4.5]]))
    assert torch.allclose(box_mean(line.T, (9, 0)), torch.full((4, 1), 3.0))
    square = torch.rand(2, 3, 7, 5)
    expected = torch.nn.functional.avg_pool2d(square, 3, 1, 1, count_include_pad=False)
    assert torch.allclose(box_mean(square, 1), expected, atol=1e-6)


def test_dilate_and_erode_equal_pooling() -> None:
    maps = torch.rand(2, 3, 9, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(dilate(maps, 2), torch.nn.functional.max_pool2d(maps, 5, 1, 2))
    assert torch.equal(erode(maps, 1), -torch.nn.functional.max_pool2d(-maps, 3, 1, 1))
    assert torch.equal(dilate(maps, 0), maps)
    assert torch.equal(dilate(maps, 20)[0, 0], maps[0, 0].max().expand(9, 8))


def test_blur_keeps_constants_and_spreads_a_point() -> None:
    assert torch.allclose(blur(torch.full((1, 2, 6, 6), 0.3), 1.5), torch.tensor(0.3))
    point = torch.zeros(1, 1, 9, 9)
    point[..., 4, 4] = 1
    spread = blur(point, 1.0)[0, 0]
    assert torch.isclose(spread.sum(), torch.tensor(1.0), atol=1e-5)
    # One pixel aside, a Gaussian of sigma 1 is exp(-1/2) of its peak.
    assert torch.isclose(spread[4, 5] / spread[4, 4], torch.tensor(-0.5).exp(), atol=1e-4)
