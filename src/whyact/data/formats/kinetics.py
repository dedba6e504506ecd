"""Kinetics-400 and Kinetics-600 (Kay et al., 2017; Carreira et al., 2018)."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from whyact.data.listing import (
    UNLABELLED,
    Listing,
    Places,
    Record,
    list_file,
    published,
    read_text,
)
from whyact.types import WhyactError

_FILES = {"train": ("train",), "validation": ("validation", "validate", "val"), "test": ("test",)}
_COLUMNS = ("youtube_id", "time_start", "time_end")

Row = tuple[str, str, str]
"""Name of the file without its suffix, YouTube id, label (empty where unknown)."""


def _rows(file: Path) -> list[Row]:
    reader = csv.DictReader(io.StringIO(read_text(file), newline=""))
    missing = [c for c in _COLUMNS if c not in (reader.fieldnames or ())]
    if missing:
        raise WhyactError(
            f"{file}: expected the columns label,{','.join(_COLUMNS)}; there is no '{missing[0]}'."
        )
    found: list[Row] = []
    for number, row in enumerate(reader, 2):
        try:
            start, end = int(float(row["time_start"])), int(float(row["time_end"]))
        except (TypeError, ValueError):
            raise WhyactError(
                f"{file}, row {number}: expected times in seconds, got '{row['time_start']}' and "
                f"'{row['time_end']}'."
            ) from None
        name = f"{row['youtube_id']}_{start:06d}_{end:06d}"
        found.append((name, row["youtube_id"], (row.get("label") or "").strip()))
    return found


def _list(folder: Path, part: str) -> Path:
    names = [f"{prefix}{stem}.csv" for prefix in ("", "kinetics-400_", "kinetics-600_",
             "kinetics_400_", "kinetics_600_") for stem in _FILES[part]]  # fmt: skip
    return list_file(folder, names)


@published("Kinetics", parts=("train", "validation"), hidden=("test",))
def read_kinetics(places: Places) -> Listing:
    """Lists ``{train,validate,test}.csv``, clips ``{id}_{start:06d}_{end:06d}.mp4``.

    Rows are ``label,youtube_id,time_start,time_end[,split]``. Clips lie in a folder of their class
    (with blanks or underscores) or flat, below the root or below ``<root>/<split>``. Classes are
    the labels of the training list, sorted by name.

    Raises:
        WhyactError: a missing list, or a row with a label that the training list does not have.
    """
    base, training = places.videos, _rows(_list(places.lists, "train"))
    classes = tuple(sorted({label for _, _, label in training if label}))
    index = {name: i for i, name in enumerate(classes)}
    records: list[Record] = []
    for part in places.parts:
        file = _list(places.lists, part)
        for number, (name, video, label) in enumerate(_rows(file), 2):
            if label not in index and (label or part != "test"):
                raise WhyactError(
                    f"{file}, row {number}: label '{label}' is not in the training list."
                )
            tops = [base / f for f in dict.fromkeys((part, *_FILES[part]))] + [base]
            groups = [label, label.replace(" ", "_")] if label else []
            folders = [top / g for top in tops for g in groups] + tops
            path = places.media.look(folders, f"{name}.mp4") or base / label / f"{name}.mp4"
            records.append(Record(path, name, index.get(label, UNLABELLED), video))
    return Listing(classes, tuple(records))
