"""Splits made from a listing: leave one group out, seeded folds, and a part to select on."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from whyact.data.listing import CARVED, Listing
from whyact.types import WhyactError

SPLITS = ("test", "val", "train", "fit", "all")


def groups_of(listing: Listing) -> list[str]:
    """The groups of a listing, numbers in their numerical order."""

    def key(group: str) -> list[tuple[int, str]]:
        return [(int(part), "") if part.isdecimal() else (-1, part)
                for part in re.split(r"(\d+)", group)]  # fmt: skip

    return sorted({r.group for r in listing.records}, key=key)


def group_fold(listing: Listing, *, fold: int, split: str) -> Listing:
    """Leave one group out: fold f tests on the f-th group.

    Args:
        listing: all clips. fold: which group.
        split: ``test`` (that group), ``train`` (the others), ``val`` (the next group, one of the
            training ones), ``fit`` (``train`` without ``val``), ``all``.

    Raises:
        WhyactError: a fold or split that does not exist.
    """
    place = {group: i for i, group in enumerate(groups_of(listing))}
    return _fold(listing, [place[r.group] for r in listing.records], len(place), fold, split)


def random_fold(
    listing: Listing, *, count: int, seed: int, fold: int, split: str, across_classes: bool = False
) -> Listing:
    """Seeded folds of about equal size in every class; clips of one group stay together.

    Args:
        listing: all clips. count: of folds. seed: of the draw. fold: which one is tested on.
        split: as for `group_fold`; ``val`` is the next fold.
        across_classes: groups hold clips of several classes, as sequences do; then no class has a
            share in every fold of its own, and folds are alike in size alone. Otherwise groups are
            those of a class.

    Raises:
        WhyactError: a fold or split that does not exist, or more folds than groups.
    """
    units = [r.group if across_classes else r.unit for r in listing.records]
    sizes = Counter(units)
    if not 2 <= count <= len(sizes):
        raise WhyactError(
            f"data.fold_count is {count}; expected 2 to {len(sizes)}, the number of groups whose "
            "clips stay together."
        )
    by_class: dict[str, list[str]] = defaultdict(list)
    for unit in sorted(sizes):
        by_class["" if across_classes else unit.split("\0")[0]].append(unit)
    rng = np.random.default_rng(seed)
    place: dict[str, int] = {}
    totals = np.zeros(count, np.int64)
    for names in by_class.values():
        filled = np.zeros(count, np.int64)
        for unit in rng.permutation(np.array(names)):
            # The emptiest fold of this class, then the emptiest of all.
            target = min(range(count), key=lambda f: (filled[f], totals[f]))
            place[str(unit)] = target
            filled[target] += sizes[str(unit)]
            totals[target] += sizes[str(unit)]
    return _fold(listing, [place[u] for u in units], count, fold, split)


def carve(training: Listing, split: str, *, share: float = 0.1) -> Listing:
    """``val`` or ``fit`` out of an official training list that has no part to select on.

    About a tenth of the groups of every class, the first by the hash of their names, make ``val``:
    the same on every machine, and no `Record.unit` is in both.

    Args:
        training: the official list. split: ``val`` or ``fit``. share: of the groups.
    """
    units: dict[str, set[str]] = defaultdict(set)
    for record in training.records:
        units[record.unit.split("\0")[0]].add(record.unit)
    held: set[str] = set()
    for names in units.values():
        ordered = sorted(names, key=lambda u: hashlib.sha256(u.encode()).hexdigest())
        held.update(ordered[: max(1, round(share * len(ordered))) if len(ordered) > 1 else 0])
    if not held and training.records:
        raise WhyactError(
            "There is no 'val' to carve out of the training list: every class has a single group "
            "of clips. Set data.val to another split, with training.select: last."
        )
    wanted = {"val": True, "fit": False}[split]
    return replace(
        training, records=tuple(r for r in training.records if (r.unit in held) == wanted)
    )


def _fold(listing: Listing, places: Sequence[int], count: int, fold: int, split: str) -> Listing:
    """The part of a fold, of clips each of which is tested on in the fold of its place."""
    if not 0 <= fold < count:
        raise WhyactError(f"data.fold is {fold}; the set has folds 0 to {count - 1}.")
    if split not in SPLITS:
        raise WhyactError(f"There is no split '{split}'; choose from {list(SPLITS)}.")
    following = (fold + 1) % count
    chosen = {
        "test": {fold},
        "val": {following},
        "train": set(range(count)) - {fold},
        "fit": set(range(count)) - {fold, following},
        "all": set(range(count)),
    }[split]
    rows = zip(listing.records, places, strict=True)
    return replace(listing, records=tuple(r for r, place in rows if place in chosen))


__all__ = ["CARVED", "SPLITS", "carve", "group_fold", "groups_of", "random_fold"]
