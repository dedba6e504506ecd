"""Localisation on hand-made maps: perfect, inverted, empty, constant, tied, broken."""

import math

import pytest
import torch
from torch import Tensor

from whyact.metrics.localisation import (
    area_share,
    energy_pointing,
    grid_ceiling,
    iou_curve,
    iou_equal_area,
    pointing_chance,
    pointing_game,
    rank_accuracy,
)
from whyact.types import WhyactError

METRICS = [energy_pointing, pointing_game, iou_equal_area, rank_accuracy]


def square_mask() -> Tensor:
    """Two frames of 4 x 4 with a 2 x 2 actor: a quarter of the cells."""
    mask = torch.zeros(1, 2, 4, 4, dtype=torch.bool)
    mask[:, :, :2, :2] = True
    return mask


def one(values: Tensor) -> float:
    assert values.shape == (1,) and values.dtype == torch.float64
    return float(values)


def test_perfect_inverted_constant_and_empty_maps() -> None:
    mask = square_mask()
    perfect, inverted = mask.float(), (~mask).float()
    constant, empty = torch.ones_like(perfect), torch.zeros_like(perfect)
    assert one(energy_pointing(perfect, mask)) == pytest.approx(0.75)  # 1 - chance
    assert one(energy_pointing(inverted, mask)) == pytest.approx(-0.25)
    assert one(rank_accuracy(perfect, mask)) == pytest.approx(0.75)
    assert one(rank_accuracy(inverted, mask)) == pytest.approx(-0.25)
    assert one(iou_equal_area(perfect, mask)) == 1
    assert one(iou_equal_area(inverted, mask)) == 0
    assert one(pointing_game(perfect, mask)) == 1
    assert one(pointing_game(inverted, mask)) == 0
    for flat in (constant, empty):
        assert one(energy_pointing(flat, mask)) == pytest.approx(0)
        assert one(rank_accuracy(flat, mask)) == pytest.approx(0)
        # 4 of 16 tied cells at random hit 1 on average: 1 / (4 + 4 - 1).
        assert one(iou_equal_area(flat, mask)) == pytest.approx(1 / 7)
        assert one(pointing_game(flat, mask)) == 0  # ties with the outside are no hits


def test_values_between() -> None:
    mask = square_mask()
    heat = torch.zeros(1, 2, 4, 4)
    heat[0, 0, 0, 0], heat[0, 0, 3, 3], heat[0, 1, 3, 3] = 3.0, 1.0, 2.0
    assert one(energy_pointing(heat, mask)) == pytest.approx(3 / 6 - 0.25)
    assert one(pointing_game(heat, mask)) == 0.5  # frame 0 hits, frame 1 does not
    # Of the 8 hottest of 32: three are set (one inside), 5 tie with the other 29 zeros, 7 inside.
    assert one(rank_accuracy(heat, mask)) == pytest.approx((1 + 5 * 7 / 29) / 8 - 0.25)
    # Frame 0: two set (1 inside), 2 of 14 tied with 3 inside. Frame 1: one set, 3 of 15, 4 inside.
    overlaps = [1 + 2 * 3 / 14, 3 * 4 / 15]
    wanted = sum(o / (8 - o) for o in overlaps) / 2
    assert one(iou_equal_area(heat, mask)) == pytest.approx(wanted)


def test_ties_for_the_hottest_cell() -> None:
    mask = square_mask()
    heat = torch.zeros(1, 2, 4, 4)
    heat[0, :, 0, 0] = heat[0, :, 1, 1] = 1.0  # both in the mask
    assert one(pointing_game(heat, mask)) == 1
    heat[0, 1, 3, 3] = 1.0  # in frame 1 a third one outside
    assert one(pointing_game(heat, mask)) == 0.5


def test_empty_frames_do_not_count_and_empty_or_full_masks_are_undefined() -> None:
    mask = square_mask()
    mask[0, 1] = False
    heat = mask.float()
    heat[0, 1, 0, 0] = 5.0  # the hottest frame has no actor
    assert one(pointing_game(heat, mask)) == 1
    assert one(pointing_chance(mask)) == 0.25
    assert one(iou_equal_area(heat, mask)) == 1
    assert one(area_share(mask)) == pytest.approx(1 / 8)
    assert one(energy_pointing(heat, mask)) == pytest.approx(4 / 9 - 1 / 8)
    for undefined in (torch.zeros_like(mask), torch.ones_like(mask)):
        for metric in METRICS:
            assert math.isnan(one(metric(heat, undefined)))
        assert bool(iou_curve(heat, undefined, torch.tensor([0.5])).isnan().all())


def test_iou_curve_by_hand() -> None:
    mask = square_mask()
    heat = mask.float()
    heat[:, :, 0, 2] = 0.5
    heat[:, :, 0, 0] = 0.4
    curve = iou_curve(heat, mask, torch.tensor([0.3, 0.5, 0.6, 1.0]))
    assert curve[0].tolist() == pytest.approx([4 / 5, 3 / 5, 3 / 4, 3 / 4])
    # Doubling the heat changes nothing; an empty map overlaps with nothing.
    assert torch.equal(iou_curve(2 * heat, mask, torch.tensor([0.5])), curve[:, 1:2])
    assert iou_curve(0 * heat, mask, torch.tensor([0.5])).item() == 0
    with pytest.raises(WhyactError, match="above 0 and at most 1"):
        iou_curve(heat, mask, torch.tensor([0.0]))


def test_results_do_not_depend_on_the_batch() -> None:
    generator = torch.Generator().manual_seed(0)
    heat = torch.rand(5, 3, 6, 6, generator=generator)
    mask = torch.rand(5, 3, 6, 6, generator=generator) < 0.3
    for metric in METRICS:
        together = metric(heat, mask)
        for b in range(5):
            assert float(metric(heat[b : b + 1], mask[b : b + 1])) == pytest.approx(
                float(together[b])
            )


def test_random_maps_are_at_chance() -> None:
    generator = torch.Generator().manual_seed(0)
    heat = torch.rand(400, 2, 8, 8, generator=generator)
    mask = square_mask().repeat_interleave(2, 2).repeat_interleave(2, 3).expand(400, -1, -1, -1)
    assert abs(float(energy_pointing(heat, mask).mean())) < 0.01
    assert abs(float(rank_accuracy(heat, mask).mean())) < 0.01
    assert float(pointing_game(heat, mask).mean()) == pytest.approx(0.25, abs=0.05)


def test_grid_ceiling_is_perfect_on_a_grid_that_fits_and_lower_on_a_coarse_one() -> None:
    mask = torch.zeros(1, 4, 8, 8, dtype=torch.bool)
    mask[:, :, 2:4, 3:7] = True
    assert torch.equal(grid_ceiling(mask, (4, 8, 8)), mask.double())
    assert one(iou_equal_area(grid_ceiling(mask, (4, 8, 8)), mask)) == 1
    coarse = grid_ceiling(mask, (2, 2, 2))
    # All of the actor is in the upper half: 2 of the left 16 pixels, 6 of the right.
    assert coarse.shape == mask.shape
    assert float(coarse[0, 0, 0, 0]) == pytest.approx(2 / 16)
    assert float(coarse[0, 0, 0, 7]) == pytest.approx(6 / 16)
    assert 0 < one(iou_equal_area(coarse, mask)) < 1


def test_the_ceiling_of_cells_with_one_value() -> None:
    """Of a mask that is a cell, and of one in cells that the clip's end cuts."""
    mask = torch.zeros(1, 4, 10, 8, dtype=torch.bool)
    mask[:, 2:, 4:8, :4] = True
    found = grid_ceiling(mask, (2, 3, 2), (2, 4, 4))
    assert torch.equal(found, mask.double()) and one(iou_equal_area(found, mask)) == 1
    assert float(energy_pointing(found, mask)) == pytest.approx(1 - float(mask.double().mean()))
    end = torch.zeros(1, 4, 10, 8, dtype=torch.bool)
    end[:, :, 8:, :4] = True
    assert torch.equal(grid_ceiling(end, (2, 3, 2), (2, 4, 4)), end.double())


@pytest.mark.parametrize("metric", METRICS)
def test_bad_maps_are_errors(metric) -> None:  # type: ignore[no-untyped-def]
    mask = square_mask()
    heat = torch.rand(1, 2, 4, 4)
    with pytest.raises(WhyactError, match=r"negative values.*clamp_min"):
        metric(heat - 1, mask)
    with pytest.raises(WhyactError, match="no finite numbers"):
        metric(heat.where(heat > 0.5, heat * float("nan")), mask)
    with pytest.raises(WhyactError, match=r"\(1, 2, 4, 4\) and masks \(1, 2, 4, 3\)"):
        metric(heat, mask[..., :3])
    with pytest.raises(WhyactError, match="0 and 1 only"):
        metric(heat, mask * 0.5)
