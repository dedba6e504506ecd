"""What is known of a video before its frames are read: their times, size, keyframes, rotation."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from whyact.data.errors import VideoError
from whyact.data.frame_folder import FOLDER_RATE, folder_rate, frame_files, read_image
from whyact.data.pyav_backend import (
    decode,
    left_open,
    opened,
    pyav_version,
    rotation,
    video_stream,
)
from whyact.data.truncation import announced_bytes


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
        packets, first = _scan(container, stream, path)
        stamps = _shown_stamps(container.format.name, codec, packets)
        rate = float(stream.average_rate or 25)
        left = (container, stream) if stamps is not None else None
        if left:
            stack.pop_all()
    if stamps is None:
        stamps, keys = np.arange(_count(path)), none
        base = 1 / rate
    else:
        at_keys = [p.pts for p in packets if p.key and not p.discard]
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


class _Packet(NamedTuple):
    """What a packet says of itself; its data is let go, for a film may not fit the memory."""

    pts: Any  # an int, or None where the container does not tell
    key: bool
    discard: bool


def _scan(container: Any, stream: Any, path: str) -> tuple[list[_Packet], Any]:
    """All packets of the stream, and the first frame that they give."""
    packets: list[_Packet] = []
    first: Any = None
    try:
        for packet in container.demux(stream):
            if packet.size:
                packets.append(_Packet(packet.pts, packet.is_keyframe, packet.is_discard))
            if first is None:
                first = _first_frame(packet, path)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise VideoError(path, f"damaged or truncated: {reason}.") from error
    if first is None:
        raise VideoError(path, "no frame could be decoded: it is damaged or truncated.")
    return packets, first


def _first_frame(packet: Any, path: str) -> Any:
    """The first frame that a packet gives; None where the decoder waits for the next one."""
    try:
        return next(iter(packet.decode()), None)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise VideoError(path, f"no frame could be decoded: {reason}.") from error


def _shown_stamps(container: str, codec: str, packets: list[_Packet]) -> NDArray[np.int64] | None:
    """Time stamps of the shown frames in order; None if the packets do not tell.

    AVI stores the order of decoding only, and VP8 has packets that are not shown.
    """
    shown = [p.pts for p in packets if not p.discard]
    if container == "avi" or codec == "vp8" or None in shown or len(set(shown)) < len(shown):
        return None
    return np.array(sorted(shown), dtype=np.int64)


def _count(path: str) -> int:
    with opened(path) as container:
        return sum(1 for _ in decode(container, video_stream(container, path), path))
