"""Sets of files: damaged ones become failures, and the rest does not depend on who reads it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from media import write_video

from whyact.config import BackdropConfig, ClipConfig, DataConfig, TransformConfig
from whyact.data.annotations import read_folder, read_list
from whyact.data.builders import build_dataset
from whyact.data.catalog import folds
from whyact.data.listing import Listing, Record
from whyact.data.loader import collate_items, epoch_batches, load, view_batches
from whyact.data.transforms import TestTransform, TrainTransform
from whyact.data.video import read_frames
from whyact.data.video_dataset import VideoDataset
from whyact.types import Batch, Clip, Failure, Interval, WhyactError

TEST = TestTransform(short_side=24, size=16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes, four good clips, one cut in half, one empty."""
    root = tmp_path_factory.mktemp("clips")
    for name in ("left", "right"):
        (root / name).mkdir()
    write_video(root / "left" / "a.mp4", frames=20)
    write_video(root / "left" / "b.avi", codec="mpeg4", frames=9, size=(32, 48))
    write_video(root / "right" / "c.mkv", codec="ffv1", frames=3, size=(45, 31), pixels="yuv444p")
    write_video(root / "right" / "d.mp4", frames=20)
    data = (root / "left" / "a.mp4").read_bytes()
    (root / "left" / "cut.mp4").write_bytes(data[: len(data) // 2])
    (root / "right" / "empty.mp4").touch()
    return root


def dataset(folder: Path, *, train: bool = False, **settings) -> VideoDataset:
    listing = read_folder(root=str(folder))
    transform = TrainTransform(
        short_side=24, size=16, min_area=0.4, flip=0.5, flip_pairs=[("left", "right")],
        classes=listing.classes, color_jitter=0.2,
    )  # fmt: skip
    defaults = {"frames": 4, "sampling": "segment", "test_transform": TEST, "seed": 3}
    return VideoDataset(
        listing=listing, train_transform=transform if train else None, **{**defaults, **settings}
    )


def same(one: Batch, two: Batch) -> bool:
    assert one.index is not None and two.index is not None
    return (
        torch.equal(one.video, two.video)
        and torch.equal(one.label, two.label)
        and torch.equal(one.index, two.index)
        and (one.ids, one.failures) == (two.ids, two.failures)
    )


def test_the_set_describes_its_clips(folder: Path) -> None:
    data = dataset(folder)
    assert data.classes == ("left", "right") and data.scenes == () and len(data) == 6
    assert data.ids == [
        "left/a.mp4", "left/b.avi", "left/cut.mp4", "right/c.mkv", "right/d.mp4", "right/empty.mp4"
    ]  # fmt: skip
    assert data.labels == [0, 0, 0, 1, 1, 1] and data.views == 1


def test_damaged_files_become_failures_that_name_the_reason(folder: Path) -> None:
    data = dataset(folder)
    items = [data[i, 0] for i in range(6)]
    assert [isinstance(item, Failure) for item in items] == [False, False, True, False, False, True]
    cut, empty = items[2], items[5]
    assert isinstance(cut, Failure) and cut.id == "left/cut.mp4"
    assert str(folder / "left" / "cut.mp4") in cut.reason and "truncated" in cut.reason
    assert isinstance(empty, Failure) and "the file is empty (0 bytes)" in empty.reason
    batch = collate_items(list(enumerate(items)))
    assert batch.ids == ("left/a.mp4", "left/b.avi", "right/c.mkv", "right/d.mp4")
    assert batch.video.shape == (4, 3, 4, 16, 16) and batch.video.dtype == torch.uint8
    assert batch.index is not None and batch.index.tolist() == [0, 1, 3, 4]
    assert batch.label.tolist() == [0, 0, 1, 1] and batch.failures == (cut, empty)
    assert batch.mask is None and batch.nuisance.tolist() == [-1] * 4


def test_a_file_that_vanishes_becomes_a_failure(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "left").mkdir()
    path = write_video(tmp_path / "left" / "a.mp4", frames=5)
    listing = read_folder(root=str(tmp_path))
    path.unlink()
    data = VideoDataset(listing=listing, frames=2, sampling="dense", train_transform=None,
                        test_transform=TEST)  # fmt: skip
    item = data[0, 0]
    assert isinstance(item, Failure) and "no such file" in item.reason


def test_a_batch_of_failures_only_is_empty() -> None:
    failures = [(3, Failure("x", "gone")), (5, Failure("y", "empty"))]
    batch = collate_items(failures)
    assert len(batch) == 0 and batch.ids == () and batch.label.shape == (0,)
    assert batch.failures == (Failure("x", "gone"), Failure("y", "empty"))
    assert len(batch.to("cpu")) == 0 and batch.to("cpu").video.dtype == torch.float32


def test_a_wrong_setting_is_an_error_not_a_failure(folder: Path) -> None:
    with pytest.raises(WhyactError, match=r"data\.clip\.sampling is 'sparse'"):
        dataset(folder, sampling="sparse")[0, 0]


def test_test_clips_are_read_by_view(folder: Path) -> None:
    transform = TestTransform(short_side=24, size=16, crops=3)
    data = dataset(folder, sampling="dense", clips=2, test_transform=transform)
    assert data.views == 6
    # 20 frames, clips of four: the first begins at 0, the last at 16.
    for view, (start, crop) in enumerate([(0, 0), (0, 1), (0, 2), (16, 0), (16, 1), (16, 2)]):
        video, times = read_frames(folder / "left" / "a.mp4", range(start, start + 4))
        item = data[0, view]
        assert isinstance(item, Clip) and item.times is not None
        assert torch.equal(item.video, transform(video, None, crop)[0])
        assert torch.equal(item.times, times)


def test_training_clips_depend_on_seed_epoch_and_index_only(folder: Path) -> None:
    data = dataset(folder, train=True, sampling="dense", tempo_jitter=0.3)

    def clip(of: VideoDataset, index: int, epoch: int) -> Clip:
        item = of[index, epoch]
        assert isinstance(item, Clip)
        return item

    first = clip(data, 4, 1)
    clip(data, 0, 0)  # reading others in between changes nothing
    again = clip(dataset(folder, train=True, sampling="dense", tempo_jitter=0.3), 4, 1)
    assert torch.equal(first.video, again.video) and first.label == again.label
    others = [clip(data, 4, e).video for e in range(2, 6)]
    others.append(clip(dataset(folder, train=True, sampling="dense", seed=4), 4, 1).video)
    assert not any(torch.equal(first.video, other) for other in others)
    # 'right' becomes 'left' by flipping, in about half of the epochs.
    labels = [clip(data, 4, e).label for e in range(40)]
    assert 10 < labels.count(0) < 30


@pytest.mark.parametrize("train", [False, True])
def test_the_number_of_workers_changes_nothing(folder: Path, train: bool) -> None:
    data = dataset(folder, train=train, clips=2)
    batches = (
        epoch_batches(6, epoch=1, seed=0, batch_size=3)
        if train
        else view_batches(6, views=2, batch_size=5)
    )
    alone = list(load(data, batches, workers=0))
    assert sum(len(b.failures) for b in alone) == (2 if train else 4)
    for workers in (1, 4) if train else (1,):
        helped = list(load(data, batches, workers=workers))
        assert len(helped) == len(alone)
        assert all(same(one, two) for one, two in zip(alone, helped, strict=True))


def test_several_labels_become_a_vector(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "test.txt").write_text("left/a.mp4 0 2\nright/d.mp4 1\n")
    listing = read_list(root=str(folder), annotations=str(tmp_path), split="test")
    data = VideoDataset(listing=listing, frames=2, sampling="segment", train_transform=None,
                        test_transform=TEST)  # fmt: skip
    batch = next(load(data, [[(0, 0), (1, 0)]]))
    assert batch.label.tolist() == [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]


def test_a_box_is_cut_in_shares_of_width_and_height(tmp_path: Path) -> None:
    """The white corner of `media.picture` is a quarter of the width and of the height."""
    film = write_video(tmp_path / "a.mkv", codec="ffv1", frames=3, pixels="yuv444p")
    boxes = {(0.0, 0.0, 0.25, 0.25): 255, (0.25, 0.0, 1.0, 1.0): 60, (0.0, 0.25, 1.0, 1.0): 60}
    records = tuple(Record(film, str(b), 0, "a", box=b) for b in boxes)
    data = VideoDataset(
        listing=Listing(("x",), records), frames=1, sampling="segment", train_transform=None,
        test_transform=TestTransform(short_side=16, size=16, stretch=True),
    )  # fmt: skip
    for index, green in enumerate(boxes.values()):
        item = data[index, 0]
        assert isinstance(item, Clip) and (item.video[1].float() - green).abs().max() < 3


def test_the_fingerprint_follows_the_content(tmp_path: Path) -> None:
    def fingerprint(name: str, frames: int = 3, label: str = "x") -> str:
        root = tmp_path / name
        (root / label).mkdir(parents=True)
        write_video(root / label / "a.mkv", codec="ffv1", frames=frames, pixels="yuv444p",
                    options={"flags": "+bitexact"}, container={"fflags": "+bitexact"})  # fmt: skip
        (root / label / "frames").mkdir()  # a folder without images
        return _fingerprint(root)

    one = fingerprint("one")
    assert len(one) == 64 and one == fingerprint("moved")
    assert len({one, fingerprint("longer", frames=4), fingerprint("renamed", label="y")}) == 3


def _fingerprint(root: Path) -> str:
    return VideoDataset(
        listing=read_folder(root=str(root)), frames=2, sampling="segment", train_transform=None,
        test_transform=TEST,
    ).fingerprint  # fmt: skip


def config(root: Path, **changes) -> DataConfig:
    return replace(
        DataConfig(
            type="folder", root=str(root), clip=ClipConfig(frames=4),
            transform=TransformConfig(short_side=24, size=16), backdrop=BackdropConfig(clips=4),
        ),
        **changes,
    )  # fmt: skip


def test_sets_are_built_from_the_config(folder: Path) -> None:
    train = build_dataset(config(folder), "train", train=True, seed=0)
    test = build_dataset(config(folder, protocol="2x3"), "test", train=False, seed=0)
    assert train.views == 1 and test.views == 6 and train.classes == ("left", "right")
    item = test[0, 5]
    assert isinstance(item, Clip) and item.video.shape == (3, 4, 16, 16)
    assert folds(config(folder)) == 1
    for k in range(3):
        (folder / f"{k}_{k}_0.avi").touch()
    assert folds(config(folder, type="ut_interaction")) == 3


def test_unknown_types_and_splits_list_the_choices(folder: Path) -> None:
    with pytest.raises(WhyactError, match=r"Unknown data\.type 'mp4'; choose from \['backdrop'"):
        build_dataset(config(folder, type="mp4"), "train", train=True, seed=0)
    with pytest.raises(WhyactError, match=r"no split 'dev'; choose from \['train', 'val'"):
        build_dataset(config(folder, type="backdrop"), "dev", train=False, seed=0)


def test_random_clips_are_views_of_the_same_video(folder: Path) -> None:
    data = dataset(folder, train=True)
    seen = set()
    for epoch in range(8):
        item = data[0, epoch]
        assert isinstance(item, Clip) and item.times is not None
        assert (item.times.diff() > 0).all() and item.times[-1] < 0.8
        seen.add(tuple(np.round(item.times.numpy() * 25).astype(int)))
    assert len(seen) > 4
    assert all(5 * k <= frames[k] < 5 * (k + 1) for frames in seen for k in range(4))


def test_intervals_of_a_list_are_shares_of_the_clip(folder: Path) -> None:
    """Frames 2, 7, 12 and 17 of 20, 0.04 s apart, stand for a quarter of the clip each."""
    when = (Interval(0, 0.0, 9.5 / 25), Interval(1, 7 / 25, 17 / 25), Interval(1, 2.0, 3.0))
    record = Record(folder / "left" / "a.mp4", "a", (0, 1), "a", intervals=when)
    listing = Listing(("x", "y"), (record,), multi_label=True)

    def reading(frames: int, sampling: str) -> VideoDataset:
        return VideoDataset(
            listing=listing, frames=frames, sampling=sampling, train_transform=None,
            test_transform=TEST,
        )  # fmt: skip

    made = reading(4, "segment")
    first, second = made.intervals(0)
    assert (first.action, first.start, first.stop) == (0, 0.0, pytest.approx(0.5))
    assert (second.action, second.start, second.stop) == (
        1, pytest.approx(0.375), pytest.approx(0.875)
    )  # fmt: skip
    with pytest.raises(WhyactError, match=r"a\.mp4: shorter than a clip.*to segment"):
        reading(32, "dense").intervals(0)
