"""Reading frames from video files and frame folders, exact to the frame."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from whyact.data import torchcodec_backend
from whyact.data.errors import VideoError
from whyact.data.frame_folder import (
    FOLDER_RATE,
    IMAGES,
    folder_rate,
    frame_files,
    read_image,
    read_images,
)
from whyact.data.pyav_backend import (
    decode,
    left_open,
    opened,
    pyav_version,
    rotation,
    to_tensor,
    video_stream,
)
from whyact.data.truncation import announced_bytes
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


@dataclass(frozen=True, eq=False)
class VideoInfo:
    """What is known of a video before its frames are read.

    Attributes:
        times: (n,) float64, presentation time of every frame in seconds, ascending from 0.
        width, height: as shown, after rotation.
        rotation: degrees counter-clockwise that the frames are turned by for showing.
        codec, decoder: names; the decoder's with its version.
        start: the container's time of the first frame, in seconds.
        keyframes: (k,) int64, frames at which decoding can begin; empty where the container's time
            stamps are not those of the shown frames (AVI). Those are counted from the start.
    """

    times: NDArray[np.float64]
    width: int
    height: int
    rotation: int
    codec: str
    decoder: str
    start: float
    keyframes: NDArray[np.int64]

    @property
    def frames(self) -> int:
        """Number of frames."""
        return len(self.times)

    @property
    def duration(self) -> float:
        """Seconds from the first frame to the end of the last; one frame lasts 0."""
        step = self.times[-1] / (self.frames - 1) if self.frames > 1 else 0.0
        return float(self.times[-1] + step)

    @property
    def rate(self) -> float:
        """Mean frames a second."""
        return self.frames / self.duration if self.duration else FOLDER_RATE


def probe(path: str | Path) -> VideoInfo:
    """Read a video's frame times and size.

    Raises:
        VideoError: missing, unreadable, empty, truncated, without video, or not a video.
    """
    path = Path(path)
    try:
        status = path.stat()
    except FileNotFoundError:
        raise VideoError(path, "no such file.") from None
    except OSError as error:
        raise VideoError(path, f"cannot be opened: {error.strerror}.") from error
    if not (path.is_file() or path.is_dir()):
        raise VideoError(path, "neither a file nor a folder of frames.")
    if path.is_file() and status.st_size == 0:
        raise VideoError(path, "the file is empty (0 bytes).")
    return _probe(str(path), (status.st_mtime_ns, status.st_size))


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


@lru_cache(maxsize=1 << 15)
def _probe(path: str, stamp: tuple[int, int]) -> VideoInfo:
    """``stamp`` (time of change, bytes) makes a changed file a new entry of the cache."""
    none = np.zeros(0, np.int64)
    if Path(path).is_dir():
        files = frame_files(Path(path))
        size = read_image(files[0]).shape
        times = np.arange(len(files)) / folder_rate(Path(path))
        return VideoInfo(times, size[2], size[1], 0, "images", pyav_version(), 0.0, none)
    _check_length(path, stamp[1])
    with ExitStack() as stack:
        container = stack.enter_context(opened(path))
        stream = video_stream(container, path)
        codec, base = stream.codec_context.name, float(stream.time_base or 0)
        packets = _packets(container, stream, path)
        first = _first_frame(packets, path)
        stamps = _shown_stamps(container.format.name, codec, packets)
        rate = float(stream.average_rate or 25)
        left = (container, stream) if stamps is not None else None
        if left:
            stack.pop_all()
    if stamps is None:
        stamps, keys = np.arange(_count(path)), none
        base = 1 / rate
    else:
        at_keys = [p.pts for p in packets if p.is_keyframe and not p.is_discard]
        keys = np.searchsorted(stamps, sorted(at_keys))
    turn = rotation(first)
    width, height = (first.height, first.width) if turn % 180 else (first.width, first.height)
    start, times = float(stamps[0] * base), (stamps - stamps[0]) * base
    info = VideoInfo(times, width, height, turn, codec, pyav_version(), start, keys)
    if left:
        left_open.hand_over(info, *left)
    return info


def _check_length(path: str, present: int) -> None:
    announced = announced_bytes(Path(path))
    if announced is not None and announced > present:
        raise VideoError(
            path, f"truncated: its header announces {announced} bytes, it has {present}."
        )


def _packets(container: Any, stream: Any, path: str) -> list[Any]:
    """All packets of the stream; read, not decoded."""
    try:
        return [p for p in container.demux(stream) if p.size]
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise VideoError(path, f"damaged or truncated: {reason}.") from error


def _first_frame(packets: list[Any], path: str) -> Any:
    reason = "it is damaged or truncated"
    try:
        for packet in packets:
            for frame in packet.decode():
                return frame
        if packets:
            for frame in packets[0].stream.decode(None):
                return frame
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or error)
    raise VideoError(path, f"no frame could be decoded: {reason}.")


def _shown_stamps(container: str, codec: str, packets: list[Any]) -> NDArray[np.int64] | None:
    """Time stamps of the shown frames in order; None if the packets do not tell.

    AVI stores the order of decoding only, and VP8 has packets that are not shown.
    """
    shown = [p.pts for p in packets if not p.is_discard]
    if container == "avi" or codec == "vp8" or None in shown or len(set(shown)) < len(shown):
        return None
    return np.array(sorted(shown), dtype=np.int64)


def _count(path: str) -> int:
    with opened(path) as container:
        return sum(1 for _ in decode(container, video_stream(container, path), path))


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
