"""UCF101 (Soomro et al., 2012) and HMDB51 (Kuehne et al., ICCV 2011), three splits each."""

from __future__ import annotations

import re
from pathlib import Path

from whyact.data.listing import (
    Listing,
    Places,
    Record,
    list_file,
    published,
    read_rows,
)
from whyact.types import WhyactError


def _class_index(file: Path) -> tuple[str, ...]:
    rows = [line.split() for _, line in read_rows(file)]
    for number, row in enumerate(rows, 1):
        if len(row) != 2 or row[0] != str(number):
            raise WhyactError(
                f"{file}, row {number}: expected '{number} ClassName', got '{' '.join(row)}'."
            )
    return tuple(name for _, name in rows)


@published("UCF101", parts=("train", "test"), folds=3)
def read_ucf101(places: Places) -> Listing:
    """``Class/v_Class_gXX_cYY.avi`` with ``classInd.txt`` and ``{train,test}list0{1,2,3}.txt``.

    The group of a clip is its ``gXX``: one of 25, whose clips share actor and place.

    Raises:
        WhyactError: a missing list, or a row that does not fit.
    """
    classes = _class_index(list_file(places.lists, ["classInd.txt"]))
    index = {name: i for i, name in enumerate(classes)}
    records: list[Record] = []
    doubts: list[str] = []
    for part in places.parts:
        file = list_file(places.lists, [f"{part}list0{places.fold + 1}.txt"])
        for number, line in read_rows(file):
            found = re.fullmatch(r"\s*(\S+)/(\S+?)(?:\s+(\d+))?\s*", line)
            if not found or found[1] not in index:
                raise WhyactError(
                    f"{file}, row {number}: expected 'Class/v_Class_gXX_cYY.avi' with a class of "
                    f"classInd.txt, got '{line}'."
                )
            label = int(found[3]) - 1 if found[3] else index[found[1]]
            if not 0 <= label < len(classes):
                raise WhyactError(
                    f"{file}, row {number}: label {found[3]} is none of 1 to {len(classes)}."
                )
            if label != index[found[1]]:
                doubts.append(
                    f"{file}, row {number}: label {found[3]} is {classes[label]}, but the folder "
                    f"is {found[1]}."
                )
            group = re.search(r"_(g\d+)_c\d+", found[2])
            path = places.media.find([places.videos / found[1]], found[2])
            name = f"{found[1]}/{found[2]}"
            records.append(Record(path, name, label, group[1] if group else name))
    return Listing(classes, tuple(records), doubts=tuple(doubts))


def _source(name: str, label: str) -> str:
    """The film that a clip of HMDB51 was cut from: what its name says before the class."""
    stem = Path(name).stem
    before = re.match(rf"(.+?)_{re.escape(label)}_", stem)
    return before[1] if before else re.sub(r"_\d+$", "", stem)


@published("HMDB51", parts=("train", "test"), folds=3)
def read_hmdb51(places: Places) -> Listing:
    """``<class>/video.avi`` with ``<class>_test_split{1,2,3}.txt``.

    Rows are ``video.avi {0,1,2}``: unused, which ``all`` takes too, train, test. The group of a
    clip is the film that it was cut from.

    Raises:
        WhyactError: missing lists, or a row that does not fit.
    """
    ending = f"_test_split{places.fold + 1}.txt"
    files = sorted(places.lists.glob(f"*{ending}"))
    if not files:
        raise WhyactError(f"{places.lists}: expected <class>{ending} there (data.annotations).")
    wanted = {"train": "1", "test": "2", "all": "012"}[places.split]
    classes = tuple(file.name.removesuffix(ending) for file in files)
    records: list[Record] = []
    for label, file in enumerate(files):
        for number, line in read_rows(file):
            name, _, use = line.strip().rpartition(" ")
            if not name or use not in ("0", "1", "2"):
                raise WhyactError(
                    f"{file}, row {number}: expected 'video.avi 0', 1 or 2, got '{line}'."
                )
            if use in wanted:
                path = places.media.find([places.videos / classes[label]], name.strip())
                group = _source(name.strip(), classes[label])
                records.append(Record(path, f"{classes[label]}/{name.strip()}", label, group))
    return Listing(classes, tuple(records))
