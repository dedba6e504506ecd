"""Is a clip there, can it be read, is it a copy of another? The answers are kept in a file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from whyact.data.content import content_hash, stamp_of
from whyact.data.sampling import sample
from whyact.data.video import VideoError, probe, read_frames
from whyact.processes import in_processes


@dataclass(frozen=True)
class Inspection:
    """What was found at a path.

    Attributes:
        path: of the clip. stamp: (time of change, bytes) when it was looked at.
        missing: nothing is there. error: why it cannot be read, empty if it can.
        content: hash that two copies share, empty for what cannot be read.
        frames: number of them, 0 for what cannot be read.
    """

    path: str
    stamp: tuple[int, int]
    missing: bool = False
    error: str = ""
    content: str = ""
    frames: int = 0


def inspect_clip(path: str, *, deep: bool = False) -> Inspection:
    """Read a clip as an evaluation would; with ``deep``, every frame of it."""
    place = Path(path)
    stamp = stamp_of(place)
    if not place.exists() and stamp == (0, 0):
        return Inspection(path, stamp, missing=True, error="no such file.")
    try:
        info = probe(place)
        wanted = range(info.frames) if deep else sample(info.times, frames=4, sampling="segment")
        for start in range(0, len(wanted), 64):  # a whole film would not fit the memory
            read_frames(place, [int(i) for i in wanted[start : start + 64]])
        return Inspection(path, stamp, content=content_hash(place), frames=info.frames)
    except VideoError as error:
        return Inspection(path, stamp, error=error.reason)
    except OSError as error:
        return Inspection(path, stamp, error=str(error))


def inspect_all(
    paths: Sequence[Path], *, journal: Path, workers: int = 1, deep: bool = False
) -> Iterator[Inspection]:
    """Inspect clips in parallel; what the journal knows of an unchanged clip is not read again.

    Args:
        paths: each once. journal: file of JSON lines that grows as it goes, so that an interrupted
            check goes on where it was.
        workers: processes. deep: decode every frame.
    """
    known = _read_journal(journal, deep)
    todo = []
    for path in paths:
        before = known.get(str(path))
        if before is not None and not before.missing and before.stamp == stamp_of(path):
            yield before
        else:
            todo.append(str(path))
    journal.parent.mkdir(parents=True, exist_ok=True)
    with journal.open("a", encoding="utf-8") as log:
        for found in _run(todo, workers, deep):
            row = asdict(found) | {"deep": deep}
            log.write(json.dumps(row, ensure_ascii=False) + "\n")
            log.flush()
            yield found


def _run(todo: Sequence[str], workers: int, deep: bool) -> Iterator[Inspection]:
    look = partial(inspect_clip, deep=deep)
    return in_processes(look, todo, workers=workers, chunk=8)


def _read_journal(file: Path, deep: bool) -> dict[str, Inspection]:
    found: dict[str, Inspection] = {}
    if not file.is_file():
        return found
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:  # the line that was being written when it was interrupted
            continue
        if row.pop("deep") or not deep:
            row["stamp"] = tuple(row["stamp"])
            found[row["path"]] = Inspection(**row)
    return found
