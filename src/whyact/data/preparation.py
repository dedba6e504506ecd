"""Smaller copies of clips: re-encoded, or as folders of frames."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from whyact.data.errors import VideoError
from whyact.data.frame_folder import RATE_FILE, frame_files
from whyact.data.pyav_backend import decode, opened, rotation, to_tensor, video_stream
from whyact.data.video import VIDEOS, probe

FORMS = ("video", "frames")
_GAP = 12  # frames between keyframes: seeking lands close to every clip


def prepared_path(path: Path, form: str) -> Path:
    """Where a prepared clip lies: ``.mp4``, or a folder named like the clip without its suffix."""
    stem = path.with_suffix("") if path.suffix.lower() in VIDEOS else path
    return stem.with_name(f"{stem.name}.mp4") if form == "video" else stem


def prepare_clip(source: Path, target: Path, *, form: str, short_side: int) -> None:
    """Write a smaller copy; a copy that is there is complete.

    Args:
        source: clip. target: as `prepared_path` says. form: ``video`` (H.264, a keyframe every
            12 frames, times kept) or ``frames`` (``img_00001.jpg`` …, with the rate beside them).
        short_side: in pixels; smaller clips keep their size.

    Raises:
        VideoError: the source cannot be read.
    """
    info = probe(source)
    scale = min(1.0, short_side / min(info.width, info.height))
    size = _even(info.width * scale), _even(info.height * scale)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part{target.suffix}")
    _remove(part)
    try:
        write = _write_video if form == "video" else _write_frames
        written = write(part, _frames(source, size), size, info.rate)
        if written != info.frames:
            raise VideoError(source, f"{written} of {info.frames} frames could be decoded.")
        part.rename(target)
    finally:
        _remove(part)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def _even(side: float) -> int:
    return max(2, round(side / 2) * 2)


def _frames(source: Path, size: tuple[int, int]) -> Iterator[tuple[Any, float]]:
    """Pictures (H, W, 3) uint8 and their times in seconds."""
    info = probe(source)
    if source.is_dir():
        for file, time in zip(frame_files(source), info.times, strict=True):
            with Image.open(file) as image:
                yield np.asarray(image.convert("RGB").resize(size)), float(time)
        return
    with opened(str(source)) as container:
        stream = video_stream(container, str(source))
        stream.thread_type = "AUTO"
        pictures = decode(container, stream, str(source))
        for frame, time in zip(pictures, info.times, strict=False):
            turned = size if not rotation(frame) % 180 else size[::-1]
            small = frame.reformat(*turned, interpolation="AREA")
            if rotation(frame):  # the copy is stored as it is shown
                upright = to_tensor(frame, info.width, info.height).permute(1, 2, 0).numpy()
                yield np.asarray(Image.fromarray(upright).resize(size)), float(time)
            else:
                yield small.to_ndarray(format="rgb24"), float(time)


def _write_video(
    file: Path, frames: Iterator[tuple[Any, float]], size: tuple[int, int], rate: float
) -> int:
    count = 0
    with av.open(str(file), "w") as out:
        options = {"crf": "20", "preset": "veryfast", "g": str(_GAP)}
        stream: Any = out.add_stream("libx264", rate=Fraction(rate).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt, stream.options = *size, "yuv420p", options
        stream.codec_context.time_base = Fraction(1, 90_000)
        for picture, time in frames:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(time * 90_000), Fraction(1, 90_000)
            out.mux(stream.encode(frame))
            count += 1
        out.mux(stream.encode())
    return count


def _write_frames(
    folder: Path, frames: Iterator[tuple[Any, float]], size: tuple[int, int], rate: float
) -> int:
    folder.mkdir()
    count = 0
    for count, (picture, _) in enumerate(frames, 1):
        Image.fromarray(picture).save(folder / f"img_{count:05d}.jpg", quality=92)
    (folder / RATE_FILE).write_text(f"{rate:.6f}\n")
    return count
