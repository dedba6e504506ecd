"""Small videos whose frames can be told apart, written by the tests."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

STEP = 5


def picture(i: int, width: int = 48, height: int = 32) -> NDArray[np.uint8]:
    """Frame i: a flat colour whose red channel says i, with a white top left corner."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:] = (20 + STEP * i, 60, 120)
    image[: height // 4, : width // 4] = 255
    return image


def write_video(
    path: Path,
    *,
    codec: str = "libx264",
    frames: int = 40,
    size: tuple[int, int] = (48, 32),
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
    rotation: int = 0,
    stamps: list[int] | None = None,
    images: list[NDArray[np.uint8]] | None = None,
    container: dict[str, str] | None = None,
) -> Path:
    """Write ``frames`` pictures at 25 frames a second, or at ``stamps`` in milliseconds."""
    with av.open(str(path), "w", options=container or {}) as out:
        stream: Any = out.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        stream.bit_rate = 4_000_000
        if rotation:
            stream.set_display_rotation(rotation)
        if stamps is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for i in range(frames):
            image = images[i] if images is not None else picture(i, *size)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixels)
            if stamps is not None:
                frame.pts, frame.time_base = stamps[i], Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def write_audio(path: Path) -> Path:
    """A second of silence and no picture."""
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("aac", rate=8000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
        silence.sample_rate = 8000
        out.mux(stream.encode(silence))
        out.mux(stream.encode())
    return path


def decode_all(path: Path) -> NDArray[np.uint8]:
    """All frames (n, H, W, 3) of a file, by decoding it from beginning to end."""
    with av.open(str(path)) as opened:
        return np.stack([f.to_ndarray(format="rgb24") for f in opened.decode(video=0)])
