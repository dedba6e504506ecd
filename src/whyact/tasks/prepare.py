"""Prepare a data set: smaller copies that decode faster, under the same names and lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rich.progress import track

from whyact.config import Config
from whyact.data.catalog import chosen_folds, listing_of
from whyact.data.preparation import FORMS, prepare_clip, prepared_path
from whyact.data.video import VideoError
from whyact.processes import in_processes
from whyact.training.record import write_json
from whyact.types import WhyactError


@dataclass(frozen=True)
class Prepared:
    """What became of the clips.

    Attributes:
        made: copies written now. kept: copies that were there. failures: reason by source path.
    """

    made: int
    kept: int
    failures: dict[str, str]


def prepare_data(
    config: Config, *, out: str | Path, form: str = "video", short_side: int = 256,
    workers: int = 0,
) -> Prepared:  # fmt: skip
    """Write a copy of every clip that the config's splits name; copies that are there are kept.

    The copies lie below ``out`` as the clips do below ``data.root``, so that ``--data.root`` is all
    that changes.

    Args:
        config: whose ``data`` is prepared, in all folds for ``data.fold`` -1.
        out: folder; also gets ``failures.json``.
        form: ``video`` or ``frames``. short_side: in pixels. workers: processes; 0 takes
            ``data.workers``.

    Raises:
        WhyactError: an unknown form, or ``out`` inside the data.
    """
    if form not in FORMS:
        raise WhyactError(f"--form is '{form}'; choose from {list(FORMS)}.")
    root, folder = Path(config.data.root), Path(out)
    if folder.resolve() == root.resolve():
        raise WhyactError(f"{out} is data.root itself; write the copies to another folder.")
    data = config.data
    listings = [
        listing_of(replace(data, fold=fold), split)
        for fold in chosen_folds(data)
        for split in dict.fromkeys([data.train, data.val, *data.test])
    ]
    if any(listing.store is not None for listing in listings):
        raise WhyactError(
            f"data.type is '{data.type}': prepare the files that the shards are made from."
        )
    records = [r for listing in listings for r in listing.records]
    jobs = {r.path: folder / prepared_path(_below(r.path, root), form) for r in records}
    _refuse_clashes(jobs)
    todo = [(s, t) for s, t in jobs.items() if not t.exists()]
    failures = {}
    work = _run(todo, form, short_side, workers or config.data.workers)
    for path, reason in track(work, "Prepare clips", total=len(todo), transient=True):
        if reason:
            failures[path] = reason
    write_json(folder / "failures.json", failures, indent=1)
    return Prepared(len(todo) - len(failures), len(jobs) - len(todo), failures)


def _below(path: Path, root: Path) -> Path:
    if not path.is_relative_to(root):
        raise WhyactError(
            f"{path} does not lie below data.root ({root}), so its copy has no place; set "
            "data.root to a folder that holds all clips, and name them from there."
        )
    return path.relative_to(root)


def _refuse_clashes(jobs: Mapping[Path, Path]) -> None:
    taken: dict[Path, Path] = {}
    for source, target in jobs.items():
        if (other := taken.setdefault(target, source)) != source:
            raise WhyactError(f"{other} and {source} would both become {target}; rename one.")


def _one(job: tuple[Path, Path], *, form: str, short_side: int) -> tuple[str, str]:
    source, target = job
    try:
        prepare_clip(source, target, form=form, short_side=short_side)
    except (VideoError, OSError) as error:
        return str(source), str(error)
    return str(source), ""


def _run(
    todo: list[tuple[Path, Path]], form: str, short_side: int, workers: int
) -> Iterator[tuple[str, str]]:
    work = partial(_one, form=form, short_side=short_side)
    return in_processes(work, todo, workers=workers, chunk=4)
