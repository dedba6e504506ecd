"""Something-Something V1 and V2 (Goyal et al., ICCV 2017): what hands do to things."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from whyact.data.listing import (
    UNLABELLED,
    Listing,
    Media,
    Record,
    check_split,
    existing,
    list_file,
    list_folder,
    mirror_pairs,
    read_lines,
    read_text,
    refuse_twice,
)
from whyact.types import WhyactError

SPLITS = ("train", "validation", "test")


def _listing(
    title: str, root: str, split: str, classes: tuple[str, ...], rows: list[tuple[str, int]],
    suffix: str = "",
) -> Listing:  # fmt: skip
    base, media = existing(root), Media()
    records = tuple(
        Record(media.find([base], name + suffix), name, label, name) for name, label in rows
    )
    refuse_twice(records, f"{title}, {split} list")
    return Listing(classes, records, flip_pairs=mirror_pairs(classes))


def _lists(split: str, title: str) -> tuple[str, ...]:
    check_split(split, (*SPLITS, "all"), title)
    return ("train", "validation") if split == "all" else (split,)


def read_something_v1(
    *, root: str, annotations: str = "", split: str = "train", fold: int = 0
) -> Listing:
    """``something-something-v1-{labels,train,validation,test}.csv``, frames ``<id>/00001.jpg``.

    Rows are ``id;label``, in the test list ``id``; a class's index is its line in the labels file.

    Args:
        root: of the frame folders. annotations: of the lists; the root if empty.
        split: ``train``, ``validation``, ``test`` (no labels), ``all`` (the first two).
        fold: unused.

    Raises:
        WhyactError: a missing list, or a row with an unknown label.
    """
    title, folder = "Something-Something V1", list_folder(root, annotations)
    names = list_file(folder, ["something-something-v1-labels.csv"])
    classes = tuple(line.strip() for line in read_lines(names) if line.strip())
    index = {name: i for i, name in enumerate(classes)}
    rows: list[tuple[str, int]] = []
    for part in _lists(split, title):
        file = list_file(folder, [f"something-something-v1-{part}.csv"])
        for number, line in enumerate(read_lines(file), 1):
            if not line.strip():
                continue
            name, _, label = (field.strip() for field in line.partition(";"))
            if not name or (not label and part != "test"):
                raise WhyactError(f"{file}, row {number}: expected 'id;label', got '{line}'.")
            if label and label not in index:
                raise WhyactError(f"{file}, row {number}: '{label}' is no line of {names}.")
            rows.append((name, index[label] if label else UNLABELLED))
    return _listing(title, root, split, classes, rows)


def _json(file: Path, kind: type) -> Any:
    try:
        tree = json.loads(read_text(file))
    except json.JSONDecodeError as error:
        raise WhyactError(f"{file}: not valid JSON: {error}.") from error
    if not isinstance(tree, kind):
        expected = "a list of clips" if kind is list else "class names with their index"
        raise WhyactError(f"{file}: expected {expected}, got {type(tree).__name__}.")
    return tree


def _classes_v2(file: Path) -> tuple[str, ...]:
    tree = _json(file, dict)
    numbers = {str(index): str(name) for name, index in tree.items()}
    wanted = [str(i) for i in range(len(tree))]
    missing = [i for i in wanted if i not in numbers]
    if missing:
        raise WhyactError(
            f"{file}: expected the indices 0 to {len(tree) - 1}, one for each class; "
            f"'{missing[0]}' is missing."
        )
    return tuple(numbers[i] for i in wanted)


def read_something_v2(
    *, root: str, annotations: str = "", split: str = "train", fold: int = 0
) -> Listing:
    """``something-something-v2-{train,validation,test,labels}.json``, clips ``<id>.webm``.

    The newer names ``train.json``, ``validation.json``, ``test.json`` and ``labels.json`` are read
    as well, and ``.mp4`` or frame folders for the clips. A row's template, without its brackets,
    is its class.

    Args:
        root: of the videos. annotations: of the lists; the root if empty.
        split: ``train``, ``validation``, ``test`` (no labels), ``all`` (the first two).
        fold: unused.

    Raises:
        WhyactError: a missing list, or a clip with an unknown template.
    """
    title, folder = "Something-Something V2", list_folder(root, annotations)
    names = list_file(folder, ["something-something-v2-labels.json", "labels.json"])
    classes = _classes_v2(names)
    index = {name: i for i, name in enumerate(classes)}
    rows: list[tuple[str, int]] = []
    for part in _lists(split, title):
        file = list_file(folder, [f"something-something-v2-{part}.json", f"{part}.json"])
        for number, row in enumerate(_json(file, list), 1):
            if not isinstance(row, dict) or not row.get("id"):
                raise WhyactError(f"{file}, clip {number}: expected an 'id', got {row}.")
            template = str(row.get("template", "")).replace("[", "").replace("]", "")
            if not template and part != "test":
                raise WhyactError(f"{file}, clip {row['id']}: expected a 'template', got none.")
            if template and template not in index:
                raise WhyactError(f"{file}, clip {row['id']}: '{template}' is no class of {names}.")
            rows.append((str(row["id"]), index[template] if template else UNLABELLED))
    return _listing(title, root, split, classes, rows, ".webm")
