"""Boxes of persons and objects in videos: one table for detectors and annotations alike.

A row is a box in a frame:

============================  ====================================================================
``video``                     the file or frame folder, without suffix; with folders above it
                              (``kick/clip1``) where names alone are not unique
``frame``                     from 0, as the file is decoded; of a frame folder, the place of the
                              image in it
``x0``, ``y0``, ``x1``,       shares of the frame's width and height, from the left and the top
``y1``
``class``                     0 for persons, objects from 1; ``model.spatial_graph.kinds`` of them
``score``                     of a detector; the column may be left out
============================  ====================================================================
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from whyact.data.tables import read_table
from whyact.data.video import VIDEOS, VideoError, probe
from whyact.types import WhyactError

COLUMNS = ("video", "frame", "x0", "y0", "x1", "y1", "class")
SETTING = "data.boxes.table"
THIN = 1e-3
"""Boxes of which less than this share of the picture's side is left are not there."""
_BEYOND = 0.5
"""How far a detector's boxes may reach out of the frame; further, they are no shares of it."""

Window = tuple[float, float, float, float]
"""Part of a frame: left, top, right, bottom in shares of it; left and right change places where it
is mirrored."""
Array = NDArray[np.float64]


def through(boxes: Tensor, window: Window) -> Tensor:
    """Boxes in shares of a window of the frame, cut at its edges; NaN where nothing is left.

    Args:
        boxes: (..., 5), see `whyact.types.Batch.boxes`. window: see `Window`.
    """
    left, top, right, bottom = window
    x = ((boxes[..., [0, 2]] - left) / (right - left)).clamp(0, 1)
    if right < left:
        x = x.flip(-1)
    y = ((boxes[..., [1, 3]] - top) / (bottom - top)).clamp(0, 1)
    made = torch.stack([x[..., 0], y[..., 0], x[..., 1], y[..., 1], boxes[..., 4]], -1)
    thin = (made[..., 2:4] - made[..., :2] < THIN).any(-1, keepdim=True)
    return made.masked_fill(thin, torch.nan)


class BoxTable:
    """Boxes of many videos, by video and frame.

    Args:
        path: of the table. reach, most, least_score: see `whyact.config_data.BoxesConfig`.

    Raises:
        WhyactError: a table that cannot be read, or a row that does not fit.
    """

    def __init__(
        self, *, path: Path, reach: float = 0.5, most: int = 10, least_score: float = 0.0
    ) -> None:
        if reach < 0 or most < 1:
            raise WhyactError(
                "data.boxes needs a reach from 0 seconds and at least 1 box a frame, got reach "
                f"{reach}, most {most}."
            )
        self.path, self.reach, self.most = path, reach, most
        table = read_table(path, COLUMNS, SETTING)
        frames, rows = _numbers(table, path)
        scored = "score" in table.column_names
        score = _column(table, "score", path) if scored else np.ones(len(frames))
        self._videos = _grouped(
            [_bare(v) for v in table["video"].to_pylist()], score >= least_score
        )
        # By frame, the highest score first, otherwise in the order of the table.
        for video, at in self._videos.items():
            self._videos[video] = at[np.lexsort((-score[at], frames[at]))]
        self._frames, self._rows = frames, rows
        digest = hashlib.sha256(path.read_bytes())
        digest.update(repr((reach, most, least_score)).encode())
        self.fingerprint = digest.hexdigest()

    def name(self, path: Path) -> str | None:
        """What the table calls a video; None where it does not know it."""
        parts = Path(_bare(str(path))).parts
        tails = ("/".join(parts[start:]) for start in range(len(parts)))
        return next((tail for tail in tails if tail in self._videos), None)

    def check(self, paths: Iterable[Path]) -> None:
        """Make sure that the table is one of these videos.

        Raises:
            WhyactError: it knows none of them, or cannot tell two of them apart.
        """
        known: dict[str, Path] = {}
        every = list(dict.fromkeys(paths))
        for path in every:
            name = self.name(path)
            if name is not None and known.setdefault(name, path) != path:
                raise WhyactError(
                    f"{SETTING} {self.path}: '{name}' could be {known[name]} or {path}; write the "
                    "folder before the name in its column video."
                )
        if every and not known:
            own = next(iter(self._videos), "none")
            raise WhyactError(
                f"{SETTING} {self.path} has boxes of none of {len(every)} videos, such as "
                f"{every[0]}; its column video holds e.g. '{own}', and names a file without its "
                "suffix. Write them there (whyact data boxes, or a detector), or name another "
                "table."
            )

    def at(self, path: Path, seconds: Sequence[float] | Tensor) -> Tensor:
        """Boxes (T, O, 5) of a video at T times; O is at least 1, and a video may have none.

        Each time takes the boxes of the nearest frame of the table within reach. A slot is the same
        person or object in every frame as far as overlap tells, see `linked`.

        Raises:
            VideoError: the video cannot be read, or ends before the frames of the table.
        """
        times = np.asarray(seconds, dtype=np.float64)
        empty = torch.full((len(times), 1, 5), torch.nan)
        name = self.name(path)
        at = self._videos.get(name or "")
        if at is None or not len(at):
            return empty
        frames, first = np.unique(self._frames[at], return_index=True)
        known = self._times(path, frames)
        nearest = np.abs(times[:, None] - known).argmin(1)
        within = np.abs(times - known[nearest]) <= self.reach + 1e-6
        if not within.any():
            return empty
        used, place = np.unique(nearest[within], return_inverse=True)
        ends = np.append(first[1:], len(at))
        found = [self._rows[at[first[u] : min(ends[u], first[u] + self.most)]] for u in used]
        slots = linked(found)
        made = torch.full((len(times), slots.shape[1], 5), torch.nan)
        made[torch.from_numpy(within)] = torch.from_numpy(slots[place]).float()
        return made

    def _times(self, path: Path, frames: NDArray[np.int64]) -> Array:
        """Seconds of frames of a video."""
        info = probe(path)
        last = info.frames - 1
        if (frames[-1] - last) / info.rate > max(self.reach, 1 / info.rate):
            raise VideoError(
                path,
                f"has {info.frames} frames, but {SETTING} {self.path} has boxes of frame "
                f"{frames[-1]}; they were counted in another copy of it, or at another rate.",
            )
        return info.times[np.minimum(frames, last)]


def linked(frames: Sequence[Array]) -> Array:
    """Give every box of a clip a slot that it keeps: (F, O, 5), NaN where a slot is empty.

    Slots are of one class, as many as a frame has at most. A box goes to the slot whose last box it
    overlaps most, those that overlap most first; without any overlap to a slot that nobody had yet.

    Args:
        frames: of each in their order, boxes (n, 5).
    """
    kinds = {int(k) for boxes in frames for k in boxes[:, 4]}
    parts = []
    for kind in sorted(kinds):
        own = [boxes[boxes[:, 4] == kind] for boxes in frames]
        made = np.full((len(frames), max(map(len, own)), 5), np.nan)
        last = made[0].copy()
        for f, boxes in enumerate(own):
            likeness = _overlap(boxes, last)
            for _ in range(len(boxes)):
                box, slot = np.unravel_index(likeness.argmax(), likeness.shape)
                made[f, slot] = last[slot] = boxes[box]
                likeness[box], likeness[:, slot] = -2, -2
        parts.append(made)
    return np.concatenate(parts, 1) if parts else np.full((len(frames), 1, 5), np.nan)


def _overlap(boxes: Array, slots: Array) -> Array:
    """Intersection over union (n, m); 0 with a slot that is new, -1 with one that is elsewhere."""
    low = np.maximum(boxes[:, None, :2], slots[:, :2])
    high = np.minimum(boxes[:, None, 2:4], slots[:, 2:4])
    inside = (high - low).clip(0).prod(-1)
    areas = [(b[:, 2:4] - b[:, :2]).prod(-1) for b in (boxes, slots)]
    shares = inside / (areas[0][:, None] + areas[1] - inside)
    return np.where(np.isnan(shares), 0.0, np.where(shares > 0, shares, -1.0))


def _bare(name: str) -> str:
    """A name without the suffix of a film."""
    suffix = Path(name).suffix
    return name.removesuffix(suffix) if suffix.lower() in VIDEOS else name


def _grouped(names: Sequence[str], kept: NDArray[np.bool_]) -> dict[str, NDArray[np.int64]]:
    """Rows of every name, those that are kept; a name of which none is kept is known as well."""
    rows: dict[str, list[int]] = {}
    for row, (name, keep) in enumerate(zip(names, kept.tolist(), strict=True)):
        of_name = rows.setdefault(name, [])
        if keep:
            of_name.append(row)
    return {name: np.array(own, dtype=np.int64) for name, own in rows.items()}


def _column(table: pa.Table, name: str, path: Path) -> Array:
    try:
        return np.asarray(table[name].to_numpy(), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise WhyactError(
            f"{SETTING} {path}: expected numbers in column '{name}' ({error})."
        ) from error


def _numbers(table: pa.Table, path: Path) -> tuple[NDArray[np.int64], Array]:
    """Frames (n,), and boxes with their class (n, 5), cut at the frame's edges."""
    frame, *rest = (_column(table, name, path) for name in COLUMNS[1:])
    rows = np.stack(rest, 1)

    def refuse(bad: NDArray[np.bool_], expected: str, values: Array) -> None:
        if bad.any():
            row = int(bad.argmax())
            raise WhyactError(
                f"{SETTING} {path}, row {row + 1}: expected {expected}, got {values[row].tolist()}."
            )

    corners, kind = rows[:, :4].copy(), rows[:, 4]
    refuse(
        ~(np.abs(corners - 0.5) <= 0.5 + _BEYOND).all(1),
        "x0, y0, x1, y1 as shares of the frame from 0 to 1 (pixels are to be divided by its width "
        "and height)", corners,
    )  # fmt: skip
    rows[:, :4] = corners.clip(0, 1)
    flat = np.any(rows[:, 2:4] <= rows[:, :2], axis=1)
    refuse(flat, "x0 < x1 and y0 < y1 inside the frame", corners)
    refuse(~((frame >= 0) & (frame % 1 == 0)), "a whole frame number from 0", frame)
    refuse(~((kind >= 0) & (kind % 1 == 0)), "a whole class number from 0", kind)
    return frame.astype(np.int64), rows


def table_of(columns: Mapping[str, Sequence[object]]) -> pa.Table:
    """A table to be written, with the module's columns and ``score``."""
    return pa.table({name: pa.array(columns[name]) for name in (*COLUMNS, "score")})
