"""Charades (Sigurdsson et al., ECCV 2016): several actions in every video."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

from whyact.data.listing import (
    Listing,
    Places,
    Record,
    list_file,
    published,
    read_rows,
    read_text,
)
from whyact.types import Interval, WhyactError


def _classes(file: Path) -> dict[str, str]:
    """Class names by their code, in the order of the file."""
    names: dict[str, str] = {}
    for number, line in read_rows(file):
        found = re.fullmatch(r"(c\d+)\s+(.+)", line.strip())
        if not found:
            raise WhyactError(f"{file}, row {number}: expected 'c000 Name', got '{line}'.")
        names[found[1]] = found[2]
    return names


@published("Charades", parts=("train", "test"))
def read_charades(places: Places) -> Listing:
    """``Charades_v1_{train,test}.csv``, ``Charades_v1_classes.txt``, clips ``<id>.mp4``.

    The column ``actions`` holds ``c092 11.90 21.20;c147 0.00 12.60``; a video has every class that
    it names, when it says, and may have none. The group of a video is its ``subject``.

    Raises:
        WhyactError: a missing list or column, or an action without times or a class.
    """
    source = list_file(places.lists, ["Charades_v1_classes.txt"])
    names = _classes(source)
    index = {code: i for i, code in enumerate(names)}
    records: list[Record] = []
    for part in places.parts:
        file = list_file(places.lists, [f"Charades_v1_{part}.csv"])
        reader = csv.DictReader(io.StringIO(read_text(file), newline=""))
        for column in ("id", "actions"):
            if column not in (reader.fieldnames or ()):
                raise WhyactError(f"{file}: there is no column '{column}'.")
        for row in reader:
            parts = [part.split() for part in (row["actions"] or "").split(";") if part]
            try:
                actions = [(code, float(start), float(stop)) for code, start, stop in parts]
            except ValueError as error:
                raise WhyactError(
                    f"{file}, video {row['id']}: expected 'c092 11.90 21.20;…', got "
                    f"'{row['actions']}'."
                ) from error
            for code, _, _ in actions:
                if code not in index:
                    raise WhyactError(f"{file}, video {row['id']}: no class '{code}' in {source}.")
            intervals = tuple(Interval(index[code], *when) for code, *when in actions)
            labels = tuple(sorted({i.action for i in intervals}))
            path = places.media.find([places.videos], f"{row['id']}.mp4")
            group = row.get("subject") or row["id"]
            records.append(Record(path, row["id"], labels, group, intervals=intervals))
    return Listing(tuple(names.values()), tuple(records), multi_label=True)
