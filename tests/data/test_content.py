"""The hash of a clip changes with its content, and costs no more than a few blocks of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from whyact.data.content import content_hash, content_hashes
from whyact.data.frame_folder import RATE_FILE

LARGE = 1 << 20


def put(path: Path, data: bytes, place: int = 0) -> None:
    """Overwrite bytes in place; a later time of change, whatever the clock's resolution."""
    before = path.stat().st_mtime_ns
    with path.open("r+b") as opened:
        opened.seek(place)
        opened.write(data)
    os.utime(path, ns=(before + 10, before + 10))


def test_a_small_file_is_covered_to_the_last_byte(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(bytes(60_000))
    seen = {content_hash(clip)}
    for place in (0, 17, 30_000, 59_999):
        put(clip, b"x", place)
        seen.add(content_hash(clip))
    clip.write_bytes(clip.read_bytes() + b"x")
    seen.add(content_hash(clip))
    assert len(seen) == 6


def test_a_large_file_is_covered_at_both_ends_and_in_the_middle(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(bytes(LARGE))
    before = content_hash(clip)
    for place in (0, LARGE // 2, LARGE - 1):
        put(clip, b"x", place)
        assert content_hash(clip) != before
        put(clip, b"\0", place)
        assert content_hash(clip) == before
    put(clip, b"x", LARGE // 4)  # what the module says goes unseen
    assert content_hash(clip) == before
    with clip.open("ab") as opened:
        opened.write(b"\0")
    assert content_hash(clip) != before


def test_a_file_beyond_all_memory_takes_no_time(tmp_path: Path) -> None:
    sparse = tmp_path / "film.mkv"
    with sparse.open("wb") as opened:
        opened.truncate(1 << 40)  # a terabyte of nothing: reading it would take hours
    assert len(content_hash(sparse)) == 64


def test_an_unchanged_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip, opened = tmp_path / "clip.mp4", []
    clip.write_bytes(b"abc")
    real = Path.open
    monkeypatch.setattr(Path, "open", lambda self, *a: opened.append(self) or real(self, *a))
    assert content_hashes([clip]) == content_hashes([clip]) and opened == [clip]
    put(clip, b"abd")
    first = content_hash(clip)
    assert first != content_hashes([tmp_path / "none", clip])[0] and len(opened) == 4  # put, read


def test_a_folder_of_frames_changes_with_any_of_its_sizes_and_with_its_rate(tmp_path: Path) -> None:
    folder = tmp_path / "clip"
    folder.mkdir()
    for i in range(1, 8):
        (folder / f"{i:05d}.jpg").write_bytes(bytes([i]) * 50)
    seen = [content_hash(folder)]
    (folder / "00002.jpg").write_bytes(b"x" * 51)
    seen.append(content_hash(folder))
    put(folder / "00001.jpg", b"y")
    seen.append(content_hash(folder))
    (folder / RATE_FILE).write_text("12.0")
    seen.append(content_hash(folder))
    (folder / RATE_FILE).write_text("25.0")
    os.utime(folder / RATE_FILE, ns=(1, 1))
    seen.append(content_hash(folder))
    (folder / "00007.jpg").unlink()
    seen.append(content_hash(folder))
    assert len(set(seen)) == 6


def test_what_cannot_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert content_hash(tmp_path / "empty") == "unreadable: VideoError"
    assert content_hash(tmp_path / "none.mp4") == "unreadable: FileNotFoundError"
