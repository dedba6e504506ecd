"""A short film in memory, read from bytes that nobody vouches for."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import av
import torch
from torch import Tensor

from whyact.data.pyav_backend import decode, rotation, to_tensor, video_stream
from whyact.types import WhyactError

_FULL_SIZE = 1 << 24
"""Pixels that are held in full size at once, and never less than a frame."""


@dataclass(frozen=True)
class Limits:
    """What a film may cost.

    Attributes:
        megabytes: of the file. seconds: of film. frames: decoded. side: of a frame, in pixels.
        patience: seconds that decoding may take.
    """

    megabytes: float = 64
    seconds: float = 60
    frames: int = 1800
    side: int = 4096
    patience: float = 30

    @property
    def bytes(self) -> int:
        """Of the file."""
        return int(self.megabytes * 1e6)


@dataclass(frozen=True)
class Film:
    """All frames of a film, in the size that a model takes.

    Attributes:
        name: for people. frames: (3, n, H, W) uint8. times: (n,) float64, seconds from 0.
    """

    name: str
    frames: Tensor
    times: Tensor

    @property
    def seconds(self) -> float:
        """Of its last frame."""
        return float(self.times[-1])


def read_film(
    data: bytes, name: str, transform: Callable[[Tensor], Tensor], limits: Limits
) -> Film:
    """Decode a film from memory; nothing is written to a disk.

    The container is told by its first bytes and FFmpeg gets no say in it, because some of its
    formats are lists of other files to open. What the header claims is checked before a frame is
    decoded, and what comes out is checked again, as a header may lie.

    Args:
        data: of an MP4, MOV, MKV, WebM or AVI file. name: for messages.
        transform: frames (3, n, H, W) uint8 to the size of the model. limits: of the film.

    Raises:
        WhyactError: no such file, damaged, or beyond a limit.
    """
    if len(data) > limits.bytes:
        raise WhyactError(f"{name}: {len(data) / 1e6:.0f} MB; {_most(limits)}.")
    try:
        with av.open(io.BytesIO(data), format=_container(data, name)) as container:
            stream = video_stream(container, name)
            _check_header(container, stream, name, limits)
            # The decoder refuses larger frames, whatever the header says.
            stream.codec_context.options = {"max_pixels": str(limits.side**2)}
            frames, times = _decoded(_timed(container, stream, name), name, transform, limits)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WhyactError(f"{name}: damaged, or no video: {reason}.") from error
    return Film(name, frames, times)


def _most(limits: Limits) -> str:
    return (
        f"at most {limits.megabytes:g} MB, {limits.seconds:g} s, {limits.frames} frames and "
        f"{limits.side} pixels a side are taken"
    )


def _container(data: bytes, name: str) -> str:
    """FFmpeg's name of the container."""
    if data[4:8] in (b"ftyp", b"moov", b"mdat", b"wide"):
        return "mov"
    if data[:4] == b"\x1aE\xdf\xa3":
        return "matroska"
    if data[:4] == b"RIFF" and data[8:12] == b"AVI ":
        return "avi"
    raise WhyactError(f"{name}: not a video of a type that is taken (MP4, MOV, MKV, WebM, AVI).")


def _check_header(container: Any, stream: Any, name: str, limits: Limits) -> None:
    lengths = [container.duration / av.time_base] if container.duration else []
    if stream.duration and stream.time_base:
        lengths.append(float(stream.duration * stream.time_base))
    if lengths and max(lengths) > limits.seconds + 1:  # containers round, and count the sound
        raise WhyactError(f"{name}: {max(lengths):.0f} s long; {_most(limits)}.")
    width, height = stream.codec_context.width, stream.codec_context.height
    if max(width, height) > limits.side:
        raise WhyactError(f"{name}: {width} x {height} pixels; {_most(limits)}.")


def _timed(container: Any, stream: Any, name: str) -> Iterator[tuple[Any, float]]:
    """Frames as they are shown, with their seconds since the first one."""
    rate, first = float(stream.average_rate or 25), None
    for count, frame in enumerate(decode(container, stream, name)):
        at = count / rate if frame.time is None else float(frame.time)
        first = at if first is None else first
        yield frame, at - first


def _decoded(
    timed: Iterator[tuple[Any, float]], name: str, transform: Callable[[Tensor], Tensor],
    limits: Limits,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    end = time.monotonic() + limits.patience
    made: list[Tensor] = []
    whole: list[Tensor] = []
    times: list[float] = []
    size: tuple[int, int] | None = None
    for frame, at in timed:
        if len(times) == limits.frames or at > limits.seconds:
            what = f"{limits.seconds:g} s" if at > limits.seconds else f"{limits.frames} frames"
            raise WhyactError(f"{name}: more than {what}; {_most(limits)}.")
        if time.monotonic() > end:
            raise WhyactError(f"{name}: decoding took more than {limits.patience:g} s.")
        turned = rotation(frame) % 180
        size = size or ((frame.height, frame.width) if turned else (frame.width, frame.height))
        whole.append(to_tensor(frame, *size))
        times.append(at)
        if len(whole) * size[0] * size[1] >= _FULL_SIZE:
            made.append(transform(torch.stack(whole, 1)))
            whole = []
    if whole:
        made.append(transform(torch.stack(whole, 1)))
    if not made:
        raise WhyactError(f"{name}: no frame could be decoded; it is damaged or empty.")
    return torch.cat(made, 1), torch.tensor(times, dtype=torch.float64)
