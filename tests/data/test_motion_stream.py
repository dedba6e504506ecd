"""The motion stream follows the pixels' geometry, and not their colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.data.miniatures import clip, frame_folder

from whyact.data.annotations import read_folder
from whyact.data.motion_stream import MotionStream
from whyact.data.transforms import TestTransform, TrainTransform
from whyact.data.video_dataset import VideoDataset
from whyact.ops.motion_field import frame_changes, mirror_flow, to_bytes
from whyact.types import Clip, Failure, WhyactError


def dataset(root: Path, motion: MotionStream, *, train: bool = False, **settings) -> VideoDataset:
    transform = TrainTransform(
        short_side=24, size=16, crop="random", **{"flip": 0.0, "color_jitter": 0.0, **settings}
    )
    return VideoDataset(
        listing=read_folder(root=str(root)), frames=4, sampling="dense", motion=motion,
        train_transform=transform if train else None,
        test_transform=TestTransform(short_side=24, size=16, crops=10), seed=1,
    )  # fmt: skip


def item(data: VideoDataset, request: tuple[int, int]) -> Clip:
    found = data[request]
    assert isinstance(found, Clip) and found.motion is not None
    return found


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """Frames whose stored flow is x = column and y = frame."""
    folder = tmp_path / "set" / "bow" / "clip"
    frame_folder(folder, 0, pattern="img_{:05d}.jpg")
    for i in range(1, 12):
        x = np.tile(np.arange(40, dtype=np.uint8) * 5, (32, 1))
        Image.fromarray(x).save(folder / f"flow_x_{i:05d}.png")
        Image.fromarray(np.full((32, 40), 10 * i, np.uint8)).save(folder / f"flow_y_{i:05d}.png")
    return tmp_path / "set"


def test_differences_follow_crop_and_flip_but_not_colours(tmp_path: Path) -> None:
    clip(tmp_path / "bow" / "a.mp4", 0)
    stream = MotionStream(source="difference")
    for settings in ({}, {"flip": 1.0}):
        plain = item(dataset(tmp_path, stream, train=True, **settings), (0, 3))
        expected = to_bytes(frame_changes(plain.video.float() / 255) * 2 - 1)
        assert plain.motion is not None and torch.equal(plain.motion, expected)
    bright = item(dataset(tmp_path, stream, train=True, flip=1.0, color_jitter=0.8), (0, 3))
    assert not torch.equal(bright.video, plain.video)
    assert bright.motion is not None and torch.equal(bright.motion, plain.motion)
    strong = MotionStream(source="difference", jitter=0.5)
    other = item(dataset(tmp_path, strong, train=True, flip=1.0), (0, 3))
    assert torch.equal(other.video, plain.video) and other.motion is not None
    ratio = (other.motion.float() - 127.5) / (plain.motion.float() - 127.5)
    moving = (plain.motion.float() - 127.5).abs() > 30
    assert moving.any() and ratio[moving].std() < 0.05 and 0.5 <= ratio[moving].mean() <= 1.5


def test_differences_know_nothing_of_a_scene_that_was_exchanged(
    tmp_path: Path, monkeypatch
) -> None:
    clip(tmp_path / "bow" / "a.mp4", 0)
    monkeypatch.setattr("whyact.data.transforms.before_other_scene", lambda v, _: v // 2)
    stream = MotionStream(source="difference")
    found = item(dataset(tmp_path, stream, train=True, other_scene=1.0), (0, 3))
    plain = item(dataset(tmp_path, stream, train=True), (0, 3))
    assert torch.equal(found.video, plain.video // 2)
    expected = to_bytes(frame_changes(found.video.float() / 255) * 2 - 1)
    assert found.motion is not None and torch.equal(found.motion, expected)


def test_stored_flow_is_cut_and_mirrored_with_the_pixels(stored: Path) -> None:
    stream = MotionStream(source="images")
    data = dataset(stored, stream)
    middle, mirrored = item(data, (0, 4)), item(data, (0, 9))
    assert middle.motion is not None and mirrored.motion is not None
    assert torch.equal(middle.video.flip(-1), mirrored.video)
    assert torch.equal(mirror_flow(middle.motion), mirrored.motion)
    # Frames 4 to 7 of twelve (dense, in the middle, counted from 0).
    assert (
        middle.motion[1, :, 0, 0].tolist() == [50, 60, 70, 80]
        or (middle.motion[1, :, 0, 0].diff() == 10).all()
    )
    left = item(data, (0, 0)).motion
    assert left is not None and left[0, 0, 0, 0] < middle.motion[0, 0, 0, 0]
    last = stream.read(stored / "bow" / "clip", [10, 11])
    assert torch.equal(last[:, 0], last[:, 1])  # the twelfth frame has no flow of its own


def test_missing_flow_is_a_failure_of_the_clip(stored: Path, tmp_path: Path) -> None:
    (stored / "bow" / "clip" / "flow_y_00006.png").unlink()
    found = dataset(stored, MotionStream(source="images"))[0, 4]
    assert isinstance(found, Failure) and "flow_y_00006.jpg: no such file" in found.reason
    clip(tmp_path / "other" / "bow" / "a.mp4", 0)
    found = dataset(tmp_path / "other", MotionStream(source="images"))[0, 0]
    assert isinstance(found, Failure) and "expected flow_x_00001.jpg" in found.reason


def test_wrong_settings_are_named() -> None:
    with pytest.raises(WhyactError, match=r"data\.motion\.source is 'tvl1'; choose from"):
        MotionStream(source="tvl1")
    with pytest.raises(WhyactError, match=r"bound must be above 0 .* got 0 and 0\.0"):
        MotionStream(source="images", bound=0)


@pytest.mark.parametrize("crop", ["random", "random_resized", "center"])
def test_one_draw_places_pixels_and_stored_flow(crop: str) -> None:
    rows, columns = torch.meshgrid(torch.arange(32), torch.arange(40), indexing="ij")
    flow = torch.stack([columns * 5, rows * 7]).byte()[:, None].repeat(1, 3, 1, 1)
    video = torch.cat([flow, flow[:1]])
    cuts = set()
    for seed in range(6):
        for flip in (0.0, 1.0):
            transform = TrainTransform(short_side=32, size=16, crop=crop, flip=flip)
            rng = np.random.default_rng(seed)
            cut, _, moved, _, _ = transform.geometry(video, None, flow, 0, rng)
            assert moved is not None and cut.shape[-2:] == moved.shape[-2:] == (16, 16)
            expected = cut[:2] if not flip else torch.stack([255 - cut[0], cut[1]])
            assert torch.equal(moved, expected)
            cuts.add(int(cut[0, 0, 0, 0]))
    assert len(cuts) > (2 if crop == "center" else 4) - 1
