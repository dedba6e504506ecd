"""Videos kept as folders of images."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from whyact.data.errors import VideoError

IMAGES = (".jpg", ".jpeg", ".png", ".webp")
FOLDER_RATE = 12.0
"""Frames a second of a folder of images that does not say; Something-Something V1 uses 12."""
RATE_FILE = "rate.txt"
"""File in a folder of images that holds its frames a second; ``whyact data prepare`` writes it."""


def folder_rate(folder: Path) -> float:
    """Frames a second of a folder of images.

    Raises:
        VideoError: its rate file holds no positive number.
    """
    file = folder / RATE_FILE
    if not file.is_file():
        return FOLDER_RATE
    try:
        rate = float(file.read_text())
    except (OSError, ValueError) as error:
        raise VideoError(file, f"expected frames a second: {error}.") from error
    if not 0 < rate < 1e6:
        raise VideoError(file, f"expected frames a second, got {rate}.")
    return rate


def frame_files(folder: Path) -> list[Path]:
    """The RGB images of a frame folder, ordered by the number in their names.

    Raises:
        VideoError: there is none, or the folder cannot be listed.
    """
    try:
        files = [
            p
            for p in folder.iterdir()
            if p.suffix.lower() in IMAGES and not p.name.startswith(("flow_", "."))
        ]
    except OSError as error:
        raise VideoError(folder, f"cannot be opened: {error.strerror}.") from error
    if not files:
        raise VideoError(folder, f"the folder holds no images ({', '.join(IMAGES)}).")
    return sorted(files, key=lambda p: (frame_number(p), p.name))


def frame_number(file: Path) -> int:
    """The last number in an image's name; 0 without one."""
    return int((re.findall(r"\d+", file.stem) or ["0"])[-1])


def read_image(file: Path) -> Tensor:
    """One image as (3, H, W) uint8 RGB.

    Raises:
        VideoError: it cannot be read.
    """
    try:
        with Image.open(file) as image:
            pixels = np.array(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:  # PIL raises all of them on damage
        raise VideoError(file, f"not a readable image: {error}") from error
    return torch.from_numpy(pixels).permute(2, 0, 1)


def read_images(folder: Path, indices: Iterable[int]) -> dict[int, Tensor]:
    """Images by their place in the folder, each (3, H, W) uint8 RGB, all of one size.

    Raises:
        VideoError: an image is damaged, or of another size than the first.
    """
    files = frame_files(folder)
    images = {i: read_image(files[i]) for i in sorted(set(indices))}
    first = next(iter(images.values()))
    for i, image in images.items():
        if image.shape != first.shape:
            raise VideoError(
                files[i],
                f"is {image.shape[2]} x {image.shape[1]} pixels, but other frames of the folder "
                f"are {first.shape[2]} x {first.shape[1]}.",
            )
    return images
