"""Action Genome (Ji et al., CVPR 2020): boxes of persons and objects in frames of Charades."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from whyact.data.boxes import COLUMNS, table_of
from whyact.data.listing import list_file, read_rows
from whyact.data.plain_pickle import array_of, read_pickle
from whyact.types import WhyactError

Array = NDArray[Any]
Found = tuple[int, Array, float]
"""Class, corners in pixels, score."""
PERSONS, OBJECTS = "person_bbox.pkl", "object_bbox_and_relationship.pkl"


def _letters(name: str) -> str:
    """``closet/cabinet`` of a box is ``closetcabinet`` in the list of classes."""
    return re.sub(r"[^a-z]", "", name.lower())


def action_genome_boxes(root: str, annotations: str) -> pa.Table:
    """``person_bbox.pkl``, ``object_bbox_and_relationship.pkl`` and ``object_classes.txt``.

    Both pickles map ``<video>.mp4/000089.png`` to what is in that frame. Persons are a detector's:
    ``bbox`` (k, 4), corners in pixels, ``bbox_score`` (k,), ``bbox_size`` (width, height). Objects
    were drawn by people: each a ``class``, ``bbox`` (x, y, width, height) in pixels of the same
    frame, and ``visible``; without ``bbox`` where it is not. Frames are numbered from 1, at the
    video's own rate. Boxes outside the frame are left out.

    Args:
        root: not needed. annotations: folder of the three files.

    Raises:
        WhyactError: a missing file, a pickle that holds more than plain values, or a frame that is
            not as above.
    """
    folder = Path(annotations or root)
    files = {name: list_file(folder, [name]) for name in (PERSONS, OBJECTS, "object_classes.txt")}
    source = files["object_classes.txt"]
    classes = {_letters(line): i for i, (_, line) in enumerate(read_rows(source))}
    if classes.get("person") != 0:
        raise WhyactError(f"{source}: expected 'person' in the first row, as class 0.")
    persons, objects = read_pickle(files[PERSONS]), read_pickle(files[OBJECTS])
    columns: dict[str, list[Any]] = {name: [] for name in (*COLUMNS, "score")}
    for key, one in persons.items():
        video, frame = _frame(key, f"{files[PERSONS]}, {key!r}")
        if key not in objects:
            raise WhyactError(f"{files[OBJECTS]}: lacks the frame {key!r} of {PERSONS}.")
        size, found = _persons(one, f"{files[PERSONS]}, {key!r}")
        found += _objects(objects[key], classes, f"{files[OBJECTS]}, {key!r}", source)
        for kind, box, score in found:
            x0, y0, x1, y1 = (box / size).clip(0, 1).tolist()
            if x0 < x1 and y0 < y1:
                row = video, frame, x0, y0, x1, y1, kind, score
                for column, value in zip(columns.values(), row, strict=True):
                    column.append(value)
    return table_of(columns)


def _frame(key: Any, where: str) -> tuple[str, int]:
    """Video, and place of the frame in it from 0."""
    found = re.fullmatch(r"([^/]+)\.mp4/0*([1-9]\d*)\.png", str(key))
    if not found:
        raise WhyactError(f"{where}: expected a frame as '<video>.mp4/000089.png', from 000001 on.")
    return found[1], int(found[2]) - 1


def _persons(one: Any, where: str) -> tuple[Array, list[Found]]:
    """Width and height of the frame, twice, and the persons in it."""
    try:
        if one["bbox_mode"] != "xyxy":
            raise ValueError(f"bbox_mode {one['bbox_mode']!r}")
        size = np.tile(np.asarray(one["bbox_size"], dtype=np.float64), 2)
        boxes, scores = array_of(one["bbox"]).reshape(-1, 4), array_of(one["bbox_score"])
        found = [(0, box, float(score)) for box, score in zip(boxes, scores, strict=True)]
    except (KeyError, TypeError, ValueError) as error:
        raise WhyactError(
            f"{where}: expected bbox (k, 4) of bbox_mode 'xyxy', bbox_score (k,) and bbox_size "
            f"(width, height); {error!r}."
        ) from error
    return size, found


def _objects(
    found: Sequence[Any], classes: dict[str, int], where: str, source: Path
) -> list[Found]:
    """The objects that can be seen."""
    made = []
    for one in found:
        try:
            name, bbox = one["class"], one["bbox"]
            if bbox is None or not one["visible"]:
                continue
            x, y, wide, high = (float(v) for v in array_of(bbox))
        except (KeyError, TypeError, ValueError) as error:
            raise WhyactError(
                f"{where}: expected objects with class, visible, and bbox (x, y, width, height) or "
                f"None; {error!r}."
            ) from error
        if _letters(name) not in classes:
            raise WhyactError(f"{where}: there is no class '{name}' in {source}.")
        made.append((classes[_letters(name)], np.array([x, y, x + wide, y + high]), 1.0))
    return made
