"""Hashes of the contents of clips, cheap enough for sets of hundreds of thousands of them.

A hash covers a file's size and, up to 64 KiB, all its bytes; of larger files 16 KiB each from the
beginning, the middle and the end. A folder of frames is covered by the names and sizes of all
files in it and, as files are, by its first, middle and last image and its `RATE_FILE`. So it
changes with every re-encoding, cut or replacement; an edit elsewhere that keeps the size goes
unseen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

from whyact.data.frame_folder import RATE_FILE, frame_files
from whyact.types import WhyactError

_WHOLE, _BLOCK = 1 << 16, 1 << 14
_READERS = 16  # threads; they wait for the disk or the network, not for the processor

Stamp = tuple[int, int]


def stamp_of(path: Path) -> Stamp:
    """Time of change (ns) and bytes; zeros where nothing is there."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


def content_hash(path: Path) -> str:
    """SHA-256 of a clip, by what the module says it covers; the reason where it cannot be read.

    A file whose `stamp_of` is what it was is not read again in this process.
    """
    try:
        if not path.is_dir():
            return _file_hash(path, stamp_of(path))
        digest, images = hashlib.sha256(), frame_files(path)
        for file in sorted(path.iterdir()):
            digest.update(f"{file.name}\0{file.stat().st_size}\n".encode())
        chosen = [images[0], images[len(images) // 2], images[-1], *path.glob(RATE_FILE)]
        for file in chosen:
            digest.update(_file_hash(file, stamp_of(file)).encode())
        return digest.hexdigest()
    except (OSError, WhyactError) as error:
        return f"unreadable: {type(error).__name__}"


def content_hashes(paths: Sequence[Path]) -> list[str]:
    """`content_hash` of every path, read in parallel."""
    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(content_hash, paths))


@lru_cache(maxsize=1 << 20)
def _file_hash(file: Path, stamp: Stamp) -> str:
    size = stamp[1]
    digest = hashlib.sha256(f"{size}\n".encode())
    with file.open("rb") as opened:
        if size <= _WHOLE:
            digest.update(opened.read())
        else:
            for place in (0, (size - _BLOCK) // 2, size - _BLOCK):
                opened.seek(place)
                digest.update(opened.read(_BLOCK))
    return digest.hexdigest()
