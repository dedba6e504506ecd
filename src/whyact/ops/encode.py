"""Write frames as a video file that browsers play."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from whyact.types import WhyactError


class EncodeError(WhyactError):
    """Frames that cannot be written as a video, or a file that cannot be made."""


def write_video(
    path: str | Path,
    frames: Tensor | npt.NDArray[np.uint8],
    rate: float,
    codec: str = "h264",
    crf: int = 18,
) -> Path:
    """Write RGB frames as a video.

    The pixels are stored as yuv420p, which halves the colour resolution but is what browsers
    decode; an odd width or height is padded by repeating the last column or row. MP4 and MOV files
    get their index at the front, so that they play while they load.

    Args:
        path: of the file; its suffix picks the container. Missing folders are made.
        frames: (T, H, W, 3) or (3, T, H, W) uint8, T at least 1.
        rate: frames a second.
        codec: a video encoder of FFmpeg.
        crf: constant rate factor, lower is better; 0 to 51 for ``h264``.

    Returns:
        The path.

    Raises:
        EncodeError: on another shape or type, a rate that isn't positive, or an unusable encoder,
            container or path.
    """
    target = Path(path)
    pixels = _as_frames(frames, target)
    if not 0 < rate < float("inf"):
        raise EncodeError(f"{target}: the frame rate must be above 0, but it is {rate}.")
    fast = {"movflags": "+faststart"} if target.suffix.lower() in (".mp4", ".mov", ".m4v") else {}
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(target), "w", options=fast) as container:
            if av.Codec(codec, "w").type != "video":
                raise EncodeError(f"{target}: codec {codec!r} does not make video; try 'h264'.")
            stream = container.add_stream(codec, rate=Fraction(rate).limit_denominator(60000))
            assert isinstance(stream, av.VideoStream)
            stream.height, stream.width = pixels.shape[1:3]
            stream.pix_fmt = "yuv420p"
            stream.options = {"crf": str(crf)}
            for frame in pixels:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
    except (av.FFmpegError, OSError, ValueError) as error:
        raise EncodeError(
            f"{target}: could not write the video with codec {codec!r} ({error}). Check that the "
            "folder can be written, that the suffix is a container such as .mp4, and that the "
            "codec is an encoder of FFmpeg such as 'h264'."
        ) from error
    return target


def _as_frames(frames: Tensor | npt.NDArray[np.uint8], path: Path) -> npt.NDArray[np.uint8]:
    """Frames as contiguous (T, H, W, 3) with even sides."""
    tensor = torch.as_tensor(frames).detach().cpu()
    shape = tuple(tensor.shape)
    if tensor.dtype != torch.uint8:
        raise EncodeError(
            f"{path}: frames must be uint8 in [0, 255], but they are {tensor.dtype}. "
            "Multiply floats in [0, 1] by 255, round, and convert them."
        )
    if tensor.dim() == 4 and shape[-1] != 3 and shape[0] == 3:
        tensor = tensor.permute(1, 2, 3, 0)
    if tensor.dim() != 4 or tensor.shape[-1] != 3 or 0 in shape:
        raise EncodeError(
            f"{path}: frames must be (T, H, W, 3) or (3, T, H, W) with at least one frame, "
            f"but their shape is {shape}."
        )
    pixels: npt.NDArray[np.uint8] = tensor.numpy()
    odd = [(0, 0), (0, pixels.shape[1] % 2), (0, pixels.shape[2] % 2), (0, 0)]
    return np.ascontiguousarray(np.pad(pixels, odd, mode="edge"))
