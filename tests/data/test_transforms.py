"""The same parameters for every frame and the mask; crops and flips by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from whyact.data.listing import mirror_pairs, mirrored
from whyact.data.transforms import (
    TestTransform,
    TrainTransform,
    flip_map,
    resize_short,
    swap_label,
)
from whyact.types import WhyactError

CLASSES = ("walk", "push left", "push right")
PAIRS = [("push left", "push right")]


def coordinates(height: int, width: int, frames: int = 3) -> Tensor:
    """(3, T, H, W): red holds the row, green the column, blue nothing."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    frame = torch.stack([rows, columns, torch.zeros_like(rows)]).byte()
    return frame[:, None].repeat(1, frames, 1, 1)


def corner(video: Tensor) -> tuple[int, int]:
    """Row and column in the original of the pixel at the top left."""
    return int(video[0, 0, 0, 0]), int(video[1, 0, 0, 0])


def blob(height: int, width: int) -> tuple[Tensor, Tensor]:
    """A black video with a white block, and the mask of the block."""
    mask = torch.zeros(3, height, width, dtype=torch.bool)
    mask[:, height // 4 : height // 2, width // 3 : width // 2] = True
    return mask[None].repeat(3, 1, 1, 1).byte() * 255, mask


@pytest.mark.parametrize("crop", ["random_resized", "random", "center"])
@pytest.mark.parametrize("stretch", [False, True])
def test_all_frames_and_the_mask_get_the_same_transform(crop: str, stretch: bool) -> None:
    transform = TrainTransform(
        short_side=40, size=32, stretch=stretch, crop=crop, flip=0.5, color_jitter=0.3
    )
    video, mask = blob(60, 90)
    for seed in range(20):
        out, cut, label = transform(video, mask, 0, np.random.default_rng(seed))
        assert out.shape == (3, 3, 32, 32) and out.dtype == torch.uint8 and label == 0
        assert cut is not None and cut.shape == (3, 32, 32) and cut.dtype == torch.bool
        assert (out == out[:, :1]).all() and (cut == cut[:1]).all()
        # The block stays where its mask is, but for interpolation at its rim.
        lit = out.float().mean((0, 1)) > out.float().mean((0, 1)).max() / 2
        union = (lit | cut[0]).sum()
        assert union == 0 or (lit & cut[0]).sum() / union > 0.7
        again = transform(video, None, 0, np.random.default_rng(seed))
        assert torch.equal(out, again[0]) and again[1] is None


@pytest.mark.parametrize("crop", ["random_resized", "random", "center"])
def test_stored_flow_of_another_size_shows_the_same_place(crop: str) -> None:
    ramp = torch.linspace(0, 255, 160).byte()
    video = ramp.expand(3, 2, 120, 160)
    flow = resize_short(video[:2], 60)
    assert flow.shape[-2:] == (60, 80)
    made = TrainTransform(short_side=120, size=64, crop=crop, flip=0.0, min_area=0.1)
    for seed in range(8):
        rng = np.random.default_rng(seed)
        pixels, _, cut, _, _ = made.geometry(video, None, flow, 0, rng)
        assert cut is not None and (pixels[0].float() - cut[0].float()).abs().max() <= 4


def test_random_crops_reach_every_place_and_flips_have_their_probability() -> None:
    video = coordinates(10, 12)
    transform = TrainTransform(short_side=10, size=8, crop="random", flip=0.25, color_jitter=0)
    corners, flips = set(), 0
    for seed in range(600):
        out, _, _ = transform(video, None, 0, np.random.default_rng(seed))
        turned = int(out[1, 0, 0, 0]) > int(out[1, 0, 0, -1])
        flips += turned
        corners.add(corner(out.flip(-1) if turned else out))
    assert corners == {(y, x) for y in range(3) for x in range(5)}
    assert 0.19 < flips / 600 < 0.31


def test_random_resized_crops_keep_their_area_and_aspect() -> None:
    video = coordinates(100, 160, frames=1)
    transform = TrainTransform(short_side=64, size=64, min_area=0.25, flip=0)
    areas, aspects = [], []
    for seed in range(300):
        out = transform(video, None, 0, np.random.default_rng(seed))[0].float()
        height = float(out[0, 0, -1, 0] - out[0, 0, 0, 0]) + 1
        width = float(out[1, 0, 0, -1] - out[1, 0, 0, 0]) + 1
        areas.append(height * width / 100**2)
        aspects.append(width / height)
    # Shares of the square of the short side; two pixels of interpolation at most.
    assert 0.23 < min(areas) < 0.32 and 0.85 < max(areas) < 1.1
    assert min(aspects) > 0.72 and max(aspects) < 1.39


def test_a_flip_swaps_only_the_labels_of_pairs() -> None:
    transform = TrainTransform(
        short_side=8, size=8, crop="center", flip=1.0, flip_pairs=PAIRS, classes=CLASSES
    )
    video, rng = coordinates(8, 8), np.random.default_rng(0)
    assert [transform(video, None, i, rng)[2] for i in range(3)] == [0, 2, 1]
    several = transform(video, None, torch.tensor([1.0, 0.0, 1.0]), rng)[2]
    assert isinstance(several, Tensor) and several.tolist() == [1.0, 1.0, 0.0]
    out, _, label = transform(video, None, 1, rng)
    assert torch.equal(out, video.flip(-1))
    back, _, same = transform(out, None, label, rng)
    assert torch.equal(back, video) and same == 1  # twice is nothing
    never = TrainTransform(
        short_side=8, size=8, crop="center", flip=0.0, flip_pairs=PAIRS, classes=CLASSES
    )
    assert never(video, None, 1, rng)[2] == 1


def test_labels_swap_by_hand() -> None:
    swap = flip_map(CLASSES, PAIRS)
    assert swap == {1: 2, 2: 1} and flip_map(CLASSES, []) == {}
    assert [swap_label(i, swap) for i in range(3)] == [0, 2, 1]
    with pytest.raises(WhyactError, match=r"flip_pairs names 'push up', no class"):
        flip_map(CLASSES, [("push left", "push up")])


def test_colour_jitter_is_off_at_zero_and_random_above() -> None:
    video = torch.randint(40, 200, (3, 2, 8, 8), dtype=torch.uint8)
    video[:, 1] = video[:, 0]
    settings = {"short_side": 8, "size": 8, "crop": "center", "flip": 0.0}
    off = TrainTransform(**settings, color_jitter=0.0)
    assert torch.equal(off(video, None, 0, np.random.default_rng(0))[0], video)
    on = TrainTransform(**settings, color_jitter=0.4)
    first, second = (on(video, None, 0, np.random.default_rng(s))[0] for s in (0, 1))
    assert not torch.equal(first, second) and not torch.equal(first, video)
    assert torch.equal(first[:, 0], first[:, 1])


def test_the_short_side_is_scaled_by_hand() -> None:
    assert resize_short(torch.zeros(3, 2, 120, 200, dtype=torch.uint8), 60).shape[-2:] == (60, 100)
    assert resize_short(torch.zeros(3, 2, 45, 31, dtype=torch.uint8), 62).shape[-2:] == (90, 62)
    video = coordinates(20, 33)
    assert resize_short(video, 20) is video
    # Half the size with antialiasing keeps a flat colour flat, and means the rest.
    small = resize_short(coordinates(64, 64), 32)
    assert abs(int(small[0, 0, 16, 0]) - 32.5) <= 1 and abs(int(small[1, 0, 0, 8]) - 16.5) <= 1


def test_the_centre_crop_by_hand() -> None:
    transform = TestTransform(short_side=10, size=8)
    out, mask = transform(coordinates(10, 16), torch.ones(3, 10, 16, dtype=torch.bool))
    assert corner(out) == (1, 4) and out.shape == (3, 3, 8, 8)
    assert mask is not None and mask.shape == (3, 8, 8) and mask.all()


@pytest.mark.parametrize(
    ("size", "corners"),
    [((10, 16), [(1, 0), (1, 4), (1, 8)]), ((16, 10), [(0, 1), (4, 1), (8, 1)])],
)
def test_three_crops_lie_along_the_longer_side(size, corners) -> None:
    transform = TestTransform(short_side=10, size=8, crops=3)
    assert [corner(transform(coordinates(*size), None, c)[0]) for c in range(3)] == corners


def test_ten_crops_are_corners_centre_and_their_flips() -> None:
    transform = TestTransform(short_side=10, size=8, crops=10)
    video = coordinates(10, 16)
    crops = [transform(video, video[0] > 4, c) for c in range(10)]
    assert [corner(v) for v, _ in crops[:5]] == [(0, 0), (0, 8), (2, 0), (2, 8), (1, 4)]
    for (video_, mask), (turned, turned_mask) in zip(crops[:5], crops[5:], strict=True):
        assert mask is not None and turned_mask is not None
        assert torch.equal(turned, video_.flip(-1)) and torch.equal(turned_mask, mask.flip(-1))
        assert torch.equal(mask, video_[0] > 4)


def test_a_stretched_video_keeps_its_edges() -> None:
    transform = TestTransform(short_side=32, size=32, stretch=True)
    out, mask = transform(coordinates(60, 240), coordinates(60, 240)[1] > 119)
    assert out.shape[-2:] == (32, 32) and mask is not None
    assert out[1, 0, 0, 0] < 8 and out[1, 0, 0, -1] > 231  # 240 columns on 32
    assert mask[0, 0].tolist() == [False] * 16 + [True] * 16


def test_training_at_the_centre_equals_the_test_pipeline() -> None:
    video = torch.randint(0, 256, (3, 2, 30, 50), dtype=torch.uint8)
    train = TrainTransform(short_side=24, size=16, crop="center", flip=0.0)
    test = TestTransform(short_side=24, size=16)
    out = train(video, None, 0, np.random.default_rng(0))[0]
    assert torch.equal(out, test(video, None)[0])


def test_wrong_settings_are_named() -> None:
    with pytest.raises(WhyactError, match=r"crops is 5; choose from \[1, 3, 10\]"):
        TestTransform(short_side=8, size=8, crops=5)
    with pytest.raises(WhyactError, match=r"short_side \(8\) must be at least .*size \(16\)"):
        TestTransform(short_side=8, size=16)
    with pytest.raises(WhyactError, match=r"short_side \(8\) must be at least .*size \(16\)"):
        TrainTransform(short_side=8, size=16)
    with pytest.raises(WhyactError, match=r"train_crop is 'middle'; choose random_resized"):
        TrainTransform(short_side=8, size=8, crop="middle")


@settings(deadline=None, max_examples=60)
@given(
    sides=st.lists(st.sampled_from(["left", "right", "up", ""]), min_size=2, max_size=12),
    seed=st.integers(0, 999),
)
def test_flipping_twice_is_nothing_and_only_mirrored_names_swap(sides, seed) -> None:
    classes = [f"move {i // 2} {side}".strip() for i, side in enumerate(sides)]
    swap = flip_map(classes, mirror_pairs(classes))
    for i, name in enumerate(classes):
        there = int(swap_label(i, swap))
        assert swap_label(there, swap) == i
        if there != i:
            assert classes[there] == mirrored(name) != name
    several = torch.from_numpy(np.random.default_rng(seed).random(len(classes)))
    assert torch.equal(swap_label(swap_label(several, swap), swap), several)  # type: ignore[arg-type]
    video = torch.arange(3 * 2 * 8 * 8, dtype=torch.uint8).reshape(3, 2, 8, 8)
    transform = TrainTransform(
        short_side=8, size=8, crop="center", flip=1.0, classes=classes,
        flip_pairs=mirror_pairs(classes),
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    once, _, label = transform(video, None, 0, rng)
    twice, _, back = transform(once, None, label, rng)
    assert torch.equal(once, video.flip(-1)) and torch.equal(twice, video) and back == 0
