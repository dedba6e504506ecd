"""Check a data set before hours are spent on it."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.progress import track

from whyact.config import Config, DataConfig
from whyact.data.builders import box_table
from whyact.data.catalog import VideoSet, chosen_folds, listing_of, video_set
from whyact.data.inspection import Inspection, inspect_all
from whyact.data.listing import CARVED, Listing, Record
from whyact.training.record import write_json
from whyact.types import WhyactError


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: ``missing``, ``unreadable``, ``mislabelled``, ``duplicate``, ``no boxes`` or
            ``count``. split: where. clip: its name; empty where it is not about one clip.
        text: what was found, and what was expected.
    """

    kind: str
    split: str
    clip: str
    text: str


@dataclass(frozen=True)
class Check:
    """What a check found.

    Attributes:
        findings: all of them. clips: by split, how many its list names and how many can be read.
        official: by split, the official number of clips, None where there is none.
        report: JSON file with all of it.
    """

    findings: tuple[Finding, ...]
    clips: dict[str, tuple[int, int]]
    official: dict[str, int | None]
    report: Path


def check_data(
    config: Config, *, output: str | Path = "runs/check", workers: int = 0, deep: bool = False
) -> Check:
    """Look for missing, unreadable, mislabelled and duplicated clips, and count the rest.

    Args:
        config: whose ``data`` is checked: all its splits, in all folds for ``data.fold`` -1.
        output: folder of ``<type>/journal.jsonl``, from which an interrupted check goes on, and
            ``<type>/report.json``.
        workers: processes; 0 takes ``data.workers``. deep: decode every frame, not a few.

    Raises:
        WhyactError: lists that cannot be read.
    """
    data, chosen = config.data, video_set(config.data)
    numbers = chosen_folds(data)
    parts = {
        _name(split, fold, len(numbers)): listing_of(replace(data, fold=fold), split)
        for fold in numbers
        for split in _splits(data, chosen)
    }
    if any(part.store is not None for part in parts.values()):
        raise WhyactError(
            f"data.type is '{data.type}': check the files that the shards were made from."
        )
    paths = list(dict.fromkeys(r.path for part in parts.values() for r in part.records))
    folder = Path(output) / data.type
    found = inspect_all(
        paths, journal=folder / "journal.jsonl", workers=workers or data.workers, deep=deep
    )
    seen = {i.path: i for i in track(found, "Check clips", total=len(paths), transient=True)}
    official = {
        _name(split, fold, len(numbers)): _official(data, chosen, split, fold)
        for fold in numbers
        for split in _splits(data, chosen)
    }
    findings = [*_files(parts, seen), *_labels(parts, seen), *_counts(chosen, parts, official)]
    findings += _boxes(data, parts)
    for fold in numbers:
        findings += _leaks(data, chosen, fold, len(numbers), parts, seen)
    clips = {
        name: (len(part.records), sum(not seen[str(r.path)].error for r in part.records))
        for name, part in parts.items()
    }
    made = Check(tuple(dict.fromkeys(findings)), clips, official, folder / "report.json")
    _write(made, data)
    return made


def _splits(data: DataConfig, chosen: VideoSet) -> list[str]:
    """The splits that a config uses; carved parts are checked with the list they come from."""
    carved = chosen.carved and data.folding == "official"
    named = [data.train, data.val, *data.test]
    return list(dict.fromkeys("train" if carved and s in CARVED else s for s in named))


def _name(split: str, fold: int, count: int) -> str:
    return split if count == 1 else f"{split} of fold {fold}"


def _official(data: DataConfig, chosen: VideoSet, split: str, fold: int) -> int | None:
    return chosen.official(split, fold) if data.folding == "official" else None


def _files(parts: Mapping[str, Listing], seen: Mapping[str, Inspection]) -> Iterable[Finding]:
    for name, part in parts.items():
        for record in part.records:
            state = seen[str(record.path)]
            if state.error:
                kind = "missing" if state.missing else "unreadable"
                yield Finding(kind, name, record.id, f"{record.path}: {state.error}")
            elif state.frames < record.frames:
                text = f"{record.path}: {state.frames} of the {record.frames} frames of its list."
                yield Finding("missing", name, record.id, text)


def _boxes(data: DataConfig, parts: Mapping[str, Listing]) -> Iterable[Finding]:
    """Videos that the table of boxes does not know."""
    table = box_table(data)
    if table is not None:
        for name, part in parts.items():
            for record in part.records:
                if table.name(record.path) is None:
                    text = f"{record.path}: {data.boxes.table} has no boxes of it."
                    yield Finding("no boxes", name, record.id, text)


def _labels(parts: Mapping[str, Listing], seen: Mapping[str, Inspection]) -> Iterable[Finding]:
    """Lists that contradict themselves or the folders, and copies with another label."""
    by_content: dict[object, list[tuple[str, Record]]] = defaultdict(list)
    for name, part in parts.items():
        yield from (Finding("mislabelled", name, "", doubt) for doubt in part.doubts)
        for record in part.records:
            if content := seen[str(record.path)].content:
                by_content[content, record.span, record.box].append((name, record))
            folder = record.path.parent.name
            if isinstance(record.label, int) and folder in part.classes:
                listed = part.classes[record.label] if record.label >= 0 else folder
                if folder != listed:
                    text = f"{record.path}: listed as '{listed}', but in the folder '{folder}'."
                    yield Finding("mislabelled", name, record.id, text)
    for copies in by_content.values():
        if len({r.label for _, r in copies}) > 1:
            name, first = copies[0]
            other = next(r for _, r in copies if r.label != first.label)
            text = f"{first.path} and {other.path} are the same, with different labels."
            yield Finding("mislabelled", name, first.id, text)


def _counts(
    chosen: VideoSet, parts: Mapping[str, Listing], official: Mapping[str, int | None]
) -> Iterable[Finding]:
    for name, part in parts.items():
        wanted = official[name]
        if wanted is not None and len(part.records) != wanted:
            text = f"the list names {len(part.records)} clips; officially there are {wanted}"
            text += ", in one of several releases." if chosen.releases else "."
            yield Finding("count", name, "", text)
    classes = len(next(iter(parts.values())).classes)
    if chosen.classes is not None and classes != chosen.classes:
        text = f"{classes} classes; officially there are {chosen.classes}."
        yield Finding("count", "all", "", text)


def _leaks(
    data: DataConfig, chosen: VideoSet, fold: int, count: int, parts: Mapping[str, Listing],
    seen: Mapping[str, Inspection],
) -> Iterable[Finding]:  # fmt: skip
    """Clips, contents and groups within a class that two splits of one fold share."""
    for one, two in itertools.combinations(_splits(data, chosen), 2):
        names = _name(one, fold, count), _name(two, fold, count)
        first, second = parts[names[0]].records, parts[names[1]].records
        inside = {r.path for r in second} <= {r.path for r in first}
        if (one, two) == (data.train, data.val) and inside:
            continue  # taken out of the training set on purpose, for weights that are the last
        contents = {seen[str(r.path)].content: r for r in first if seen[str(r.path)].content}
        paths = {r.path for r in first}
        for record in second:
            twin = contents.get(seen[str(record.path)].content)
            if record.path in paths or twin is not None:
                text = f"{record.path} is also in {names[0]}" + (
                    f" as {twin.path}." if twin is not None and twin.path != record.path else "."
                )
                yield Finding("duplicate", names[1], record.id, text)
        # HMDB51 and others split by class: a film may give one class to train, another to test.
        ours, theirs = _groups(first), _groups(second)
        if shared := ours.keys() & theirs.keys():
            named = sorted({ours[unit] for unit in shared})
            text = (
                f"{len(shared)} groups have clips of one class in both {names[0]} and {names[1]}, "
                f"e.g. {', '.join(named[:3])}."
            )
            yield Finding("duplicate", names[1], "", text)


def _groups(records: Sequence[Record]) -> dict[str, str]:
    """Groups that are told, by unit; where they are not, a clip's group is its own name."""
    return {r.unit: r.group for r in records if r.group != r.id}


def _write(made: Check, data: DataConfig) -> None:
    tree: dict[str, Any] = {
        "data": asdict(data),
        "clips": {k: {"listed": a, "readable": b} for k, (a, b) in made.clips.items()},
        "official": made.official,
        "findings": [asdict(f) for f in made.findings],
    }
    write_json(made.report, tree, indent=1)
