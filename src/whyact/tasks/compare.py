"""Compare two evaluations clip by clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from whyact.metrics.comparison import mcnemar, paired_differences
from whyact.tasks.evaluation_record import SCHEMA, read_predictions, read_record
from whyact.training.record import write_json
from whyact.types import WhyactError


def compare(
    first: str | Path, second: str | Path, *, output: str | Path = "", draws: int = 2000
) -> dict[str, Any]:
    """Pair two records of `whyact.evaluate` clip by clip.

    Args:
        first, second: folders of a split's evaluation. output: JSON file to write; none if empty.
        draws: of the paired bootstrap.

    Returns:
        ``clips``; ``measures``: both scores, their difference (second minus first) and its 95 %
        interval; ``mcnemar`` for single labels, else None; ``warnings`` where the protocols,
        decoders, wishes or files differ.

    Raises:
        WhyactError: no records there, or not of the same clips with the same labels.
    """
    folders = [p.parent if p.name == "scores.json" else p for p in (Path(first), Path(second))]
    records = [read_record(folder) for folder in folders]
    found = [read_predictions(folder) for folder in folders]
    _check_classes(folders, records)
    _check_clips(folders, [p.ids for p in found])
    place = {name: i for i, name in enumerate(found[1].ids)}
    order = torch.tensor([place[name] for name in found[0].ids])
    labels, one, other = found[0].labels, found[0].logits, found[1].logits[order]
    if not torch.equal(labels, found[1].labels[order]):
        wrong = next(
            name for name, a, b in zip(found[0].ids, labels, found[1].labels[order], strict=True)
            if not torch.equal(a, b)
        )  # fmt: skip
        raise WhyactError(f"The labels of clip '{wrong}' differ between the two evaluations.")
    result = {
        "first": str(first),
        "second": str(second),
        "clips": len(labels),
        "measures": paired_differences(one, other, labels, draws=draws),
        "mcnemar": asdict(mcnemar(one, other, labels)) if labels.ndim == 1 else None,
        "warnings": _warnings(records),
    }
    if output:
        write_json(Path(output), result, indent=1)
    return result


def _check_classes(folders: Sequence[Path], records: Sequence[dict[str, Any]]) -> None:
    for folder, record in zip(folders, records, strict=True):
        if record.get("schema") != SCHEMA:
            raise WhyactError(
                f"{folder}: expected a record of schema {SCHEMA}, found {record.get('schema')}; "
                "evaluate again with this version of whyact."
            )
    if records[0]["label_map"] != records[1]["label_map"]:
        raise WhyactError(
            f"{folders[0]} and {folders[1]} have different classes, or in another order; only "
            "scores over the same classes can be compared."
        )
    for folder, record in zip(folders, records, strict=True):
        if "per_class" not in record:
            raise WhyactError(f"{folder}: its clips have no labels, or none could be read.")


def _check_clips(folders: Sequence[Path], ids: Sequence[Sequence[str]]) -> None:
    one, other = set(ids[0]), set(ids[1])
    if one == other:
        return
    only = [sorted(one - other), sorted(other - one)]
    said = [f"{len(names)} only in {folder} (e.g. {', '.join(names[:3])})"
            for folder, names in zip(folders, only, strict=True) if names]  # fmt: skip
    raise WhyactError(
        f"The two evaluations are not of the same clips: {'; '.join(said)}. Clips that failed in "
        "one of them are in its scores.json; fix them and evaluate again."
    )


def _asked(record: dict[str, Any]) -> str:
    """How the model was asked for actions, in words."""
    asked = record.get("asked")
    if not asked:
        return "not asked"
    return f"{asked['name']}{', which reads the true labels' if asked['reads_labels'] else ''}"


def _warnings(records: Sequence[dict[str, Any]]) -> list[str]:
    """What differs besides the model."""
    said = [
        f"{name} differs: {records[0].get(name)} and {records[1].get(name)}"
        for name in ("protocol", "decoder")
        if records[0].get(name) != records[1].get(name)
    ]
    asked = [_asked(record) for record in records]
    if asked[0] != asked[1]:
        said.append(f"the wishes differ: {asked[0]} and {asked[1]}")
    files = [record.get("set", {}).get("fingerprint") for record in records]
    if files[0] != files[1]:
        said.append("the files differ: same names and labels, other content (set.fingerprint)")
    return said
