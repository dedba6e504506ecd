"""Listings of any folder, any list file, and UT-Interaction."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from whyact.data.listing import Listing, Media, Record, existing, read_rows
from whyact.data.video import VIDEOS
from whyact.types import WhyactError

SPLIT_NAMES = ("train", "val", "valid", "validation", "test")
UT_INTERACTION = ("handshake", "hug", "kick", "point", "punch", "push")


def read_folder(*, root: str, annotations: str = "", split: str = "") -> Listing:
    """``<root>/[<split>/]<class>/<clip>``: classes are the folders' names, sorted.

    Args:
        root: folder. split: subfolder, used where it exists. annotations: unused.

    Raises:
        WhyactError: no class folders, or no videos in them; other splits exist, but not this one.
    """
    base = existing(root)
    base = base / split if split and (base / split).is_dir() else base
    folders = sorted(p for p in base.iterdir() if p.is_dir() and not p.name.startswith("."))
    if split and folders and all(p.name in SPLIT_NAMES for p in folders):
        raise WhyactError(
            f"{base}: no folder for split '{split}', only {', '.join(p.name for p in folders)}."
        )
    classes = tuple(p.name for p in folders)
    # Everything in a class folder counts as a clip, so that a damaged file is reported, not missed.
    records = tuple(
        Record(clip, name := f"{folder.name}/{clip.name}", label, name)
        for label, folder in enumerate(folders)
        for clip in sorted(folder.iterdir())
        if not clip.name.startswith(".")
    )
    if not records:
        raise WhyactError(f"{base}: expected <class>/<clip> below it, found no clips.")
    return Listing(classes, records)


def _split_row(line: str) -> list[str]:
    """Fields of a list row: commas if there are any outside quotes, else blanks or tabs."""
    line = line.replace("\t", " ")
    by_comma = next(csv.reader([line], skipinitialspace=True))
    if len(by_comma) > 1:
        return [f.strip() for f in by_comma]
    return [f for f in next(csv.reader([line], delimiter=" ", skipinitialspace=True)) if f]


def read_list(*, root: str, annotations: str = "", split: str = "") -> Listing:
    """A list file with rows ``path label [label …]``, blank- or comma-separated, paths quotable.

    For a folder of frames the row is ``dir total_frames label``. Labels are 0-based indices; class
    names come from ``classes.txt`` beside the list, one a line, where it exists.

    Args:
        root: that paths are relative to. annotations: the list file, or a folder with
            ``<split>.txt`` or ``<split>.csv``. split: its name there.

    Raises:
        WhyactError: names the file, the row and the value.
    """
    base, source = existing(root), _list_file(Path(annotations or root), split)
    records: list[tuple[str, list[int], int]] = []
    rows: dict[Path, int] = {}
    for number, line in read_rows(source):
        path, *values = _split_row(line)
        labels = [_label(v, source, number) for v in values]
        if not path or not labels:
            raise WhyactError(
                f"{source}, row {number}: expected 'path label', got '{line}'. "
                "Quote paths that hold blanks."
            )
        frames = 0
        if len(labels) > 1 and _is_frame_folder(base / path):
            frames, *labels = labels
        if (first := rows.setdefault(Path(path), number)) != number:
            raise WhyactError(f"{source}, row {number}: '{path}' is listed twice (row {first}).")
        records.append((path, labels, frames))
    if not records:
        raise WhyactError(f"{source}: the list is empty.")
    media, several = Media(), any(len(labels) > 1 for _, labels, _ in records)
    classes = _class_names(source.parent / "classes.txt", max(max(v) for _, v, _ in records) + 1)
    return Listing(
        classes,
        tuple(
            Record(_place(media, base / p), p, tuple(v) if several else v[0], p, frames=n)
            for p, v, n in records
        ),
        several,
    )


def _place(media: Media, path: Path) -> Path:
    """The clip, or its prepared copy under another suffix."""
    return media.find([path.parent], path.name)


def _is_frame_folder(path: Path) -> bool:
    """What exists tells; a missing one is told by its name, or a list of lost folders misreads."""
    return path.is_dir() or not (path.exists() or path.suffix.lower() in VIDEOS)


def _list_file(path: Path, split: str) -> Path:
    options = [path, path / f"{split}.txt", path / f"{split}.csv"]
    for option in options:
        if option.is_file():
            return option
    raise WhyactError(
        f"No list file for split '{split}': looked for {', '.join(map(str, options))} "
        "(data.annotations)."
    )


def _label(value: str, source: Path, number: int) -> int:
    if not value.isdecimal():
        raise WhyactError(
            f"{source}, row {number}: expected a label as a non-negative number, got '{value}'. "
            "Quote paths that hold blanks or commas."
        )
    return int(value)


def _class_names(file: Path, least: int) -> tuple[str, ...]:
    if not file.is_file():
        return tuple(f"class {i}" for i in range(least))
    names = tuple(name.strip() for _, name in read_rows(file))
    if len(names) < least:
        raise WhyactError(f"{file}: {len(names)} class names, but the list uses label {least - 1}.")
    return names


def read_ut_interaction(*, root: str, annotations: str = "", split: str = "all") -> Listing:
    """UT-Interaction set 1, files ``N_sequence_class.avi``; the sequence is a clip's group.

    Ryoo and Aggarwal, SDHA 2010. The protocol leaves one sequence out, see `group_fold` for the
    splits that makes. Choose settings on ``fit`` and ``val`` only.

    Args:
        root: folder. annotations: unused. split: all clips, whatever it is.

    Raises:
        WhyactError: no such files.
    """
    base = existing(root)
    found = [(p, re.fullmatch(r"(\d+)_(\d+)_([0-5])", p.stem)) for p in sorted(base.glob("*.avi"))]
    clips = [(p, int(m[1]), int(m[2]), int(m[3])) for p, m in found if m]
    if not clips:
        raise WhyactError(f"{base}: expected files named N_sequence_class.avi, found none.")
    clips.sort(key=lambda c: c[1])
    records = tuple(Record(p, p.name, k, str(s)) for p, _, s, k in clips)
    return Listing(UT_INTERACTION, records)
