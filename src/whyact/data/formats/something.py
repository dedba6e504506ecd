"""Something-Something V1 and V2 (Goyal et al., ICCV 2017): what hands do to things."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from whyact.data.listing import (
    UNLABELLED,
    Listing,
    Places,
    Record,
    list_file,
    mirror_pairs,
    published,
    read_rows,
    read_text,
)
from whyact.types import WhyactError

Row = tuple[str, int]
"""Name of a clip and its label."""


def _listing(
    places: Places, classes: tuple[str, ...], rows: list[Row], suffix: str = ""
) -> Listing:
    records = tuple(
        Record(places.media.find([places.videos], name + suffix), name, label, name)
        for name, label in rows
    )
    return Listing(classes, records, flip_pairs=mirror_pairs(classes))


@published("Something-Something V1", parts=("train", "validation"), hidden=("test",))
def read_something_v1(places: Places) -> Listing:
    """``something-something-v1-{labels,train,validation,test}.csv``, frames ``<id>/00001.jpg``.

    Rows are ``id;label``, in the test list ``id``; a class's index is its line in the labels file.

    Raises:
        WhyactError: a missing list, or a row with an unknown label.
    """
    names = list_file(places.lists, ["something-something-v1-labels.csv"])
    classes = tuple(line.strip() for _, line in read_rows(names))
    index = {name: i for i, name in enumerate(classes)}
    rows: list[Row] = []
    for part in places.parts:
        file = list_file(places.lists, [f"something-something-v1-{part}.csv"])
        for number, name, label in _pairs(file):
            if not label and part != "test":
                raise WhyactError(f"{file}, row {number}: expected 'id;label', got '{name}'.")
            if label and label not in index:
                raise WhyactError(f"{file}, row {number}: '{label}' is no line of {names}.")
            rows.append((name, index[label] if label else UNLABELLED))
    return _listing(places, classes, rows)


def _pairs(file: Path) -> Iterator[tuple[int, str, str]]:
    """Number, id and label of rows ``id;label``; the label is empty where there is none."""
    for number, line in read_rows(file):
        name, _, label = (field.strip() for field in line.partition(";"))
        if not name:
            raise WhyactError(f"{file}, row {number}: expected 'id;label', got '{line}'.")
        yield number, name, label


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


def _answers(places: Places) -> dict[str, str]:
    """Template by id of the test clips; empty where the package has no answers."""
    names = ("something-something-v2-test-answers.csv", "test-answers.csv")
    found = [places.lists / name for name in names if (places.lists / name).is_file()]
    return {name: label for file in found[:1] for _, name, label in _pairs(file)}


@published("Something-Something V2", parts=("train", "validation"), hidden=("test",))
def read_something_v2(places: Places) -> Listing:
    """``something-something-v2-{train,validation,test,labels}.json``, clips ``<id>.webm``.

    The newer names ``train.json``, ``validation.json``, ``test.json`` and ``labels.json`` are read
    as well, and ``.mp4`` or frame folders for the clips. A row's template, without its brackets,
    is its class; the test list has none, but newer packages bring ``test-answers.csv`` beside it,
    with rows ``id;class``.

    Raises:
        WhyactError: a missing list, or a clip with an unknown template.
    """
    names = list_file(places.lists, ["something-something-v2-labels.json", "labels.json"])
    classes = _classes_v2(names)
    index = {name: i for i, name in enumerate(classes)}
    answers = _answers(places) if places.split == "test" else {}
    rows: list[Row] = []
    for part in places.parts:
        file = list_file(places.lists, [f"something-something-v2-{part}.json", f"{part}.json"])
        for number, row in enumerate(_json(file, list), 1):
            if not isinstance(row, dict) or not row.get("id"):
                raise WhyactError(f"{file}, clip {number}: expected an 'id', got {row}.")
            name = str(row["id"])
            told = str(row.get("template") or answers.get(name, ""))
            template = told.replace("[", "").replace("]", "")
            if not template and (answers or part != "test"):
                raise WhyactError(f"{file}, clip {name}: expected a 'template', got none.")
            if template and template not in index:
                raise WhyactError(f"{file}, clip {name}: '{template}' is no class of {names}.")
            rows.append((name, index[template] if template else UNLABELLED))
    return _listing(places, classes, rows, ".webm")
