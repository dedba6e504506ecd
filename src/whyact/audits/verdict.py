"""Plain words for the numbers of an audit, by rules that are written down here.

``chance`` is the share of the commonest class. A number counts as above another where its bootstrap
95 % interval is.

- ``no_skill``: accuracy on the clips as they are is not above chance.
- ``leans``: another background costs at least half of what the model knows (accuracy before the own
  background minus chance), or the background alone gives at least half of what the clips give. The
  latter counts only where swapped clips are named after the clip that lent the background more
  often than by chance: else traces of the filled-in actor may have told the class.
- ``partly``: either of the two is above 0, but below half.
- ``none_found``: neither is, and the interval of what another background costs stays below half.
- ``undecided``: neither is above 0, but that interval reaches half: too few clips to say.
- ``unclear``: cutting and pasting alone brings the model to chance, and the background alone does
  not tell it the class.
- ``unknown``: there are no masks, or fewer than `LEAST` clips.

All of it is read on the clips that have every change, with the chance among those. It presumes
masks that hold the whole actor: what they leave travels with the background, and a model that sees
no background at all may then seem to lean on it. So look at the changed clips beside the verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from whyact.metrics.summary import Summary, summarise

LEAST = 8
"""Clips below which nothing is said."""
HALF = 0.5

LEVELS = {
    "leans": "leans on the background",
    "partly": "uses the background in part",
    "none_found": "shows no use of the background",
    "undecided": "cannot be told from so few clips",
    "unclear": "cannot be told: cutting and pasting alone stops the model",
    "unknown": "cannot be told: too few clips with masks",
    "no_skill": "does not recognise the actions, so there is nothing to audit",
}


READ = (
    "original", "own_background", "background_reliance", "background_only", "follows_background",
)  # fmt: skip
"""Measures that a verdict reads."""


@dataclass(frozen=True)
class Verdict:
    """Whether a model leans on the background.

    Attributes:
        level: of `LEVELS`. lost: share of its skill that another background costs; None if N/A.
        alone: share of its skill that the background alone gives; None if N/A.
    """

    level: str
    lost: float | None
    alone: float | None

    @property
    def text(self) -> str:
        """The level in words."""
        return LEVELS[self.level]


def verdict(found: Mapping[str, Summary], chance: float) -> Verdict:
    """The verdict of summaries by measure, see `whyact.audits.measure.MEASURES`."""
    original = found["original"]
    if original.clips < LEAST:
        return Verdict("unknown", None, None)
    if not _above(original, chance):
        return Verdict("no_skill", None, None)
    swapped, alone, own = (
        found[k] for k in ("background_reliance", "background_only", "own_background")
    )
    followed = _above(alone, chance) and _above(found["follows_background"], chance)
    if min(swapped.clips, alone.clips) < LEAST:
        return Verdict("unknown", None, None)
    part_alone = _share(alone.mean, chance, original.mean, chance)
    if not _above(own, chance):
        if not followed:
            return Verdict("unclear", None, part_alone)
        return Verdict("leans" if part_alone >= HALF else "partly", None, part_alone)
    part_lost = _share(swapped.mean, 0.0, own.mean, chance)
    counted = ((part_lost, _above(swapped, 0.0)), (part_alone, followed))
    parts = [part for part, counts in counted if counts]
    if parts:
        return Verdict("leans" if max(parts) >= HALF else "partly", part_lost, part_alone)
    # What the background alone gives counts only where it is followed, which it is not.
    most = _share(swapped.high, 0.0, own.mean, chance)
    return Verdict("undecided" if most >= HALF else "none_found", part_lost, part_alone)


def _above(found: Summary, bound: float) -> bool:
    return found.low is not None and found.low > bound


def _share(value: float | None, low: float, whole: float | None, chance: float) -> float:
    """``(value - low) / (whole - chance)``, within [0, 1]; the caller has checked the whole."""
    assert value is not None and whole is not None
    return min(1.0, max(0.0, (value - low) / max(whole - chance, 1e-9)))


def comparable(values: Mapping[str, Tensor]) -> Tensor:
    """(n,) bool, the clips that have every change that a verdict reads; all where there is none."""
    kept = ~(values["background_reliance"].isnan() | values["background_only"].isnan())
    return kept if bool(kept.any()) else torch.ones_like(kept)


def judged(values: Mapping[str, Tensor], mine: Tensor, chance: float, *, seed: int = 0) -> Verdict:
    """The verdict of some clips, by those of them that are `comparable`.

    Args:
        values: (n,) by measure. mine: (n,) bool. chance, seed: as of `by_class`.
    """
    kept = mine & comparable(values)
    return verdict({name: summarise(values[name][kept], seed=seed) for name in READ}, chance)


def by_class(
    values: Mapping[str, Tensor], labels: Tensor, classes: int, whole: Verdict, chance: float, *,
    seed: int = 0,
) -> list[tuple[dict[str, Summary], Verdict]]:  # fmt: skip
    """Summaries and verdict of each class's own clips.

    Where the model has no skill on all of them, no class has a verdict: to name one class always
    is to be right on all of its clips.

    Args:
        values: (n,) by measure. labels: (n,). classes: Y. whole: verdict of all clips.
        chance: of all clips: a class's own have no other one. seed: of the bootstrap.
    """
    rows = []
    for label in range(classes):
        mine = labels == label
        own = {name: summarise(one[mine], seed=seed) for name, one in values.items()}
        said = whole if whole.level == "no_skill" else judged(values, mine, chance, seed=seed)
        rows.append((own, said))
    return rows


def majority_rate(labels: Tensor) -> float:
    """Share of the commonest class among labels (n,)."""
    return float(labels.bincount().max()) / len(labels)
