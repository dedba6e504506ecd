"""Reading frames from video files and frame folders, exact to the frame."""

from __future__ import annotations

import bisect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image

from whyact.types import WhyactError

IMAGES = (".jpg", ".jpeg", ".png", ".webp")
VIDEOS = (".avi", ".mp4", ".mkv", ".webm", ".mov", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".ogv")
FOLDER_RATE = 12.0
"""Frames a second of a folder of images, which does not say; Something-Something V1 uses 12."""


class VideoError(WhyactError):
    """A video that cannot be read: ``path`` and ``reason``."""

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = Path(path), reason


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a video before its frames are read.

    Attributes:
        times: presentation time of every frame in seconds, ascending, starting at 0.
        width, height: as shown, after rotation.
        rotation: degrees counter-clockwise that the frames are turned by for showing.
        codec, decoder: names; the decoder's with its version.
        seekable: the container's time stamps are those of the shown frames. AVI stores none; its
            frames are counted in the order in which the decoder shows them, from the start.
    """

    times: tuple[float, ...]
    width: int
    height: int
    rotation: int
    codec: str
    decoder: str
    seekable: bool = True

    @property
    def frames(self) -> int:
        """Number of frames."""
        return len(self.times)

    @property
    def duration(self) -> float:
        """Seconds from the first frame to the end of the last."""
        step = self.times[-1] / (self.frames - 1) if self.frames > 1 else 0.0
        return self.times[-1] + step

    @property
    def rate(self) -> float:
        """Mean frames a second."""
        return self.frames / self.duration if self.duration else FOLDER_RATE


@lru_cache(maxsize=4096)
def _probe(path: str, stamp: tuple[int, int]) -> VideoInfo:
    if Path(path).is_dir():
        files = frame_files(Path(path))
        first = decode_image(str(files[0]), ImageReadMode.RGB)
        times = tuple(i / FOLDER_RATE for i in range(len(files)))
        return VideoInfo(times, first.shape[2], first.shape[1], 0, "images", _pyav())
    with _opened(path) as container:
        stream = _video_stream(container, path)
        base = float(stream.time_base or 0)
        seekable = container.format.name != "avi"
        codec = stream.codec_context.name
        if seekable:
            # Demuxing reads packet headers only: exact times at any frame rate, not decoded.
            packets = list(container.demux(stream))
            stamps = [p.pts * base for p in packets if p.pts is not None and not p.is_discard]
    with _opened(path) as container:
        shown = _frames(container, path)
        first = next(shown, None)
        if first is None:
            raise VideoError(path, "no frame could be decoded; it is damaged or truncated.")
        if not seekable:
            count = 1 + sum(1 for _ in shown)
            rate = float(_video_stream(container, path).average_rate or 25)
            stamps = [i / rate for i in range(count)]
    turn = _rotation(first)
    width, height = (first.height, first.width) if turn % 180 else (first.width, first.height)
    stamps.sort()
    times = tuple(t - stamps[0] for t in stamps)
    return VideoInfo(times, width, height, turn, codec, _pyav(), seekable)


def probe(path: str | Path) -> VideoInfo:
    """Read a video's frame times and size.

    Raises:
        VideoError: missing, unreadable, empty, without video, or not a video.
    """
    path = Path(path)
    try:
        status = path.stat()
    except FileNotFoundError:
        raise VideoError(path, "no such file.") from None
    except OSError as error:
        raise VideoError(path, f"cannot be opened: {error.strerror}.") from error
    if path.is_file() and status.st_size == 0:
        raise VideoError(path, "the file is empty (0 bytes).")
    return _probe(str(path), (status.st_mtime_ns, status.st_size))


def read_frames(path: str | Path, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Decode chosen frames, and no more than it takes to reach them.

    Args:
        path: of a video file or a folder of images.
        indices: frames in presentation order, 0-based; any order, repeats allowed.

    Returns:
        Frames (3, T, H, W) uint8 RGB and their times (T,) float64 in seconds.

    Raises:
        VideoError: see `probe`; or the file ends before the last of the frames.
        WhyactError: an index outside the video.
    """
    info = probe(path)
    wanted = [int(i) for i in indices]
    outside = [i for i in wanted if not 0 <= i < info.frames]
    if outside or not wanted:
        raise WhyactError(
            f"{path}: frame {outside[:1] or 'list'} is outside the video, "
            f"which has frames 0 to {info.frames - 1}."
        )
    if Path(path).is_dir():
        files = frame_files(Path(path))
        images = {i: decode_image(str(files[i]), ImageReadMode.RGB) for i in set(wanted)}
    elif torchcodec_agrees():
        images = _torchcodec_frames(str(path), wanted)
    else:
        images = _pyav_frames(str(path), info, sorted(set(wanted)))
    return (
        torch.stack([images[i] for i in wanted], dim=1),
        torch.tensor([info.times[i] for i in wanted], dtype=torch.float64),
    )


def indices_at(info: VideoInfo, seconds: Sequence[float]) -> list[int]:
    """The frame that is on screen at each time: the last one that started by then."""
    return [max(0, bisect.bisect_right(info.times, s + 1e-6) - 1) for s in seconds]


def frame_files(folder: Path) -> list[Path]:
    """The RGB images of a frame folder, ordered by the number in their names.

    Raises:
        VideoError: there is none.
    """
    files = [
        p
        for p in folder.iterdir()
        if p.suffix.lower() in IMAGES and not p.name.startswith(("flow_", "."))
    ]
    if not files:
        raise VideoError(folder, f"the folder holds no images ({', '.join(IMAGES)}).")
    return sorted(files, key=lambda p: (int((re.findall(r"\d+", p.stem) or ["0"])[-1]), p.name))


def _pyav() -> str:
    return f"PyAV {av.__version__}"


def decoder_version() -> str:
    """The decoder that `read_frames` uses for files, with its version."""
    if torchcodec_agrees():
        import torchcodec

        return f"torchcodec {torchcodec.__version__}"
    return _pyav()


def _opened(path: str) -> Any:
    try:
        return av.open(path)
    except av.error.PermissionError as error:
        raise VideoError(path, "cannot be opened: permission denied.") from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise VideoError(
            path, f"not a readable video: {reason}. It may be truncated or no video at all."
        ) from error


def _video_stream(container: Any, path: str) -> Any:
    if not container.streams.video:
        kinds = sorted({s.type for s in container.streams})
        raise VideoError(path, f"no video stream in it (only {', '.join(kinds) or 'nothing'}).")
    return container.streams.video[0]


def _frames(container: Any, path: str) -> Any:
    stream = _video_stream(container, path)
    stream.thread_type = "AUTO"
    try:
        yield from container.decode(stream)
    except av.error.FFmpegError as error:
        raise VideoError(path, f"damaged or truncated: {error.strerror}.") from error


def _rotation(frame: Any) -> int:
    return int(round(getattr(frame, "rotation", 0) / 90) * 90) % 360


def _to_tensor(frame: Any) -> Tensor:
    array = np.ascontiguousarray(frame.to_ndarray(format="rgb24"))
    # The display matrix gives the turn that must be applied, counter-clockwise.
    turned = np.rot90(array, _rotation(frame) // 90)
    return torch.from_numpy(np.ascontiguousarray(turned)).permute(2, 0, 1)


def _pyav_frames(path: str, info: VideoInfo, wanted: list[int]) -> dict[int, Tensor]:
    found: dict[int, Tensor] = {}
    with _opened(path) as container:
        stream = _video_stream(container, path)
        base = float(stream.time_base or 0)
        start = _first_time(path, base) if info.seekable else 0.0
        if wanted[0] > 0 and base and info.seekable:
            container.seek(int((start + info.times[wanted[0]]) / base), stream=stream)
        for count, frame in enumerate(_frames(container, path)):
            if info.seekable and frame.pts is None:
                continue
            i = _nearest(info.times, frame.pts * base - start) if info.seekable else count
            if i in wanted and i not in found:
                found[i] = _to_tensor(frame)
            if i >= wanted[-1]:
                break
    if wanted[0] > 0 and wanted[0] not in found:
        # The container's index led to a later frame: decode from the start.
        return _pyav_frames(path, info, [0, *wanted])
    missing = [i for i in wanted if i not in found]
    if missing:
        raise VideoError(
            path,
            f"damaged or truncated: frame {missing[0]} of {info.frames} could not be decoded.",
        )
    return found


@lru_cache(maxsize=4096)
def _first_time(path: str, base: float) -> float:
    with _opened(path) as container:
        stream = _video_stream(container, path)
        stamps = (p.pts for p in container.demux(stream) if p.pts is not None)
        return min(stamps, default=0) * base


def _nearest(times: Sequence[float], time: float) -> int:
    i = bisect.bisect_left(times, time)
    options = [j for j in (i - 1, i) if 0 <= j < len(times)]
    return min(options, key=lambda j: abs(times[j] - time))


def _torchcodec_frames(path: str, wanted: Sequence[int]) -> dict[int, Tensor]:
    from torchcodec.decoders import VideoDecoder

    try:
        decoder = VideoDecoder(path, dimension_order="NCHW", seek_mode="exact")
        order = sorted(set(wanted))
        return dict(zip(order, decoder.get_frames_at(order).data, strict=True))
    except (RuntimeError, ValueError, IndexError) as error:
        raise VideoError(path, f"damaged or truncated: {error}") from error


@cache
def torchcodec_agrees() -> bool:
    """Whether torchcodec loads here and picks the same frames as PyAV; asked once a process."""
    try:
        import torchcodec.decoders  # noqa: F401
    except (ImportError, RuntimeError, OSError):
        return False
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "check.mp4")
        with av.open(path, "w") as container:
            stream: Any = container.add_stream("mpeg4", rate=25)
            stream.width = stream.height = 32
            for i in range(20):
                frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 12 * i, np.uint8))
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        wanted = [3, 4, 11, 19]
        ours = _pyav_frames(path, probe(path), wanted)
        theirs = _torchcodec_frames(path, wanted)
        close = [(ours[i].float() - theirs[i].float()).abs().mean() < 3 for i in wanted]
        return bool(all(close))
