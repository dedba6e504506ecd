"""One explicit table: from the ``data`` part of a config to data sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from whyact.config import DataConfig
from whyact.data.annotations import Listing, read_folder, read_list, read_ut_interaction
from whyact.data.backdrop import SPLITS, load_backdrop
from whyact.data.protocol import ClipDataset
from whyact.data.transforms import TestTransform, TrainTransform
from whyact.data.video_dataset import VideoDataset
from whyact.types import WhyactError

LISTINGS: Mapping[str, Callable[..., Listing]] = {
    "folder": read_folder,
    "list": read_list,
    "ut_interaction": read_ut_interaction,
}
"""Sets of video files, by how their lists are read."""

TYPES = ("backdrop", *LISTINGS)


def _backdrop(
    config: DataConfig, split: str, train: bool, seed: int, foreground: bool
) -> ClipDataset:
    b, size = config.backdrop, config.transform.size
    if split not in SPLITS:
        raise WhyactError(f"Backdrop has no split '{split}'; choose from {list(SPLITS)}.")
    return load_backdrop(
        root=config.root, split=split, clips=b.clips, eval_clips=b.eval_clips,
        correlation=b.correlation, seed=b.seed, frames=config.clip.frames, size=size,
        train=train, flip=config.transform.flip, augment_seed=seed, foreground=foreground,
        watermark=b.watermark,
    )  # fmt: skip


def transforms(config: DataConfig, classes: Sequence[str]) -> tuple[TrainTransform, TestTransform]:
    """The training and the test pipeline of a config; prediction and explanation use the latter."""
    t = config.transform
    train = TrainTransform(
        short_side=t.short_side, stretch=t.stretch, size=t.size, crop=t.train_crop,
        min_area=t.min_area, flip=t.flip, flip_pairs=[(a, b) for a, b in t.flip_pairs],
        classes=classes, color_jitter=t.color_jitter,
    )  # fmt: skip
    return train, TestTransform(
        short_side=t.short_side, stretch=t.stretch, size=t.size, crops=config.crops
    )


def _videos(
    config: DataConfig, split: str, train: bool, seed: int, foreground: bool
) -> ClipDataset:
    listing = LISTINGS[config.type](
        root=config.root, annotations=config.annotations, split=split, fold=config.fold
    )
    training, testing = transforms(config, listing.classes)
    c = config.clip
    return VideoDataset(
        listing=listing, frames=c.frames, sampling=c.sampling, stride=c.stride,
        frame_rate=c.frame_rate, tempo_jitter=c.tempo_jitter if train else 0.0, short=c.short,
        clips=config.clips, train_transform=training if train else None, test_transform=testing,
        seed=seed,
    )  # fmt: skip


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
    return build(config, split, train, seed, foreground)


def folds(config: DataConfig) -> int:
    """How many folds a cross-validated set has; 1 for the others."""
    if config.type == "ut_interaction":
        return 10
    return 1
