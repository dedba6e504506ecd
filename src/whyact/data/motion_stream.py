"""The motion stream of a clip, in step with its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from whyact.data.errors import VideoError
from whyact.ops.motion_field import (
    Flow,
    flow_field,
    frame_changes,
    opencv_flow,
    raft_flow,
    to_bytes,
)
from whyact.types import WhyactError

SOURCES = ("difference", "farneback", "dis", "raft", "images")


class MotionStream:
    """Makes or reads motion fields; see `whyact.ops.motion_field`.

    Args:
        source: ``difference`` of neighbouring frames; flow by ``farneback`` or ``dis`` (OpenCV) or
            ``raft``; or ``images`` (``flow_x_00001.jpg``, ``flow_y_00001.jpg`` … beside a clip's
            frames).
        weights: file of ``raft``. bound: pixels of displacement at the ends of the range.
        jitter: training fields are made stronger or weaker by up to this share.

    Raises:
        WhyactError: an unknown source.
    """

    def __init__(
        self, *, source: str, weights: str = "", bound: float = 20.0, jitter: float = 0.0
    ) -> None:
        if source not in SOURCES:
            raise WhyactError(f"data.motion.source is '{source}'; choose from {list(SOURCES)}.")
        if bound <= 0 or not 0 <= jitter < 1:
            raise WhyactError(
                f"data.motion.bound must be above 0 and data.motion.jitter in [0, 1), got {bound} "
                f"and {jitter}."
            )
        self.source, self.weights, self.bound, self.jitter = source, weights, bound, jitter

    @cached_property
    def _flow(self) -> Flow:
        """Made where it is used: in the loader process."""
        return raft_flow(self.weights) if self.source == "raft" else opencv_flow(self.source)

    def __getstate__(self) -> dict[str, object]:
        return {k: v for k, v in vars(self).items() if k != "_flow"}

    @property
    def stored(self) -> bool:
        """Whether fields are read rather than made from the pixels."""
        return self.source == "images"

    def make(self, video: Tensor) -> Tensor:
        """The field (2, T, H, W) uint8 of a clip (3, T, H, W) uint8."""
        if self.source == "difference":
            return to_bytes(frame_changes(video.float() / 255) * 2 - 1)
        return flow_field(video, self._flow, self.bound)

    def read(self, folder: Path, indices: Sequence[int]) -> Tensor:
        """The stored fields of frames, (2, T, H, W) uint8; the last frame may lack its own.

        Raises:
            VideoError: an image is missing or damaged.
        """
        found = {p.name for p in folder.glob("flow_*")} if folder.is_dir() else set()
        count = sum(name.startswith("flow_x") for name in found)
        if not count:
            raise VideoError(folder, "expected flow_x_00001.jpg and flow_y_00001.jpg … in it.")
        rows = [min(i, count - 1) + 1 for i in indices]  # n frames have n - 1 fields between them
        return torch.stack([
            torch.stack([_grey(folder, f"flow_{axis}_{row:05d}", found) for row in rows])
            for axis in "xy"
        ])  # fmt: skip

    def jittered(self, field: Tensor, rng: np.random.Generator) -> Tensor:
        """The field, stronger or weaker."""
        if not self.jitter:
            return field
        scale = float(rng.uniform(1 - self.jitter, 1 + self.jitter))
        return to_bytes((field.float() / 127.5 - 1) * scale)


def _grey(folder: Path, stem: str, found: set[str]) -> Tensor:
    name = next((f"{stem}{s}" for s in (".jpg", ".png", ".jpeg") if f"{stem}{s}" in found), "")
    if not name:
        raise VideoError(folder / f"{stem}.jpg", "no such file.")
    try:
        with Image.open(folder / name) as image:
            return torch.from_numpy(np.array(image.convert("L")))
    except (OSError, SyntaxError, ValueError) as error:
        raise VideoError(folder / name, f"not a readable image: {error}") from error
