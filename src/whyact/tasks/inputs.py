"""What `predict` and `explain` share: finding clips and reading them through the test pipeline."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from whyact.config import DataConfig
from whyact.data.builders import transforms
from whyact.data.listing import is_video
from whyact.data.video import read_frames
from whyact.data.video_dataset import pick_frames
from whyact.types import WhyactError


def find_clips(paths: Sequence[str]) -> list[Path]:
    """Video files and frame folders meant by files, folders and globs, each once, in order.

    Raises:
        WhyactError: a path or glob that matches nothing.
    """
    found: dict[Path, None] = {}
    for given in paths:
        path = Path(given)
        if path.is_dir() and not is_video(path):
            matches = sorted(p for p in path.rglob("*") if p.is_file() and is_video(p))
        elif path.exists():
            matches = [path]
        else:
            matches = [Path(p) for p in sorted(glob.glob(given, recursive=True))]
        if not matches:
            raise WhyactError(f"{given}: no video found there (a file, a folder or a glob).")
        found.update(dict.fromkeys(matches))
    return list(found)


def read_test_clip(config: DataConfig, path: Path) -> tuple[Tensor, Tensor]:
    """The middle test view of a video, exactly as evaluation reads it.

    Returns:
        (3, T, H, W) uint8, and the frames' times (T,) in seconds.
    """
    c = config.clip
    picked = pick_frames(
        path, frames=c.frames, sampling=c.sampling, stride=c.stride, frame_rate=c.frame_rate,
        short=c.short,
    )  # fmt: skip
    video, times = read_frames(path, picked)
    single = DataConfig(transform=config.transform)
    single.transform.flip_pairs = []
    _, test = transforms(single, ())
    return test(video, None)[0], times
