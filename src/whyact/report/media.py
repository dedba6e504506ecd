"""Pictures and arrays as text that JSON and HTML can hold."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from whyact.types import WhyactError

QUALITY = 82
_PREFIX = "data:image/jpeg;base64,"


def jpeg(image: NDArray[np.uint8]) -> bytes:
    """An RGB image (H, W, 3) as a JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return buffer.getvalue()


def jpeg_uri(image: NDArray[np.uint8]) -> str:
    """An RGB image (H, W, 3) as the address of an ``img`` that holds the image itself."""
    return _PREFIX + base64.b64encode(jpeg(image)).decode()


def sprite(frames: NDArray[np.uint8]) -> dict[str, Any]:
    """Frames (T, H, W, 3) as one JPEG, in rows of ``columns`` frames.

    Returns:
        ``uri``, ``count``, ``columns``, and ``width`` and ``height`` of one frame.
    """
    count, height, width, _ = frames.shape
    columns = int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    padded = np.zeros((rows * columns, height, width, 3), np.uint8)
    padded[:count] = frames
    sheet = padded.reshape(rows, columns, height, width, 3).swapaxes(1, 2)
    return {
        "uri": jpeg_uri(np.ascontiguousarray(sheet.reshape(rows * height, columns * width, 3))),
        "count": count, "columns": columns, "width": width, "height": height,
    }  # fmt: skip


def frames_of_sprite(values: Mapping[str, Any]) -> NDArray[np.uint8]:
    """What `sprite` was given, as far as JPEG keeps it.

    Raises:
        WhyactError: the text holds no picture of that size.
    """
    count, columns = values["count"], values["columns"]
    height, width = values["height"], values["width"]
    rows = -(-count // columns)
    try:
        data = base64.b64decode(str(values["uri"]).removeprefix(_PREFIX), validate=True)
        sheet = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    except (ValueError, OSError) as error:
        raise WhyactError(f"The frames of the explanation are no JPEG picture: {error}") from error
    if sheet.shape[:2] != (rows * height, columns * width):
        raise WhyactError(
            f"Expected a picture of {columns} x {rows} frames of {width} x {height} pixels, got "
            f"{sheet.shape[1]} x {sheet.shape[0]}."
        )
    cut = sheet.reshape(rows, height, columns, width, 3).swapaxes(1, 2)
    return cut.reshape(-1, height, width, 3)[:count]


def pack(values: Tensor) -> dict[str, Any]:
    """Non-negative numbers as bytes: ``data`` (base64), ``shape``, and ``top``, which 255 means."""
    top = float(values.max()) if values.numel() else 0.0
    steps = (values.float() / top * 255).round() if top > 0 else torch.zeros_like(values)
    data = base64.b64encode(steps.byte().contiguous().numpy().tobytes()).decode()
    return {"data": data, "shape": list(values.shape), "top": top}


def unpack(values: Mapping[str, Any]) -> Tensor:
    """What `pack` was given, to within 1/510 of its largest number.

    Raises:
        WhyactError: another number of bytes than the shape has.
    """
    data = np.frombuffer(base64.b64decode(values["data"]), np.uint8)
    if data.size != int(np.prod(values["shape"])):
        raise WhyactError(
            f"Expected {int(np.prod(values['shape']))} bytes for the shape {values['shape']}, "
            f"got {data.size}."
        )
    return torch.from_numpy(data.reshape(values["shape"]).astype(np.float32)) * values["top"] / 255
