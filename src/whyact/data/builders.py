"""One explicit table: from the ``data`` part of a config to data sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from whyact.config import DataConfig
from whyact.data.backdrop import SPLITS, load_backdrop
from whyact.data.boxes import BoxTable
from whyact.data.catalog import VIDEO_SETS, listing_of
from whyact.data.joined import JoinedDataset
from whyact.data.listing import Listing
from whyact.data.motion_stream import MotionStream
from whyact.data.protocol import ClipDataset
from whyact.data.transforms import TestTransform, TrainTransform
from whyact.data.video_dataset import VideoDataset
from whyact.data.views import views_of
from whyact.types import WhyactError

TYPES = ("backdrop", *VIDEO_SETS)


def _backdrop(
    config: DataConfig, split: str, train: bool, seed: int, foreground: bool
) -> ClipDataset:
    b, size = config.backdrop, config.transform.size
    if views_of(config.protocol).count != 1:
        raise WhyactError(
            f"data.protocol is '{config.protocol}', but Backdrop's clips have one view; set it to "
            "1x1."
        )
    if config.motion.source != "none":
        raise WhyactError("data.motion works on sets of video files; set its source to none.")
    if config.boxes.table:
        raise WhyactError(
            "data.boxes.table works on sets of video files; Backdrop's own boxes come with "
            "data.backdrop.boxes: true."
        )
    unused = {
        "transform.stretch": config.transform.stretch,
        "transform.flip_pairs": config.transform.flip_pairs,
        "transform.other_scene": config.transform.other_scene,
        "clip.tempo_jitter": config.clip.tempo_jitter, "fold": max(0, config.fold),
    }  # fmt: skip
    for name, value in unused.items():
        if value:
            raise WhyactError(
                f"data.{name} is {value}, which has no effect on Backdrop's clips: they are made "
                "as they are seen. Leave it at its default."
            )
    if split not in SPLITS:
        raise WhyactError(f"Backdrop has no split '{split}'; choose from {list(SPLITS)}.")
    return load_backdrop(
        root=config.root, split=split, clips=b.clips, eval_clips=b.eval_clips,
        correlation=b.correlation, seed=b.seed, frames=config.clip.frames, size=size,
        train=train, flip=config.transform.flip, augment_seed=seed, foreground=foreground,
        watermark=b.watermark, boxes=b.boxes,
    )  # fmt: skip


def middle_view(config: DataConfig) -> DataConfig:
    """The same data with one view a clip, its middle: what is shown, where views are no average."""
    return replace(config, protocol="1x1")


def transforms(
    config: DataConfig, classes: Sequence[str], pairs: Sequence[tuple[str, str]] = ()
) -> tuple[TrainTransform, TestTransform]:
    """The training and the test pipeline of a config; prediction and explanation use the latter.

    Args:
        config: the ``data`` part of the config tree. classes: names, in label order.
        pairs: classes that a flip swaps by the set's own account, besides the config's.
    """
    t = config.transform
    # Backdrop's clips are made at that size and seen whole, so files are too.
    short_side = t.size if config.type == "backdrop" else t.short_side
    train = TrainTransform(
        short_side=short_side, stretch=t.stretch, size=t.size, crop=t.train_crop,
        min_area=t.min_area, flip=t.flip, classes=classes, color_jitter=t.color_jitter,
        flip_pairs=[*pairs, *((a, b) for a, b in t.flip_pairs)], other_scene=t.other_scene,
    )  # fmt: skip
    return train, TestTransform(
        short_side=short_side,
        stretch=t.stretch,
        size=t.size,
        crops=views_of(config.protocol).crops,
    )


def _motion(config: DataConfig) -> MotionStream | None:
    m = config.motion
    if m.source == "none":
        return None
    return MotionStream(source=m.source, weights=m.weights, bound=m.bound, jitter=m.jitter)


def box_table(config: DataConfig) -> BoxTable | None:
    """The table that ``data.boxes`` names; None without."""
    b = config.boxes
    if not b.table:
        return None
    return BoxTable(path=Path(b.table), reach=b.reach, most=b.most, least_score=b.least_score)


def listed_clips(
    config: DataConfig, listing: Listing, *, train: bool = False, seed: int = 0
) -> VideoDataset:
    """The videos of a listing, read as a config says.

    Args:
        config: the ``data`` part of the config tree. listing: of one split.
        train: random clips and augmentation; otherwise the test protocol. seed: of the randomness.
    """
    if config.transform.other_scene and config.motion.source == "images":
        raise WhyactError(
            "data.transform.other_scene paints other scenes, of which stored flow "
            "(data.motion.source images) knows nothing; set one of them to its default."
        )
    training, testing = transforms(config, listing.classes, listing.flip_pairs)
    c = config.clip
    return VideoDataset(
        listing=listing, frames=c.frames, sampling=c.sampling, stride=c.stride,
        frame_rate=c.frame_rate, tempo_jitter=c.tempo_jitter if train else 0.0, short=c.short,
        clips=views_of(config.protocol).clips, train_transform=training if train else None,
        test_transform=testing, seed=seed, motion=_motion(config), swap=training.swap,
        boxes=box_table(config),
    )  # fmt: skip


def _videos(
    config: DataConfig, split: str, train: bool, seed: int, foreground: bool
) -> ClipDataset:
    return listed_clips(config, listing_of(config, split), train=train, seed=seed)


def build_dataset(
    config: DataConfig, split: str, *, train: bool, seed: int, foreground: bool = False
) -> ClipDataset:
    """Build the data set of one split.

    Args:
        config: the ``data`` part of the config tree.
        split: its name.
        train: random clips and augmentation; otherwise the test protocol.
        seed: of the randomness.
        foreground: clips shall bring their label-free foreground; sets whose crops are random
            leave it to the training loop.

    Raises:
        WhyactError: an unknown type or split, or files and lists that do not fit.
    """
    if config.type not in TYPES:
        raise WhyactError(f"Unknown data.type '{config.type}'; choose from {list(TYPES)}.")
    build = _backdrop if config.type == "backdrop" else _videos
    made = build(config, split, train, seed, foreground)
    if config.join == 1:
        return made
    if config.join < 1:
        raise WhyactError(f"data.join must be at least 1, got {config.join}.")
    return JoinedDataset(
        source=made, count=config.join, train=train, seed=seed if train else 0,
        axis=config.join_axis, within=config.join_within,
    )  # fmt: skip
