"""Audit any video model: does it name actions by the actor's motion, or by the background?"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from whyact.audits import attribution as where
from whyact.audits.bounds import failed_bounds, parse_bounds
from whyact.audits.clips import AuditClips, collect
from whyact.audits.leakage import find_layer, scene_leakage
from whyact.audits.measure import NAN, Answers, ask, middle_frames, summaries, values
from whyact.audits.record import (
    SCHEMA,
    background_first,
    class_rows,
    clip_columns,
    leakage_row,
    masks_row,
    rows,
)
from whyact.audits.verdict import by_class, chance_of, verdict
from whyact.data.protocol import ClipDataset
from whyact.explainers.base import Model, logits_of
from whyact.metrics.intervals import Summary
from whyact.models.clip_callable import OpenedModel
from whyact.report.audit_page import SHOWN, write_audit_page
from whyact.tasks.audited import as_opened, first_logits, match_classes, named, open_segmenter
from whyact.training.record import environment
from whyact.types import WhyactError

WORST = 8
"""Clips that the page shows."""


@dataclass(frozen=True)
class Audit:
    """The result of an audit.

    Attributes:
        record: everything that was measured, as JSON values (`docs/audit.md` lists them).
        failed: a sentence for each bound that does not hold.
        folder: of ``audit.json`` and ``audit.html``; None where none were written.
    """

    record: dict[str, Any]
    failed: tuple[str, ...]
    folder: Path | None


@dataclass(frozen=True)
class _Ready:
    """The parts that all steps need."""

    opened: OpenedModel
    model: Model
    clips: AuditClips
    answers: Answers
    seed: int
    batch_size: int
    device: str


def audit(
    model: Any,
    dataset: ClipDataset,
    *,
    clips: int = 200,
    seed: int = 0,
    masks: str = "auto",
    explainer: str = "occlusion",
    explained: int = 50,
    layer: str = "",
    class_map: str | Path = "",
    fail_below: Sequence[str] = (),
    fail_above: Sequence[str] = (),
    output: str | Path = "",
    name: str = "",
    source: dict[str, Any] | None = None,
    batch_size: int = 16,
    device: str = "cpu",
    workers: int = 0,
) -> Audit:
    """Audit a model.

    Args:
        model: a callable that maps clips (B, 3, T, H, W), RGB in [0, 1], to logits (B, Y) or to an
            output with ``logits``; or what `whyact.tasks.audited.open_model` opened.
        dataset: clips with a single label each.
        clips: how many are drawn, at most. seed: of all that is drawn.
        masks: ``auto``, ``given``, ``motion``, ``none`` (see `whyact.audits.clips.collect`), or the
            TorchScript file of a segmentation model: images (N, 3, H, W) in [0, 1] to the
            probability (N, 1, H, W) of an actor.
        explainer: ``occlusion``, ``integrated_gradients`` or ``none``; of the first ``explained``
            clips.
        layer: module of the model, by name, that the scene is read from; empty reads none.
        class_map: file of `whyact.data.class_map.read_class_map`, where the classes differ.
        fail_below, fail_above: bounds ``name=number`` on means of `whyact.audits.bounds.NAMES`.
        output: folder of ``audit.json`` and ``audit.html``; empty writes none.
        name: of the model, for people. source: what the record says of the data besides its hash.
        batch_size: clips a forward pass. device: of the model. workers: that read clips.

    Raises:
        WhyactError: a model that is none or fails, classes that do not fit, an unknown setting.
    """
    started = time.perf_counter()
    bounds = [*parse_bounds(fail_below, below=True), *parse_bounds(fail_above, below=False)]
    opened = named(as_opened(model), name)
    kind, segmenter = open_segmenter(masks)
    hooked = find_layer(opened.module, layer) if layer else None
    outputs = first_logits(opened, dataset, device).shape[1]
    dataset, columns, matched = match_classes(dataset, opened.classes, outputs, class_map)
    explained_model = _in_order(opened.call, columns)
    _check_explainer(explainer, opened)
    read = collect(
        dataset, clips=clips, seed=seed, masks=kind, segmenter=segmenter, workers=workers
    )
    answers = ask(explained_model, read, seed=seed, batch_size=batch_size, device=device)
    ready = _Ready(opened, explained_model, read, answers, seed, batch_size, device)
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "model": {"name": opened.name, "sha256": opened.sha256 or None, "form": opened.form,
                  "outputs": outputs, "classes_matched": matched},
        "data": _data_row(dataset, read, source),
        "masks": masks_row(read) | {"asked": masks},
        "settings": {"seed": seed, "clips": clips, "explainer": explainer, "explained": explained,
                     "layer": layer, "batch_size": batch_size},
    }  # fmt: skip
    measured, found = _measure(ready, explainer, explained)
    record |= measured
    leak = (
        "no layer was named; --layer NAME reads one" if hooked is None
        else scene_leakage(ready.model, hooked, read, seed=seed, batch_size=batch_size,
                           device=device)
    )  # fmt: skip
    record["leakage"] = leakage_row(leak, layer)
    failed = failed_bounds(bounds, found)
    record["bounds"] = {"asked": [asdict(b) for b in bounds], "failed": failed}
    record["seconds"] = round(time.perf_counter() - started, 1)
    record |= environment(torch.device(device), [])
    folder = Path(output) if output else None
    if folder is not None:
        _write(folder, record, ready)
    return Audit(record, tuple(failed), folder)


def _in_order(model: Model, columns: list[int] | None) -> Model:
    """The model with its outputs in the order of the data's classes."""
    if columns is None:
        return model
    return lambda clips: logits_of(model, clips)[:, columns]


def _check_explainer(explainer: str, opened: OpenedModel) -> None:
    where.build_explainer(explainer, opened.call, (1, 1, 1))
    if explainer == "integrated_gradients" and not opened.gradients:
        raise WhyactError(
            f"{opened.name} has no gradients, so integrated_gradients cannot explain it; take "
            "--explainer occlusion."
        )


def _measure(
    ready: _Ready, explainer: str, explained: int
) -> tuple[dict[str, Any], dict[str, Summary]]:
    """The record's numbers, and the summaries that bounds look at."""
    clips, answers = ready.clips, ready.answers
    found = values(answers, clips)
    drops = where.deletion(answers)
    t, h, w = clips.video.shape[2:]
    method = where.build_explainer(explainer, ready.model, (t, h, w))
    heat, why = torch.full((len(clips),), NAN, dtype=torch.float64), "no explainer was asked for"
    if method is not None:
        why = ""
        heat = where.background_heat(
            method, clips, answers.target, count=explained, device=ready.device
        )
    found |= {"background_heat": heat, **drops}
    found["disagreement"] = where.disagreement(heat, drops["background_share"])
    means = summaries(found, seed=ready.seed)
    chance = chance_of(clips.labels)
    said = verdict(means, chance)
    classes = by_class(found, clips.labels, len(clips.classes), chance, seed=ready.seed)
    return {
        "chance": chance,
        "verdict": asdict(said) | {"text": said.text},
        "measures": rows(means, clips, why),
        "per_class": class_rows(classes, clips),
        "clips": clip_columns(answers, clips, found),
    }, means


def _data_row(
    dataset: ClipDataset, clips: AuditClips, source: dict[str, Any] | None
) -> dict[str, Any]:
    return {
        **(source or {}),
        "fingerprint": dataset.fingerprint,
        "size": list(clips.video.shape[2:]),
        "classes": list(clips.classes),
        "expected": clips.expected,
        "read": len(clips),
        "failures": {f.id: f.reason for f in clips.failures},
    }


def _write(folder: Path, record: dict[str, Any], ready: _Ready) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "audit.json").write_text(text, encoding="utf-8")
    worst = _worst(ready.answers)
    pictures = middle_frames(ready.clips, worst, SHOWN, seed=ready.seed)
    write_audit_page(folder / "audit.html", record, worst.tolist(), pictures)


def _worst(answers: Answers) -> Tensor:
    """Rows of the clips whose class the background gives away most, the worst first."""
    order = background_first(answers).nan_to_num(nan=-2.0)
    picked = order.argsort(descending=True)[:WORST]
    return picked[order[picked] > -2]
