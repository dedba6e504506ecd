"""What a listing of videos is, and the tools that all readers of listings share."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Protocol

from whyact.data.video import IMAGES, VIDEOS
from whyact.types import Interval, WhyactError

UNLABELLED = -1
"""Label of a clip whose list keeps the answer to itself."""

CARVED = ("fit", "val")
"""Parts of an official training list: ``val`` to select on, ``fit`` the rest."""


class Store(Protocol):
    """Where clips come from that are no files yet."""

    def fetch(self, path: Path) -> None:
        """Make sure that the clip of ``path`` is there."""
        ...


@dataclass(frozen=True)
class Record:
    """One video of a set.

    Attributes:
        path: where it is. id: how the set names it. label: index, or indices. group: what it
            shares with others (actor, film); its own name where unknown.
        content: its `content_hash` where that was computed beforehand.
        span: the frames (first, end) of the file that are the clip; None for all.
        box: what is cut out of every frame: left, top, right, bottom as shares of its width and
            height; None for nothing.
        frames: how many the list says that there are; 0 where it does not.
        intervals: when each action happens, in seconds of the file; empty where the list does not
            say.
    """

    path: Path
    id: str
    label: int | tuple[int, ...]
    group: str
    content: str = ""
    span: tuple[int, int] | None = None
    box: tuple[float, float, float, float] | None = None
    frames: int = 0
    intervals: tuple[Interval, ...] = ()

    @property
    def unit(self) -> str:
        """What stays together: a group within its class, for groups are named by class.

        The whole group where a clip has several classes, or is a part of a film that others share.
        """
        label = self.label if isinstance(self.label, int) and self.span is None else ""
        return f"{label}\0{self.group}"


@dataclass(frozen=True)
class Listing:
    """One split of a set of videos.

    Attributes:
        classes: names, in label order.
        records: the videos that the list names, whether they exist or not.
        multi_label: labels are tuples of indices.
        flip_pairs: names of the classes that a horizontal flip swaps.
        doubts: what in the lists contradicts itself (a label that is not its folder's), in words.
        store: brings a record's path into being before it is read; None for plain files.
        blocks: number of the shard of every record, which training reads together; empty for files.
    """

    classes: tuple[str, ...]
    records: tuple[Record, ...]
    multi_label: bool = False
    flip_pairs: tuple[tuple[str, str], ...] = ()
    doubts: tuple[str, ...] = ()
    store: Store | None = None
    blocks: tuple[int, ...] = ()

    @property
    def labelled(self) -> bool:
        """Whether the labels are known; test lists often keep them."""
        return not any(r.label == UNLABELLED for r in self.records)


@dataclass
class Media:
    """Finds a clip's file or frame folder by the name that its list gives it.

    Every folder is listed once, so that sets of a million files need no look-up for each.

    Args:
        names: names in each folder that was asked for, filled as it goes.
    """

    names: dict[Path, frozenset[str]] = field(default_factory=dict)

    def find(self, folders: Sequence[Path], name: str) -> Path:
        """As `look`, or the first place it should be at, which reading reports as missing."""
        return self.look(folders, name) or folders[0] / name

    def look(self, folders: Sequence[Path], name: str) -> Path | None:
        """The clip called ``name``: that file, its stem with another container, or its frames.

        Args:
            folders: where to look, in this order. name: with or without a suffix.
        """
        stem = name[: -len(Path(name).suffix)] if Path(name).suffix.lower() in VIDEOS else name
        for folder in folders:
            here = self._names(folder)
            for option in (name, *(f"{stem}{suffix}" for suffix in VIDEOS), stem):
                if option in here:
                    return folder / option
        return None

    def _names(self, folder: Path) -> frozenset[str]:
        if folder not in self.names:
            try:
                self.names[folder] = frozenset(os.listdir(folder))
            except OSError:
                self.names[folder] = frozenset()
        return self.names[folder]


def existing(root: str | Path) -> Path:
    """The folder of the videos, or an error that names the setting."""
    root = Path(root)
    if not root.is_dir():
        raise WhyactError(f"{root}: no such folder (data.root). Set it to where the videos are.")
    return root


def list_folder(root: str, annotations: str) -> Path:
    """The folder of the official lists: ``data.annotations``, or the root."""
    if not annotations:
        return existing(root)
    folder = Path(annotations)
    if not folder.is_dir():
        raise WhyactError(
            f"{folder}: no such folder (data.annotations). Set it to where the lists are."
        )
    return folder


@dataclass(frozen=True)
class Places:
    """Where a published set lies, and what of it is asked for.

    Attributes:
        lists, videos: folders. split: its name. parts: the official lists that make it up.
        fold: of the official splits, from 0. media: finds the videos.
    """

    lists: Path
    videos: Path
    split: str
    parts: tuple[str, ...]
    fold: int
    media: Media


class Reader(Protocol):
    """Makes the listing of a published set's split."""

    def __call__(
        self, *, root: str, annotations: str = "", split: str = "train", fold: int = 0
    ) -> Listing:
        """Read the official lists.

        Args:
            root: of the videos or frame folders. annotations: of the lists; the root if empty.
            split: an official list, or ``all`` of those with labels.
            fold: of the official splits, from 0.

        Raises:
            WhyactError: no such folder, list, split or fold, or a row that does not fit.
        """
        ...


def published(
    title: str, *, parts: tuple[str, ...], hidden: tuple[str, ...] = (), folds: int = 1
) -> Callable[[Callable[[Places], Listing]], Reader]:
    """Make a `Reader` of what reads the lists of a set once its places are known.

    Args:
        title: of the set. parts: official lists, which ``all`` takes together.
        hidden: those without labels. folds: official splits.
    """

    def decorate(read: Callable[[Places], Listing]) -> Reader:
        @wraps(read)
        def reader(
            *, root: str, annotations: str = "", split: str = "train", fold: int = 0
        ) -> Listing:
            if not 0 <= fold < folds and folds > 1:
                raise WhyactError(
                    f"data.fold is {fold}; {title} has {folds} official splits, data.fold 0 to "
                    f"{folds - 1} (-1 runs them all)."
                )
            if split not in (known := [*parts, *hidden, "all"]):
                raise WhyactError(f"{title} has no split '{split}'; choose from {known}.")
            chosen = parts if split == "all" else (split,)
            lists = list_folder(root, annotations)
            found = read(Places(lists, existing(root), split, chosen, fold, Media()))
            number = f" {fold + 1}" if folds > 1 else ""
            _refuse_twice(found.records, f"{title}, {split} list{number}")
            return found

        return reader

    return decorate


def list_file(folder: Path, names: Sequence[str]) -> Path:
    """The first of ``names`` that exists.

    Raises:
        WhyactError: none does.
    """
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise WhyactError(
        f"{folder}: expected {' or '.join(names)} there (data.annotations), found none."
        if len(names) > 1
        else f"{folder}: expected {names[0]} there (data.annotations)."
    )


def read_text(file: Path) -> str:
    """The text of a UTF-8 file."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise WhyactError(f"{file}: expected text in UTF-8: {error}.") from error


def read_rows(file: Path) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file that are not blank, with their numbers from 1."""
    for number, line in enumerate(read_text(file).splitlines(), 1):
        if line.strip():
            yield number, line


def _refuse_twice(records: Iterable[Record], source: str) -> None:
    """Fail where a list names a clip twice: it would count twice in every score."""
    seen: set[str] = set()
    for record in records:
        if record.id in seen:
            raise WhyactError(f"{source}: '{record.id}' is listed twice; keep one of its rows.")
        seen.add(record.id)


def is_video(path: Path) -> bool:
    """A file with a video's name, or a folder of frames: of images, without a video in it."""
    if path.is_dir():
        kinds = {p.suffix.lower() for p in path.iterdir()}
        return not kinds.isdisjoint(IMAGES) and kinds.isdisjoint(VIDEOS)
    return path.suffix.lower() in VIDEOS


def mirrored(name: str) -> str:
    """The name with left and right exchanged."""
    return re.sub(
        r"\b(left|right)\b", lambda found: "right" if found[0] == "left" else "left", name
    )


def mirror_pairs(classes: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Classes that a horizontal flip turns into one another, by their names, in label order."""
    known = {name: i for i, name in enumerate(classes)}
    return tuple(
        (name, other)
        for i, name in enumerate(classes)
        if (other := mirrored(name)) in known and i < known[other]
    )
