"""Reading frames from video files and frame folders, exact to the frame."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from whyact.data import torchcodec_backend
from whyact.data.errors import VideoError
from whyact.data.frame_folder import FOLDER_RATE, IMAGES, frame_files, read_images
from whyact.data.probing import VideoInfo, probe
from whyact.data.pyav_backend import (
    decode,
    left_open,
    opened,
    pyav_version,
    to_tensor,
    video_stream,
)
from whyact.types import WhyactError

__all__ = [
    "FOLDER_RATE", "IMAGES", "VIDEOS", "VideoError", "VideoInfo", "decoder_version", "frame_files",
    "indices_at", "probe", "read_frames",
]  # fmt: skip

VIDEOS = (
    ".avi", ".mp4", ".mkv", ".webm", ".mov", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".ogv",
    ".ts", ".mts", ".m2ts", ".3gp", ".3g2", ".gif", ".vob", ".asf", ".f4v", ".mxf",
)  # fmt: skip
_SEEK_GAIN = 12  # seeking costs about as much as decoding this many frames


def read_frames(
    path: str | Path,
    indices: Sequence[int] | None = None,
    *,
    seconds: Sequence[float] | None = None,
) -> tuple[Tensor, Tensor]:
    """Decode chosen frames, and no more than it takes to reach them.

    Args:
        path: of a video file or a folder of images.
        indices: frames in presentation order, 0-based; any order, repeats allowed.
        seconds: instead, times since the first frame: the frames on screen then (`indices_at`).

    Returns:
        Frames (3, T, H, W) uint8 RGB and their times (T,) float64 in seconds.

    Raises:
        VideoError: see `probe`; or a frame cannot be decoded.
        WhyactError: an index outside the video, or not exactly one of indices and seconds.
    """
    if (indices is None) == (seconds is None):
        raise WhyactError("Give either the indices or the seconds of the frames to read.")
    info = probe(path)
    wanted = [int(i) for i in (indices if seconds is None else indices_at(info, seconds)) or ()]
    outside = [i for i in wanted if not 0 <= i < info.frames]
    if outside or not wanted:
        what = f"frame {outside[0]} is outside the video" if outside else "no frame was asked for"
        raise WhyactError(f"{path}: {what}, which has frames 0 to {info.frames - 1}.")
    order = sorted(set(wanted))
    if Path(path).is_dir():
        images = read_images(Path(path), order)
    elif len(info.keyframes) and not info.rotation and torchcodec_agrees():
        images = torchcodec_backend.torchcodec_frames(str(path), order)
    else:
        images = _pyav_frames(str(path), info, order)
    video = torch.stack([images[i] for i in wanted], dim=1)
    return video, torch.from_numpy(info.times[wanted])


def indices_at(info: VideoInfo, seconds: Sequence[float]) -> list[int]:
    """The frame that is on screen at each time: the last one that started by then."""
    found = np.searchsorted(info.times, np.asarray(seconds, dtype=float) + 1e-6, side="right") - 1
    return [int(i) for i in np.maximum(found, 0)]


def decoder_version() -> str:
    """The decoder that `read_frames` uses for files, with its version."""
    return torchcodec_backend.version() if torchcodec_agrees() else pyav_version()


def torchcodec_agrees() -> bool:
    """Whether torchcodec loads here and picks the same frames as PyAV; asked once a process."""
    return torchcodec_backend.agrees_with(_read_by_pyav)


def _read_by_pyav(path: str, wanted: list[int]) -> dict[int, Tensor]:
    return _pyav_frames(path, probe(path), wanted)


def _runs(wanted: Sequence[int], keyframes: NDArray[np.int64]) -> list[tuple[int, list[int]]]:
    """Cut ascending frames where skipping to a keyframe pays: (keyframe to start at, frames)."""
    runs: list[tuple[int, list[int]]] = []
    for i in wanted:
        before = int(np.searchsorted(keyframes, i, side="right")) - 1
        key = int(keyframes[before]) if before >= 0 else 0
        last = runs[-1][1][-1] if runs else 0
        if not runs or key - last > _SEEK_GAIN:
            runs.append((key, [i]))
        else:
            runs[-1][1].append(i)
    return runs


def _pyav_frames(path: str, info: VideoInfo, wanted: list[int]) -> dict[int, Tensor]:
    found: dict[int, Tensor] = {}
    used = left_open.take(info)
    with used[0] if used else opened(path) as container:
        stream = used[1] if used else video_stream(container, path)
        for n, (key, run) in enumerate(_runs(wanted, info.keyframes)):
            seek = key > 0 or (n == 0 and used is not None)
            if seek:
                base = float(stream.time_base)
                container.seek(round((info.start + info.times[key]) / base), stream=stream)
            _collect(found, set(run), decode(container, stream, path), info)
            if seek and run[0] not in found:
                # The container's index led astray: decode from the start, without seeking.
                return _pyav_frames(path, replace(info, keyframes=np.zeros(1, np.int64)), wanted)
    missing = [i for i in wanted if i not in found]
    if missing:
        raise VideoError(
            path,
            f"damaged or truncated: frame {missing[0]} of {info.frames} could not be decoded.",
        )
    return found


def _collect(
    found: dict[int, Tensor], wanted: set[int], frames: Iterator[Any], info: VideoInfo
) -> None:
    """Keep the wanted ones of ``frames`` in ``found``, up to the last of them."""
    # Plain numbers and lists: this runs for every decoded frame, wanted or not.
    times, last, base = info.times.tolist(), max(wanted), 0.0
    for count, frame in enumerate(frames):
        i = count
        if len(info.keyframes):
            if frame.pts is None:
                continue
            base = base or float(frame.time_base)
            i = _nearest(times, frame.pts * base - info.start)
        if i in wanted and i not in found:
            found[i] = to_tensor(frame, info.width, info.height)
        if i >= last:
            break


def _nearest(times: Sequence[float], time: float) -> int:
    """Position of the entry of ascending ``times`` that is closest."""
    i = bisect_left(times, time)
    if i == len(times) or (i > 0 and time - times[i - 1] <= times[i] - time):
        return i - 1
    return i
