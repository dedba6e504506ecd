"""What `predict` and `explain` share: finding clips and reading them as evaluation does."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from whyact.config import DataConfig
from whyact.data.builders import listed_clips
from whyact.data.listing import UNLABELLED, Listing, Record, is_video, mirror_pairs
from whyact.data.video_dataset import VideoDataset
from whyact.training.checkpoint import LoadedModel
from whyact.types import WhyactError


def find_clips(paths: Sequence[str]) -> list[Path]:
    """Video files and frame folders meant by files, folders and globs, each once, in order.

    A folder stands for all clips in it and below it; a file that is named itself is a clip whatever
    its name.

    Raises:
        WhyactError: a path or glob that matches nothing.
    """
    found: dict[Path, None] = {}
    for given in paths:
        exact = [Path(given)] if os.path.lexists(given) else []
        matches = exact or [Path(p) for p in sorted(glob.glob(given, recursive=True))]
        clips = [clip for match in matches for clip in _clips(match)]
        if not clips:
            raise WhyactError(f"{given}: no video found there (a file, a folder or a glob).")
        found.update(dict.fromkeys(clips))
    return list(found)


def _clips(path: Path) -> Iterator[Path]:
    if not path.is_dir() or is_video(path):
        yield path
        return
    for inside in sorted(p for p in path.iterdir() if not p.name.startswith(".")):
        if inside.is_dir() or is_video(inside):
            yield from _clips(inside)


def readable(name: str) -> str:
    """A file's name as text, in which bytes that are no UTF-8 are escaped."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def clips_of(config: DataConfig, paths: Sequence[Path], classes: Sequence[str]) -> VideoDataset:
    """Videos without labels, through the test protocol of a config."""
    records = tuple(Record(p, readable(str(p)), UNLABELLED, readable(p.name)) for p in paths)
    return listed_clips(config, Listing(tuple(classes), records, flip_pairs=mirror_pairs(classes)))


def boxes_from(loaded: LoadedModel, table: str | Path) -> LoadedModel:
    """The model with another table of boxes than its run's; the same model for an empty name.

    Args:
        loaded: model. table: see `whyact.data.boxes`.
    """
    if not table:
        return loaded
    data = loaded.config.data
    data = replace(data, boxes=replace(data.boxes, table=str(table)))
    return replace(loaded, config=replace(loaded.config, data=data))
