"""Answers for test sets that keep their labels, in the format of each set's own server."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from torch import Tensor

Writer = Callable[[Path, Sequence[str], Sequence[str], Tensor, Sequence[str]], Path]


def _something_v1(
    folder: Path, ids: Sequence[str], groups: Sequence[str], logits: Tensor, classes: Sequence[str]
) -> Path:
    """``id;label``, as the set's own lists are written."""
    best = logits.argmax(1).tolist()
    rows = [f"{name};{classes[i]}" for name, i in zip(ids, best, strict=True)]
    return _text(folder / "submission.csv", rows)


def _something_v2(
    folder: Path, ids: Sequence[str], groups: Sequence[str], logits: Tensor, classes: Sequence[str]
) -> Path:
    """``id;label;…`` with the five best labels, best first."""
    best = logits.topk(min(5, len(classes)), dim=1).indices.tolist()
    rows = [";".join([n, *(classes[i] for i in row)]) for n, row in zip(ids, best, strict=True)]
    return _text(folder / "submission.csv", rows)


def _kinetics(
    folder: Path, ids: Sequence[str], groups: Sequence[str], logits: Tensor, classes: Sequence[str]
) -> Path:
    """The ActivityNet challenge's JSON: the five best labels of every YouTube id, with scores."""
    best = logits.softmax(1).topk(min(5, len(classes)), dim=1)
    results = {
        video: [
            {"label": classes[i], "score": round(score, 6)}
            for i, score in zip(indices, scores, strict=True)
        ]
        for video, indices, scores in zip(
            groups, best.indices.tolist(), best.values.tolist(), strict=True
        )
    }
    tree = {
        "version": "KINETICS VERSION 1.0",
        "results": results,
        "external_data": {"used": False, "details": ""},
    }
    return _text(folder / "submission.json", [json.dumps(tree, ensure_ascii=False)])


def _charades(
    folder: Path, ids: Sequence[str], groups: Sequence[str], logits: Tensor, classes: Sequence[str]
) -> Path:
    """``id`` and one score a class, blank-separated, as ``Charades_v1_classify.m`` reads."""
    scores = logits.sigmoid().tolist()
    rows = [" ".join([n, *(f"{s:.6f}" for s in row)]) for n, row in zip(ids, scores, strict=True)]
    return _text(folder / "submission.txt", rows)


def _table(
    folder: Path, ids: Sequence[str], groups: Sequence[str], logits: Tensor, classes: Sequence[str]
) -> Path:
    """``id,label,score`` of the best label, for sets without a server."""
    best = logits.softmax(1).max(1)
    file = folder / "submission.csv"
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["id", "label", "score"])
        for name, i, score in zip(ids, best.indices.tolist(), best.values.tolist(), strict=True):
            writer.writerow([name, classes[i], f"{score:.6f}"])
    return file


WRITERS: Mapping[str, Writer] = {
    "something_v1": _something_v1,
    "something_v2": _something_v2,
    "kinetics400": _kinetics,
    "kinetics600": _kinetics,
    "charades": _charades,
}
"""By ``data.type``; other sets get a table."""

SCRIPTED = ("charades",)
"""Sets whose own script scores the file; they get it even where the labels are known."""


def write_submission(
    folder: Path, kind: str, *, ids: Sequence[str], groups: Sequence[str], logits: Tensor,
    classes: Sequence[str],
) -> Path:  # fmt: skip
    """Write a submission file.

    Args:
        folder: to write to. kind: ``data.type``. ids, groups: n names; Kinetics' group is the
            YouTube id. logits: (n, Y). classes: Y names.
    """
    return WRITERS.get(kind, _table)(folder, ids, groups, logits, classes)


def _text(file: Path, rows: Sequence[str]) -> Path:
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return file
