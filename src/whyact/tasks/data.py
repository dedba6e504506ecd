"""Write Backdrop for people and other programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from whyact.config import Config
from whyact.data.backdrop import SPLITS
from whyact.data.backdrop.arrays import split_size
from whyact.data.backdrop.export import contact_sheets, write_videos
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
