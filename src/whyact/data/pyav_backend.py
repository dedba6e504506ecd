"""Opening and decoding with PyAV, every failure as a `VideoError`."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from whyact.data.errors import VideoError

# FFmpeg "plays" text as ANSI art and pictures as films of one frame.
_NOT_VIDEO = ("tty", "bin", "xbin", "adf", "idf", "image2", "hls", "concat", "dash")


def pyav_version() -> str:
    """PyAV's version and that of the FFmpeg in it."""
    return f"PyAV {av.__version__} (FFmpeg {av.ffmpeg_version_info})"


def opened(path: str) -> Any:
    """Open a video file."""
    try:
        # Absolute, because FFmpeg takes what precedes a colon for a protocol.
        container = av.open(str(Path(path).absolute()))
    except av.error.PermissionError as error:
        raise VideoError(path, "cannot be opened: permission denied.") from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise VideoError(
            path, f"not a readable video: {reason}. It may be truncated or no video at all."
        ) from error
    name = container.format.name
    if name in _NOT_VIDEO or name.endswith("_pipe"):
        container.close()
        raise VideoError(path, f"a text, picture or playlist ('{name}'), not a video.")
    return container


def video_stream(container: Any, path: str) -> Any:
    """The first stream that is a film; decoded with one thread in loader processes."""
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:  # a song's cover
            if stream.codec_context is None:
                raise VideoError(path, "its codec is unknown to FFmpeg, or the file is damaged.")
            # Loader processes are parallel already.
            stream.thread_type = "AUTO" if get_worker_info() is None else "NONE"
            return stream
    kinds = sorted({s.type for s in container.streams} - {"video"})
    raise VideoError(path, f"no video stream in it (only {', '.join(kinds) or 'nothing'}).")


class _LeftOpen(threading.local):
    """The film that `probe` read last, still open for the read that follows, a slot a thread.

    Opening costs FFmpeg some frames' worth of decoding; a first epoch would pay it twice. A forked
    process must not take its parent's film: they share one position in the file.
    """

    film: tuple[object, int, Any, Any] | None = None

    def hand_over(self, info: object, container: Any, stream: Any) -> None:
        """Keep this film, of which ``info`` is known; close the one before."""
        if self.film is not None:
            self.film[2].close()
        self.film = (info, os.getpid(), container, stream)

    def take(self, info: object) -> tuple[Any, Any] | None:
        """Container and stream, if ``info`` was read from them; the caller closes them."""
        if self.film is None or self.film[0] is not info or self.film[1] != os.getpid():
            return None
        (_, _, container, stream), self.film = self.film, None
        return container, stream


left_open = _LeftOpen()


def decode(container: Any, stream: Any, path: str) -> Iterator[Any]:
    """Decoded frames from the current position."""
    try:
        yield from container.decode(stream)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise VideoError(path, f"damaged or truncated: {reason}.") from error


def rotation(frame: Any) -> int:
    """Degrees counter-clockwise by which the frame must be turned for showing."""
    return int(round(getattr(frame, "rotation", 0) / 90) * 90) % 360


def to_tensor(frame: Any, width: int, height: int) -> Tensor:
    """Frame as (3, height, width) uint8 RGB, turned as it is to be shown."""
    # The display matrix gives the turn that must be applied, counter-clockwise.
    turn = rotation(frame)
    if turn % 180:
        width, height = height, width
    # Streams may change their size midway; every frame gets the size of the first.
    # FFmpeg's converter does not look at the matrix that the stream names (1: BT.709).
    colour = "ITU709" if frame.colorspace == 1 else None
    array = frame.to_ndarray(format="rgb24", width=width, height=height, src_colorspace=colour)
    return torch.from_numpy(np.ascontiguousarray(np.rot90(array, turn // 90))).permute(2, 0, 1)
