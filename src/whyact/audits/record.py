"""The numbers of an audit as JSON values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from torch import Tensor

from whyact.audits import attribution, measure
from whyact.audits.changes import CHANGES
from whyact.audits.clips import AuditClips
from whyact.audits.measure import Answers
from whyact.audits.verdict import READ, Verdict, comparable, majority_rate
from whyact.metrics.disentanglement import Leakage
from whyact.metrics.summary import Summary, summarise

SCHEMA = "1.1"
PER_CLASS = ("original", "human_only", "background_only", "swapped", "background_reliance")
_BY_DONOR = ("swapped", "background_reliance", "follows_background")
_PLAIN = ("original", "shuffled", "reversed", "static", "order_use", "motion_use")


def why_missing(name: str, clips: AuditClips, explained: str = "") -> str:
    """Why a measure has no value, in words."""
    if name in ("background_heat", "disagreement") and explained:
        return explained
    if name in _PLAIN:
        return "no clip could be read"
    if set(clips.masks_from) == {"none"}:
        return "no masks of the actors; --masks motion finds what moves"
    if not bool(clips.masked.any()):
        return "no clip has a mask that is neither empty nor full"
    if name in _BY_DONOR and not bool((clips.donor >= 0).any()):
        return "all clips are of one class, so none can lend a background"
    return "not defined on any clip"


def rows(
    found: Mapping[str, Tensor], means: Mapping[str, Summary], clips: AuditClips,
    explained: str = "",
) -> dict[str, Any]:  # fmt: skip
    """Every measure: its meaning, mean, interval and counts, and why there is none.

    An accuracy has its ``chance`` too, the share of the commonest class among its own clips.
    """
    texts = {**measure.MEASURES, **attribution.MEASURES}
    made = {}
    for name, one in means.items():
        made[name] = {"text": texts[name], **asdict(one)}
        if one.mean is None:
            made[name]["why"] = why_missing(name, clips, explained)
        elif name in CHANGES:
            made[name]["chance"] = majority_rate(clips.labels[~found[name].isnan()])
    return made


def judged_row(found: Mapping[str, Tensor], chance: float, seed: int) -> dict[str, Any]:
    """What the verdict compares, on the clips that have every change: counts, chance, measures."""
    kept = comparable(found)
    names = dict.fromkeys([*READ, "swapped"])
    measures = {name: asdict(summarise(found[name][kept], seed=seed)) for name in names}
    return {"clips": int(kept.sum()), "chance": chance, "measures": measures}


def masks_row(clips: AuditClips) -> dict[str, Any]:
    """Who made the masks, how many are of use, and the share of a clip that they cover."""
    usable = clips.mask[clips.masked].double()
    return {
        "from": dict(Counter(clips.masks_from)),
        "usable": len(usable),
        "area": float(usable.mean()) if len(usable) else None,
    }


def leakage_row(found: Leakage | str, layer: str) -> dict[str, Any]:
    """The probes' accuracies with their floors, or why there are none."""
    return {"layer": layer, **({"why": found} if isinstance(found, str) else found.record())}


def class_rows(
    found: Sequence[tuple[dict[str, Summary], Verdict]], clips: AuditClips
) -> list[dict[str, Any]]:
    """A row a class that occurs, the most background-reliant first."""
    made = []
    for name, (own, said) in zip(clips.classes, found, strict=True):
        if not own["original"].clips:
            continue
        shown = {k: asdict(own[k]) for k in PER_CLASS}
        verdict = asdict(said) | {"text": said.text}
        made.append({"class": name, "clips": own["original"].clips, "verdict": verdict, **shown})
    return sorted(made, key=lambda row: -(row["background_reliance"]["mean"] or 0))


def background_first(answers: Answers) -> Tensor:
    """(n,) how much likelier the named class is on the background than on the actor alone."""
    target = answers.target
    alone = answers.probability_of("background_only", target)
    return alone - answers.probability_of("human_only", target)


def clip_columns(
    answers: Answers, clips: AuditClips, found: Mapping[str, Tensor]
) -> dict[str, Any]:
    """Lists with a value a clip: label, what was named under each change, how surely, and more."""
    target = answers.target
    return {
        "id": list(clips.ids),
        "label": clips.labels.tolist(),
        "scene": clips.nuisance.tolist(),
        "donor": clips.donor.tolist(),
        "masks_from": list(clips.masks_from),
        "named": {name: answers.named(name).tolist() for name in CHANGES},
        "probability": {name: numbers(answers.probability_of(name, target)) for name in CHANGES},
        **{name: numbers(found[name]) for name in attribution.MEASURES},
    }


def numbers(values: Tensor) -> list[float | None]:
    """Numbers for JSON, to four digits; None for NaN."""
    return [None if value != value else round(value, 4) for value in values.tolist()]
