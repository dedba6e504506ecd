"""Write Backdrop for people and other programs; write any set of videos as shards."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pyarrow.csv as csv
import pyarrow.parquet as pq
from rich.progress import track

from whyact.config import Config
from whyact.data.backdrop import SPLITS
from whyact.data.backdrop.arrays import split_size
from whyact.data.backdrop.export import contact_sheets, write_videos
from whyact.data.catalog import VIDEO_SETS, listing_of
from whyact.data.shards import Written, write_shards
from whyact.types import WhyactError


def write_backdrop(
    config: Config, *, out: str | Path, splits: Sequence[str] = (), sheet: bool = False
) -> list[Path]:
    """Write Backdrop's splits as video files with a table of factors, or its contact sheets.

    Args:
        config: sizes and seed, from its ``data`` part.
        out: folder. splits: to write as videos. sheet: write the contact sheets instead.

    Raises:
        WhyactError: an unknown split.
    """
    unknown = [s for s in splits if s not in SPLITS]
    if unknown:
        raise WhyactError(f"Backdrop has no split '{unknown[0]}'; choose from {list(SPLITS)}.")
    b, folder = config.data.backdrop, Path(out)
    if sheet:
        return contact_sheets(folder, seed=b.seed, size=config.data.transform.size)
    return [
        write_videos(
            folder,
            split=split,
            clips=split_size(split, b.clips, b.eval_clips),
            seed=b.seed,
            frames=config.data.clip.frames,
            size=config.data.transform.size,
            correlation=b.correlation,
        )
        for split in splits
    ]


def shard_data(
    config: Config, *, out: str | Path, splits: Sequence[str] = (), megabytes: int = 256
) -> dict[str, Written]:
    """Write splits as tar shards, to be read with ``data.type: shards`` and ``data.root`` ``out``.

    Args:
        config: whose ``data`` is written. out: folder; each split gets one of its own below it.
        splits: names; those of the config if empty. megabytes: size of a shard.

    Raises:
        WhyactError: splits that do not exist, or shards that are there already.
    """
    data = config.data
    names = list(dict.fromkeys(splits or [data.train, data.val, *data.test]))
    listings = {name: listing_of(data, name) for name in names}  # all, before the first is written
    made = {}
    for name, listing in listings.items():
        bar = partial(track, description=f"Shard {name}", transient=True)
        made[name] = write_shards(
            listing, Path(out) / name, megabytes=megabytes, seed=config.seed, progress=bar
        )
    return made


def write_boxes(config: Config, *, out: str | Path) -> tuple[int, int]:
    """Write a set's annotated boxes as a table for ``data.boxes.table``, see `whyact.data.boxes`.

    Args:
        config: whose ``data`` has annotated boxes. out: file, CSV by that suffix, or Parquet.

    Returns:
        Numbers of boxes and of videos.

    Raises:
        WhyactError: a set without boxes, or files that do not fit.
    """
    data, file = config.data, Path(out)
    sets = {name: one.boxes for name, one in VIDEO_SETS.items() if one.boxes is not None}
    if data.type not in sets:
        raise WhyactError(
            f"data.type '{data.type}' has no annotated boxes; {', '.join(sets)} have. Write those "
            "of a detector into a table of the same form (docs/asking.md)."
        )
    table = sets[data.type](data.root, data.annotations)
    file.parent.mkdir(parents=True, exist_ok=True)
    (csv.write_csv if file.suffix == ".csv" else pq.write_table)(table, file)
    return table.num_rows, len(table["video"].unique())
