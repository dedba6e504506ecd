"""Does a file end before its container says it does? Read from the headers alone.

FFmpeg plays a truncated file up to the cut without a word, which would silently shorten a clip.
MPEG streams (``.ts``, ``.mpg``) announce no length, so a cut cannot be told there.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def announced_bytes(path: Path) -> int | None:
    """Bytes that the container's headers announce: MP4/MOV, AVI, Matroska/WebM; else None."""
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
            # Writers that were interrupted, or that write to a pipe, leave 0 or all ones here.
            size: int = struct.unpack("<I", head[4:8])[0]
            return size + 8 if 0 < size < 0xFFFFFFFF else None
        if head[:4] == _EBML:
            return _matroska(file)
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            return _boxes(file, path.stat().st_size)
    return None


def _boxes(file: BinaryIO, length: int) -> int:
    """End of the last top-level box of an ISO base media file."""
    position = 0
    while position + 8 <= length:
        file.seek(position)
        size, kind = struct.unpack(">I4s", file.read(8))
        if size == 1:
            size = struct.unpack(">Q", file.read(8).rjust(8, b"\0"))[0]
        if size < 8 or not kind.isascii():  # 0: to the end of the file; else no box: padding
            return length
        position += size
    return position


def _matroska(file: BinaryIO) -> int | None:
    """End of the segment, None where it is open (live recordings)."""
    file.seek(4)
    _skip(file)
    if file.read(4) != _SEGMENT:
        return None
    size = _number(file)
    return None if size is None else file.tell() + size


def _skip(file: BinaryIO) -> None:
    file.seek(_number(file) or 0, 1)


def _number(file: BinaryIO) -> int | None:
    """A variable-length EBML number; None when all its bits are set, which means unknown."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    extra = 8 - first[0].bit_length()
    mask = (1 << (7 - extra)) - 1
    value = int.from_bytes(bytes([first[0] & mask]) + file.read(extra), "big")
    return None if value == (1 << (7 * (extra + 1))) - 1 else value
