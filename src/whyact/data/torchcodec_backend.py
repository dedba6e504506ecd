"""Frames by torchcodec, where it is installed and agrees with PyAV."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from torch import Tensor

from whyact.data.errors import VideoError

Reader = Callable[[str, list[int]], dict[int, Tensor]]


def version() -> str:
    """Name and version of the installed torchcodec."""
    import torchcodec

    return f"torchcodec {torchcodec.__version__}"


def torchcodec_frames(path: str, wanted: Sequence[int]) -> dict[int, Tensor]:
    """Frames (3, H, W) uint8 RGB by index in presentation order.

    Raises:
        VideoError: torchcodec cannot read them.
    """
    from torchcodec.decoders import VideoDecoder

    order = sorted(set(wanted))
    try:
        decoder = VideoDecoder(path, dimension_order="NCHW", seek_mode="exact")
        return dict(zip(order, decoder.get_frames_at(order).data, strict=True))
    except (RuntimeError, ValueError, IndexError) as error:
        raise VideoError(path, f"damaged or truncated: {error}") from error


def write_check_video(path: str) -> None:
    """Twenty grey frames with B-frames, each 12 levels brighter than the one before."""
    with av.open(path, "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 32
        stream.codec_context.max_b_frames = 2
        for i in range(20):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 12 * i, np.uint8))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@cache
def agrees_with(reader: Reader) -> bool:
    """Whether torchcodec loads here and picks the same frames as ``reader``; asked once."""
    try:
        import torchcodec.decoders  # noqa: F401
    except (ImportError, RuntimeError, OSError):  # the latter two: no FFmpeg libraries
        return False
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "check.mp4")
        write_check_video(path)
        wanted = [3, 4, 11, 19]
        try:
            theirs = torchcodec_frames(path, wanted)
        except VideoError:
            return False
        ours = reader(path, wanted)
    # Decoders round colours differently; neighbouring frames differ by 12.
    return all(bool((ours[i].float() - theirs[i].float()).abs().mean() < 3) for i in wanted)
