"""Listings of video sets: which files, with which labels, in which split."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from whyact.data.video import IMAGES, VIDEOS
from whyact.types import WhyactError

SPLIT_NAMES = ("train", "val", "valid", "validation", "test")
UT_INTERACTION = ("handshake", "hug", "kick", "point", "punch", "push")


@dataclass(frozen=True)
class Record:
    """One video of a set: where it is, how the set names it, its label(s) and its group."""

    path: Path
    id: str
    label: int | tuple[int, ...]
    group: str


@dataclass(frozen=True)
class Listing:
    """One split of a set of videos."""

    classes: tuple[str, ...]
    records: tuple[Record, ...]
    multi_label: bool = False


def _existing(root: str | Path) -> Path:
    root = Path(root)
    if not root.is_dir():
        raise WhyactError(f"{root}: no such folder (data.root). Set it to where the videos are.")
    return root


def is_video(path: Path) -> bool:
    """A file with a video's name, or a folder of frames."""
    if path.is_dir():
        return any(p.suffix.lower() in IMAGES for p in path.iterdir())
    return path.suffix.lower() in VIDEOS


def read_folder(*, root: str, annotations: str = "", split: str = "", fold: int = 0) -> Listing:
    """``<root>/[<split>/]<class>/<clip>``: classes are the folders' names, sorted.

    Args:
        root: folder. split: subfolder, used where it exists. annotations, fold: unused.

    Raises:
        WhyactError: no class folders, or no videos in them; other splits exist, but not this one.
    """
    base = _existing(root)
    base = base / split if split and (base / split).is_dir() else base
    folders = sorted(p for p in base.iterdir() if p.is_dir() and not p.name.startswith("."))
    if split and folders and all(p.name in SPLIT_NAMES for p in folders):
        raise WhyactError(
            f"{base}: no folder for split '{split}', only {', '.join(p.name for p in folders)}."
        )
    classes = tuple(p.name for p in folders)
    # Everything in a class folder counts as a clip, so that a damaged file is reported, not missed.
    records = tuple(
        Record(clip, f"{folder.name}/{clip.name}", label, clip.name)
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


def read_list(*, root: str, annotations: str = "", split: str = "", fold: int = 0) -> Listing:
    """A list file with rows ``path label [label …]``, blank- or comma-separated, paths quotable.

    For a folder of frames the row is ``dir total_frames label``. Labels are 0-based indices; class
    names come from ``classes.txt`` beside the list, one a line, where it exists.

    Args:
        root: that paths are relative to. annotations: the list file, or a folder with
            ``<split>.txt`` or ``<split>.csv``. split: its name there. fold: unused.

    Raises:
        WhyactError: names the file, the row and the value.
    """
    base, source = _existing(root), _list_file(Path(annotations or root), split)
    records: list[tuple[str, list[int]]] = []
    rows: dict[Path, int] = {}
    for number, line in enumerate(_lines(source), 1):
        if not line.strip():
            continue
        path, *values = _split_row(line)
        labels = [_label(v, source, number) for v in values]
        if not path or not labels:
            raise WhyactError(
                f"{source}, row {number}: expected 'path label', got '{line}'. "
                "Quote paths that hold blanks."
            )
        if len(labels) > 1 and _is_frame_folder(base / path):
            labels = labels[1:]  # the first is the number of frames
        if (first := rows.setdefault(Path(path), number)) != number:
            raise WhyactError(f"{source}, row {number}: '{path}' is listed twice (row {first}).")
        records.append((path, labels))
    if not records:
        raise WhyactError(f"{source}: the list is empty.")
    several = any(len(labels) > 1 for _, labels in records)
    classes = _class_names(source.parent / "classes.txt", max(max(v) for _, v in records) + 1)
    return Listing(
        classes,
        tuple(Record(base / p, p, tuple(v) if several else v[0], Path(p).stem) for p, v in records),
        several,
    )


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise WhyactError(f"{file}: expected text in UTF-8: {error}.") from error


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
    names = tuple(n.strip() for n in _lines(file) if n.strip())
    if len(names) < least:
        raise WhyactError(f"{file}: {len(names)} class names, but the list uses label {least - 1}.")
    return names


def read_ut_interaction(
    *, root: str, annotations: str = "", split: str = "train", fold: int = 0
) -> Listing:
    """UT-Interaction set 1, files ``N_sequence_class.avi``, leave one sequence out.

    Ryoo and Aggarwal, SDHA 2010. Fold f tests on the f-th sequence. Splits: ``test`` (that
    sequence), ``train`` (the other nine), ``val`` (the next sequence, inside the training ones),
    ``fit`` (``train`` without ``val``), ``all``. Choose settings on ``fit`` and ``val`` only.

    Raises:
        WhyactError: no such files, a fold outside 0 … 9, or an unknown split.
    """
    base = _existing(root)
    found = [(p, re.fullmatch(r"(\d+)_(\d+)_([0-5])", p.stem)) for p in sorted(base.glob("*.avi"))]
    clips = [(p, int(m[1]), int(m[2]), int(m[3])) for p, m in found if m]
    if not clips:
        raise WhyactError(f"{base}: expected files named N_sequence_class.avi, found none.")
    sequences = sorted({c[2] for c in clips})
    if not 0 <= fold < len(sequences):
        raise WhyactError(f"data.fold is {fold}; the set has folds 0 to {len(sequences) - 1}.")
    test, val = sequences[fold], sequences[(fold + 1) % len(sequences)]
    chosen = {
        "test": [test],
        "val": [val],
        "train": [s for s in sequences if s != test],
        "fit": [s for s in sequences if s not in (test, val)],
        "all": sequences,
    }
    if split not in chosen:
        raise WhyactError(f"UT-Interaction has no split '{split}'; choose from {list(chosen)}.")
    clips.sort(key=lambda c: c[1])
    return Listing(
        UT_INTERACTION,
        tuple(Record(p, p.name, k, str(s)) for p, _, s, k in clips if s in chosen[split]),
    )
