"""SportsHHI (Wu et al., CVPR 2024): what pairs of players do to each other.

The set is made for detection. Here every annotated pair is a clip of its own: the frames around
its keyframe, cut to the two players and some of the court around them.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pyarrow as pa

from whyact.data.boxes import COLUMNS, table_of
from whyact.data.frame_folder import frame_files, frame_number
from whyact.data.listing import (
    Listing,
    Media,
    Places,
    Record,
    existing,
    list_file,
    list_folder,
    published,
    read_rows,
    read_text,
)
from whyact.types import WhyactError

REACH = 32
"""Frames on each side of a keyframe that make the clip: 1.3 s at 25 frames a second."""
MARGIN = 0.2
"""How much of the pair's width and height is kept on each side of it."""
_FILES = {"train": "sports_train_v1.csv", "validation": "sports_val_v1.csv"}

Box = tuple[float, float, float, float]


def _classes(file: Path) -> dict[int, str]:
    """Names by their number, of ``item { name: "…" id: 1 }`` in protobuf's text format."""
    names: dict[int, str] = {}
    for item in re.findall(r"\{(.*?)\}", read_text(file), re.DOTALL):
        name = re.search(r'name:\s*"(.*?)"', item)
        number = re.search(r"(?:label_)?id:\s*(\d+)", item)
        if not name or not number:
            raise WhyactError(f"{file}: expected a name and an id in every item, got '{item}'.")
        names[int(number[1])] = name[1]
    if not names:
        raise WhyactError(f"{file}: expected items with a name and an id, found none.")
    return dict(sorted(names.items()))


def _around(one: Box, two: Box) -> Box:
    """Both persons and `MARGIN` around them, inside the frame."""
    left, top = min(one[0], two[0]), min(one[1], two[1])
    right, bottom = max(one[2], two[2]), max(one[3], two[3])
    wide, high = MARGIN * (right - left), MARGIN * (bottom - top)
    return (
        max(0.0, left - wide), max(0.0, top - high), min(1.0, right + wide),
        min(1.0, bottom + high),
    )  # fmt: skip


def _positions(places: Places, video: str, known: dict[str, dict[int, int]]) -> dict[int, int]:
    """Place of a frame in its folder by the number in its name; empty for films and lost ones."""
    if video not in known:
        path = _path(places, video)
        files = frame_files(path) if path.is_dir() else []
        known[video] = {frame_number(file): i for i, file in enumerate(files)}
    return known[video]


def _path(places: Places, video: str) -> Path:
    inside = Path(video)  # may name the sport's folder, too
    return places.media.find([places.videos / inside.parent], inside.name)


@published("SportsHHI", parts=("train", "validation"))
def read_sports_hhi(places: Places) -> Listing:
    """``sports_{train,val}_v1.csv``, ``sports_action_list.pbtxt``, frames ``<video>/000001.jpg``.

    A ``<video>.mp4`` will do, too.

    Rows are ``video,frame,x1,y1,x2,y2,x1,y1,x2,y2,class,person,person``: two boxes as shares of the
    frame's width and height, and a class numbered from 1. Groups are videos.

    Raises:
        WhyactError: a missing list, or a row that does not fit.
    """
    names = _classes(list_file(places.lists, ["sports_action_list.pbtxt"]))
    index = {number: i for i, number in enumerate(names)}
    records: list[Record] = []
    positions: dict[str, dict[int, int]] = {}
    for part in places.parts:
        file = list_file(places.lists, [_FILES[part]])
        seen: dict[tuple[str, int, Box, Box], int] = {}
        for number, line in read_rows(file):
            video, frame, one, two, label = _row(line, file, number)
            if label not in index:
                raise WhyactError(f"{file}, row {number}: class {label} is not in the action list.")
            pair = video, frame, one, two
            if (first := seen.setdefault(pair, number)) != number:
                raise WhyactError(f"{file}, row {number}: the pair of row {first} again.")
            at = _positions(places, video, positions).get(frame, frame)
            records.append(
                Record(
                    _path(places, video), f"{video}/{frame:06d}/{number}", index[label], video,
                    span=(max(0, at - REACH), at + REACH + 1), box=_around(one, two),
                )
            )  # fmt: skip
    return Listing(tuple(names.values()), tuple(records))


def _row(line: str, file: Path, number: int) -> tuple[str, int, Box, Box, int]:
    fields = next(csv.reader([line]))
    try:
        a, b, c, d, e, f, g, h = map(float, fields[2:10])
        frame, label = int(fields[1]), int(fields[10])
    except (ValueError, IndexError):
        raise WhyactError(
            f"{file}, row {number}: expected 'video,frame,' then eight coordinates, 'class,person,"
            f"person', got '{line}'."
        ) from None
    if not (0 <= a < c <= 1 and 0 <= b < d <= 1 and 0 <= e < g <= 1 and 0 <= f < h <= 1):
        raise WhyactError(
            f"{file}, row {number}: expected boxes x1,y1,x2,y2 as shares of the frame from 0 to 1, "
            f"got {fields[2:10]}."
        )
    return fields[0], frame, (a, b, c, d), (e, f, g, h), label


def sports_hhi_boxes(root: str, annotations: str) -> pa.Table:
    """The players of all annotated pairs, each once a keyframe, from both lists.

    Args:
        root: of the frame folders, which say where in a folder a keyframe is; or of the films.
        annotations: folder of the lists.

    Raises:
        WhyactError: as `read_sports_hhi`.
    """
    places = Places(
        list_folder(root, annotations), existing(root), "all", tuple(_FILES), 0, Media()
    )
    positions: dict[str, dict[int, int]] = {}
    players: dict[tuple[str, int, Box], None] = {}
    for part in places.parts:
        file = list_file(places.lists, [_FILES[part]])
        for number, line in read_rows(file):
            video, frame, *pair, _ = _row(line, file, number)
            at = _positions(places, video, positions).get(frame, frame)
            players.update(dict.fromkeys((video, at, box) for box in pair))
    rows = [(video, at, *box, 0, 1.0) for video, at, box in players]
    names = (*COLUMNS, "score")
    return table_of({name: [row[i] for row in rows] for i, name in enumerate(names)})
