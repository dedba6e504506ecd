"""Audit any video model: does it name actions by the actor's motion, or by the background?"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from whyact.audits import attribution as where
from whyact.audits.bounds import failed_bounds, parse_bounds
from whyact.audits.clips import AuditClips, Segmenter, collect
from whyact.audits.leakage import find_layer, scene_leakage
from whyact.audits.measure import NAN, Answers, ask, middle_frames, summaries, values
from whyact.audits.record import (
    SCHEMA,
    background_first,
    class_rows,
    clip_columns,
    judged_row,
    leakage_row,
    masks_row,
    rows,
)
from whyact.audits.verdict import by_class, comparable, judged, majority_rate
from whyact.data.protocol import ClipDataset
from whyact.explainers.base import Model
from whyact.metrics.disentanglement import Leakage
from whyact.metrics.summary import Summary
from whyact.models.clip_callable import OpenedModel
from whyact.report.audit_page import SHOWN, write_audit_page
from whyact.tasks.audited import (
    as_opened,
    evaluating,
    first_logits,
    logits_by,
    match_classes,
    named,
    open_segmenter,
)
from whyact.training.record import environment, write_json
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
class _Asked:
    """What the caller wants, as the record's ``settings``."""

    clips: int
    seed: int
    masks: str
    explainer: str
    explained: int
    layer: str
    batch_size: int
    device: str


@dataclass(frozen=True)
class _Ready:
    """The clips, the model on them, and what it answered; ``matched`` says how classes were."""

    asked: _Asked
    model: Model
    outputs: int
    dataset: ClipDataset
    matched: str
    clips: AuditClips
    answers: Answers


def audit(
    model: Any,
    dataset: ClipDataset | Callable[[], ClipDataset],
    *,
    clips: int = 200,
    seed: int = 0,
    masks: str | Segmenter = "auto",
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
        dataset: clips with a single label each, or what makes them, once everything else that is
            asked for is known to exist.
        clips: how many are drawn, at most. seed: of all that is drawn.
        masks: ``auto``, ``given``, ``motion``, ``none`` (see `whyact.audits.clips.collect`), or the
            TorchScript file of a segmentation model, or the model as a callable: images
            (N, 3, H, W) in [0, 1] to the probability (N, 1, H, W) of an actor.
        explainer: ``occlusion``, ``integrated_gradients`` or ``none``; of ``explained`` clips,
            drawn from those with a mask.
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
    asked = _Asked(clips, seed, str(masks), explainer, explained, layer, batch_size, device)
    _check_counts(asked)
    if output:
        _make(Path(output))
    with evaluating(opened):
        hooked = find_layer(opened.module, layer) if layer else None
        _check_explainer(explainer, opened)
        made = dataset() if callable(dataset) else dataset
        ready = _answer(opened, made, asked, kind, segmenter, class_map, workers)
        measured, found = _measure(ready)
        leakage = leakage_row(_leak(ready, hooked), layer)
    failed = failed_bounds(bounds, found)
    record = {
        "schema": SCHEMA,
        "model": {"name": opened.name, "sha256": opened.sha256 or None, "form": opened.form,
                  "outputs": ready.outputs, "classes_matched": ready.matched},
        "data": _data_row(ready.dataset, ready.clips, source),
        "masks": masks_row(ready.clips),
        "settings": asdict(asked),
        **measured,
        "leakage": leakage,
        "bounds": {"asked": [asdict(b) for b in bounds], "failed": failed},
        "seconds": round(time.perf_counter() - started, 1),
        **environment(torch.device(device), []),
    }  # fmt: skip
    if output:
        _write(Path(output), record, ready)
    return Audit(record, tuple(failed), Path(output) if output else None)


def _answer(
    opened: OpenedModel, dataset: ClipDataset, asked: _Asked, masks: str,
    segmenter: Segmenter | None, class_map: str | Path, workers: int,
) -> _Ready:  # fmt: skip
    """Match the classes, read the clips, and ask the model about them."""
    outputs = first_logits(opened, dataset, asked.device).shape[1]
    dataset, columns, matched = match_classes(dataset, opened.classes, outputs, class_map)
    clips = collect(
        dataset, clips=asked.clips, seed=asked.seed, masks=masks, segmenter=segmenter,
        workers=workers,
    )  # fmt: skip
    call = _in_order(logits_by(opened), columns)
    answers = ask(call, clips, seed=asked.seed, batch_size=asked.batch_size, device=asked.device)
    return _Ready(asked, call, outputs, dataset, matched, clips, answers)


def _in_order(model: Model, columns: list[int] | None) -> Model:
    """The model with its outputs in the order of the data's classes."""
    if columns is None:
        return model
    return lambda clips: model(clips)[:, columns]


def _check_counts(asked: _Asked) -> None:
    for name, least in (("clips", 1), ("explained", 0), ("batch_size", 1)):
        if getattr(asked, name) < least:
            raise WhyactError(
                f"--{name.replace('_', '-')} is {getattr(asked, name)}; it must be {least} or more."
            )


def _make(folder: Path) -> None:
    """The folder of the result, now: not after an hour of questions."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WhyactError(f"--output {folder}: cannot be made a folder: {error}.") from error


def _check_explainer(explainer: str, opened: OpenedModel) -> None:
    where.build_explainer(explainer, opened.call, (1, 1, 1))
    if explainer == "integrated_gradients" and not opened.gradients:
        raise WhyactError(
            f"{opened.name} has no gradients, so integrated_gradients cannot explain it; take "
            "--explainer occlusion."
        )


def _leak(ready: _Ready, layer: nn.Module | None) -> Leakage | str:
    asked = ready.asked
    if layer is None:
        return "no layer was named; --layer NAME reads one"
    return scene_leakage(
        ready.model, layer, ready.clips, seed=asked.seed, batch_size=asked.batch_size,
        device=asked.device,
    )  # fmt: skip


def _measure(ready: _Ready) -> tuple[dict[str, Any], dict[str, Summary]]:
    """The record's numbers, and the summaries that bounds look at."""
    asked, clips, answers = ready.asked, ready.clips, ready.answers
    found = values(answers, clips)
    drops = where.deletion(answers)
    method = where.build_explainer(
        asked.explainer, ready.model, clips.video.shape[2:], asked.batch_size
    )
    heat, why = torch.full((len(clips),), NAN, dtype=torch.float64), "no explainer was asked for"
    if method is not None:
        why = ""
        heat = where.background_heat(
            method, clips, answers.target, count=asked.explained, seed=asked.seed,
            batch_size=asked.batch_size, device=asked.device,
        )  # fmt: skip
    found |= {"background_heat": heat, **drops}
    found["disagreement"] = where.disagreement(heat, drops["background_share"])
    means = summaries(found, seed=asked.seed)
    chance = majority_rate(clips.labels[comparable(found)])
    said = judged(found, torch.ones_like(clips.labels, dtype=torch.bool), chance, seed=asked.seed)
    classes = by_class(found, clips.labels, len(clips.classes), said, chance, seed=asked.seed)
    return {
        "verdict": asdict(said) | {"text": said.text},
        "judged": judged_row(found, chance, asked.seed),
        "measures": rows(found, means, clips, why),
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
    write_json(folder / "audit.json", record, indent=1)
    worst = _worst(ready.answers, ready.clips.labels)
    pictures = middle_frames(ready.clips, worst, SHOWN, seed=ready.asked.seed)
    write_audit_page(folder / "audit.html", record, worst.tolist(), pictures)


def _worst(answers: Answers, labels: Tensor) -> Tensor:
    """Rows of the clips whose class the background gives away most: of each class one, then more.

    The worst come first; clips that lack either part are left out.
    """
    leaning = background_first(answers)
    order = leaning.nan_to_num(nan=-2.0).argsort(descending=True, stable=True).tolist()
    seen: Counter[int] = Counter()
    turns = []  # how many clips of the same class come before each
    for i in order:
        if not bool(leaning[i].isnan()):
            turns.append((seen[int(labels[i])], i))
            seen[int(labels[i])] += 1
    turns.sort(key=lambda turn: turn[0])
    return torch.tensor([i for _, i in turns[:WORST]], dtype=torch.int64)
