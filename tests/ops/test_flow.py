"""Optical flow of textures that were moved by a known amount."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from whyact.ops.flow import optical_flow, warp


def texture(count: int = 2, size: int = 64) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, size // 4, size // 4, generator=generator)
    return F.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 1)


@pytest.mark.parametrize("shift", [(1, 0), (3, -2), (6, 4)])
def test_a_shifted_texture(shift: tuple[int, int]) -> None:
    first = texture()
    second = torch.roll(first, (shift[1], shift[0]), (2, 3))
    flow = optical_flow(first, second)[:, :, 12:52, 12:52]
    assert flow[:, 0].median() == pytest.approx(shift[0], abs=0.05)
    assert flow[:, 1].median() == pytest.approx(shift[1], abs=0.05)
    # The moved image, pulled back along the flow, is the first one again.
    back, inside = warp(second, optical_flow(first, second))
    assert (back - first)[:, :, 20:44, 20:44].abs().median() < 0.01
    assert not bool(inside.all())


def test_nothing_moves_where_nothing_can_be_seen() -> None:
    flat = torch.full((1, 3, 32, 32), 0.4)
    assert float(optical_flow(flat, flat).abs().max()) == 0
    assert float(optical_flow(texture(1), texture(1)).abs().max()) < 1e-6


def test_images_do_not_see_each_other() -> None:
    first, second = texture(2), texture(2).flip(-1)
    both = optical_flow(first, second)
    assert torch.allclose(optical_flow(first[1:], second[1:]), both[1:], atol=1e-5)


def test_warp_by_hand() -> None:
    image = torch.arange(4.0).view(1, 1, 1, 4)
    flow = torch.zeros(1, 2, 1, 4)
    flow[:, 0] = 1  # every pixel looks one to the right
    moved, inside = warp(image, flow)
    assert moved.flatten().tolist() == [1, 2, 3, 3]
    assert inside.flatten().tolist() == [True, True, True, False]
