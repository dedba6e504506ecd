"""The table of all video sets: how each is read, what it officially holds, and its folds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from whyact.config import DataConfig
from whyact.data.annotations import read_folder, read_list, read_ut_interaction
from whyact.data.folds import CARVED, carve, group_fold, groups_of, random_fold
from whyact.data.formats.action_genome import action_genome_boxes
from whyact.data.formats.charades import read_charades
from whyact.data.formats.kinetics import read_kinetics
from whyact.data.formats.something import read_something_v1, read_something_v2
from whyact.data.formats.sports_hhi import read_sports_hhi, sports_hhi_boxes
from whyact.data.formats.ucf_hmdb import read_hmdb51, read_ucf101
from whyact.data.listing import Listing
from whyact.data.shards import read_shards
from whyact.types import WhyactError


@dataclass(frozen=True)
class VideoSet:
    """One set of videos.

    Attributes:
        title: its name in prose.
        read: makes the listing of a split from ``root, annotations, split``, and ``fold`` where
            there are several.
        folds: official ones; 1 where there is a single official split.
        classes: official number; None where users bring their own.
        counts: official number of clips by split, one for each fold or one for all.
        releases: its lists were published in several sizes; ``counts`` are those of one.
        grouped: its official folds leave one group out.
        carved: the set has no split to select on, so ``val`` and ``fit`` are carved out of
            ``train``.
        boxes: makes the table of its annotated boxes from ``root, annotations``; None without.
    """

    title: str
    read: Callable[..., Listing]
    folds: int = 1
    classes: int | None = None
    counts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    releases: bool = False
    grouped: bool = False
    carved: bool = False
    boxes: Callable[[str, str], pa.Table] | None = None

    def listing(self, config: DataConfig, split: str, fold: int = 0) -> Listing:
        """The listing of an official split."""
        own = {"fold": fold} if self.folds > 1 else {}
        return self.read(root=config.root, annotations=config.annotations, split=split, **own)

    def official(self, split: str, fold: int) -> int | None:
        """Official number of clips of a split, where there is one."""
        numbers = self.counts.get(split, ())
        return numbers[fold if len(numbers) > 1 else 0] if numbers else None


VIDEO_SETS: Mapping[str, VideoSet] = {
    "folder": VideoSet("Folders", read_folder),
    "list": VideoSet("A list", read_list),
    "shards": VideoSet("Shards", read_shards),
    "ut_interaction": VideoSet(
        "UT-Interaction set 1", read_ut_interaction, grouped=True, classes=6,
        counts={"all": (60,)},
    ),
    "something_v1": VideoSet(
        "Something-Something V1", read_something_v1, classes=174, carved=True,
        counts={"train": (86_017,), "validation": (11_522,), "test": (10_960,)},
    ),
    "something_v2": VideoSet(
        "Something-Something V2", read_something_v2, classes=174, carved=True,
        counts={"train": (168_913,), "validation": (24_777,), "test": (27_157,)},
    ),
    "ucf101": VideoSet(
        "UCF101", read_ucf101, folds=3, classes=101, carved=True,
        counts={"train": (9_537, 9_586, 9_624), "test": (3_783, 3_734, 3_696), "all": (13_320,)},
    ),
    "hmdb51": VideoSet(
        "HMDB51", read_hmdb51, folds=3, classes=51, carved=True,
        counts={"train": (3_570,), "test": (1_530,), "all": (6_766,)},
    ),
    "kinetics400": VideoSet(
        "Kinetics-400", read_kinetics, classes=400, releases=True, carved=True,
        counts={"train": (246_534,), "validation": (19_906,), "test": (38_685,)},
    ),
    "kinetics600": VideoSet(
        "Kinetics-600", read_kinetics, classes=600, releases=True, carved=True,
        counts={"train": (392_622,), "validation": (30_001,), "test": (72_924,)},
    ),
    "charades": VideoSet(
        "Charades", read_charades, classes=157, carved=True,
        counts={"train": (7_985,), "test": (1_863,)}, boxes=action_genome_boxes,
    ),
    "sports_hhi": VideoSet(
        "SportsHHI", read_sports_hhi, classes=34, carved=True, counts={"all": (50_649,)},
        boxes=sports_hhi_boxes,
    ),
}  # fmt: skip
"""Sets of video files, by their ``data.type``."""


def video_set(config: DataConfig) -> VideoSet:
    """The entry of a config's set.

    Raises:
        WhyactError: there is none.
    """
    if config.type not in VIDEO_SETS:
        raise WhyactError(
            f"data.type '{config.type}' is no set of video files; choose from {list(VIDEO_SETS)}."
        )
    return VIDEO_SETS[config.type]


def listing_of(config: DataConfig, split: str) -> Listing:
    """The listing of a split, folded as ``data.folding`` says.

    Raises:
        WhyactError: files, lists, folds or splits that do not fit.
    """
    chosen = video_set(config)
    if config.folding == "group" or (config.folding == "official" and chosen.grouped):
        return group_fold(chosen.listing(config, "all"), fold=config.fold, split=split)
    if config.folding == "random":
        return random_fold(
            chosen.listing(config, "all"), count=config.fold_count, seed=config.fold_seed,
            fold=config.fold, split=split, across_classes=chosen.grouped,
        )  # fmt: skip
    if chosen.carved and split in CARVED:
        return carve(chosen.listing(config, "train", config.fold), split)
    return chosen.listing(config, split, config.fold)


def folds(config: DataConfig) -> int:
    """How many folds a set has under its ``data.folding``; 1 without any."""
    if config.type not in VIDEO_SETS:
        return 1
    if config.folding == "random":
        return config.fold_count
    chosen = video_set(config)
    if config.folding == "group" or chosen.grouped:
        return len(groups_of(chosen.listing(config, "all")))
    return chosen.folds


def chosen_folds(config: DataConfig) -> Sequence[int]:
    """The folds that a config means: all of them for ``data.fold`` -1."""
    return range(folds(config)) if config.fold == -1 else [config.fold]
