"""Action Genome's pickles become a table of boxes."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from tests.data.miniatures import ag_object, ag_person, write_action_genome

from whyact.data.formats.action_genome import action_genome_boxes
from whyact.types import WhyactError

KEY = "001YG.mp4/000089.png"
PERSONS: dict[str, Any] = {
    KEY: ag_person([[24.0, 27.0, 240.0, 270.0]], [0.75]),
    "50N4E.mp4/000682.png": ag_person([], [], size=(270, 480)),
}
OBJECTS: dict[str, Any] = {
    KEY: [
        ag_object("closet/cabinet", (48.0, 54.0, 96.0, 27.0)),
        ag_object("dish", None),
        ag_object("window", (460.0, 0.0, 40.0, 27.0)),  # reaches out of the frame
        ag_object("bag", (500.0, 0.0, 40.0, 27.0)),  # lies outside of it
    ],
    "50N4E.mp4/000682.png": [ag_object("light", (27.0, 48.0, 27.0, 48.0))],
}


def read(folder: Path, persons: dict[str, Any] = PERSONS, objects: dict[str, Any] = OBJECTS):
    return action_genome_boxes("", str(write_action_genome(folder, persons, objects)))


def test_boxes_are_shares_of_the_frame_and_frames_count_from_zero(tmp_path: Path) -> None:
    rows = read(tmp_path).to_pylist()
    assert [list(row.values()) for row in rows] == [
        # 480 x 270 pixels: 24 / 480, 27 / 270, …
        ["001YG", 88, *map(pytest.approx, (0.05, 0.1, 0.5, 1.0)), 0, 0.75],
        ["001YG", 88, *map(pytest.approx, (0.1, 0.2, 0.3, 0.3)), 8, 1.0],
        ["001YG", 88, *map(pytest.approx, (460 / 480, 0.0, 1.0, 0.1)), 35, 1.0],
        # 270 x 480, and nobody was detected.
        ["50N4E", 681, *map(pytest.approx, (0.1, 0.1, 0.2, 0.2)), 19, 1.0],
    ]


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    one, other = {KEY: PERSONS[KEY]}, {KEY: OBJECTS[KEY]}
    cases: list[tuple[dict[str, Any], dict[str, Any], str]] = [
        ({"001YG/89": one[KEY]}, other, r"person_bbox\.pkl, '001YG/89': expected a frame as"),
        ({"a.mp4/000000.png": one[KEY]}, other, "from 000001 on"),
        (one, {}, r"relationship\.pkl: lacks the frame '001YG\.mp4/000089\.png'"),
        ({KEY: {"bbox_mode": "xyxy"}}, other, r"expected bbox \(k, 4\).*'bbox_size'"),
        ({KEY: {"bbox_mode": "xywh"}}, other, r"of bbox_mode 'xyxy'.*bbox_mode 'xywh'"),
        ({KEY: ag_person([[0, 0, 1, 1]], [])}, other, r"expected bbox \(k, 4\) of"),
        (one, {KEY: [ag_object("cat", (0, 0, 1, 1))]}, r"no class 'cat' in .*object_classes\.txt"),
        (one, {KEY: [ag_object("bag", (0, 0, 1))]}, r"expected objects with class, visible"),
    ]
    for persons, objects, said in cases:
        with pytest.raises(WhyactError, match=said):
            read(tmp_path, persons, objects)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(WhyactError, match=r"expected person_bbox\.pkl there \(data\.annotations\)"):
        action_genome_boxes("", str(empty))


def test_a_pickle_that_wants_to_run_something_is_refused(tmp_path: Path) -> None:
    folder = write_action_genome(tmp_path, PERSONS, OBJECTS)
    (folder / "person_bbox.pkl").write_bytes(pickle.dumps(print))
    with pytest.raises(WhyactError, match=r"person_bbox\.pkl: .*asks for (__builtin__|builtins)"):
        action_genome_boxes("", str(folder))
