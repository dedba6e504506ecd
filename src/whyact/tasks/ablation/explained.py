"""The native explanation of a trained variant, measured clip by clip for the ablation's table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from whyact.data.builders import build_dataset, middle_view
from whyact.data.loader import drawn, load
from whyact.explainers.controls import blurred
from whyact.explainers.native import follow
from whyact.metrics.focus import spatial_spread
from whyact.metrics.prompts import prompt_alignment
from whyact.metrics.quality import Judge, insertion_minus_deletion
from whyact.tasks.explanation_bench import controls as controls_of
from whyact.tasks.folds import fold_runs
from whyact.training.checkpoint import LoadedModel, load_model
from whyact.types import Batch

NATIVE = "native"
"""The row of the model's own map."""
BATCH = 10
"""Clips that are measured together; it does not change results."""
VERSION = 2
"""Of what is measured: raised where clips are chosen or measured otherwise than before."""
MINIMUM_ALIGNED = 8
"""Clips that `whyact.metrics.prompts.prompt_alignment` needs."""


def is_current(record: Mapping[str, Any], split: str, clips: int) -> bool:
    """Whether a record is what `explain_run` would make of these clips now."""
    return (record.get("version"), record["split"], record["clips"]) == (VERSION, split, clips)


@dataclass
class _Parts:
    """What was measured so far: rows of maps with their measures, and what alignment needs."""

    ids: list[str] = field(default_factory=list)
    fingerprints: list[str] = field(default_factory=list)
    rows: dict[str, dict[str, list[float | None]]] = field(default_factory=dict)
    mixtures: list[Tensor] = field(default_factory=list)
    content: list[Tensor] = field(default_factory=list)

    def note(self, row: str, values: Mapping[str, Tensor]) -> None:
        """Append values (B,); JSON has no NaN, so None stands for undefined."""
        for name, value in values.items():
            rounded = [None if x != x else round(x, 6) for x in value.double().tolist()]
            self.rows.setdefault(row, {}).setdefault(name, []).extend(rounded)


@torch.no_grad()
def explain_run(run: Path, *, split: str, clips: int, controls: bool = False) -> dict[str, Any]:
    """Measure the native explanation for the predicted class, on a CPU.

    Args:
        run: folder; of a cross-validated one every fold explains as many of its own.
        split: of the run's data. clips: how many, drawn from all.
        controls: measure random, constant, centre-prior and motion maps and the blurred copy too.

    Returns:
        ``version``, ``split``, ``clips`` (asked for), ``fingerprint`` of the data, ``ids``, and
        ``rows``: by row (`NATIVE` and the controls) and measure the value of every clip, None
        where undefined. The measures are those of `whyact.report.ablation_table.MEASURES`.

    Raises:
        WhyactError: no such run or split.
    """
    parts = _Parts()
    folds = fold_runs(run)
    sources = folds or [run]
    for fold, source in enumerate(sources):
        loaded = load_model(source)
        data = middle_view(loaded.config.data)
        dataset = build_dataset(data, split, train=False, seed=loaded.config.seed)
        share = clips * (fold + 1) // len(sources) - clips * fold // len(sources)
        count = min(share, len(dataset))
        parts.fingerprints.append(dataset.fingerprint)
        rows = sorted(drawn(len(dataset))[:count])
        requests = [[(i, 0) for i in rows[s : s + BATCH]] for s in range(0, count, BATCH)]
        before = len(parts.ids)
        for batch in load(dataset, requests):
            if len(batch):
                _measure(loaded, batch.to("cpu"), parts, controls)
        if folds:  # official ones may share clips, which different models have explained
            parts.ids[before:] = [f"{fold}/{name}" for name in parts.ids[before:]]
    # Prompts of different folds are of different models, so no one can be found by another's.
    if not folds and sum(map(len, parts.mixtures)) >= MINIMUM_ALIGNED:
        aligned = prompt_alignment(torch.cat(parts.mixtures), torch.cat(parts.content))
        parts.note(NATIVE, {"alignment": aligned.rank})
    return {
        "version": VERSION, "split": split, "clips": clips,
        "fingerprint": " ".join(parts.fingerprints), "ids": parts.ids, "rows": parts.rows,
    }  # fmt: skip


def _measure(loaded: LoadedModel, batch: Batch, parts: _Parts, controls: bool) -> None:
    model, video = loaded.model, batch.streams
    tokens, grid = model.encode(video)
    output = model.trace(tokens, grid)
    targets = output.logits.argmax(1)
    size = (video.shape[2], video.shape[3], video.shape[4])
    heat = follow(output, targets).heat(size)
    output = output.detach()
    maps = {NATIVE: heat}
    if controls:
        maps[f"{NATIVE}_blurred"] = blurred(heat)
        maps |= {c.name: c.heat(batch.video) for c in controls_of(model, size)}
    judge = Judge(
        logits=lambda x: loaded.model(x).logits, clips=batch.video, targets=targets,
        mask=batch.mask, fractions=(), parts=0, probabilities=loaded.probabilities,
    )  # fmt: skip
    for row, one in maps.items():
        parts.note(row, _of_map(judge, one))
    if output.prompts.shape[2]:
        parts.mixtures.append(output.prompt_weights.mean(1).flatten(1))
        parts.content.append(tokens.mean((1, 2)))
    parts.ids += batch.ids


def _of_map(judge: Judge, heat: Tensor) -> dict[str, Tensor]:
    """(B,) of every measure of a map but the alignment."""
    values = judge(heat)
    made = {name: values[name] for name in ("iou", "energy", "pointing", "temporal")}
    for curve in ("deletion", "insertion"):
        made[curve] = torch.stack([values[f"{curve}_{fill}"] for fill in judge.fills]).mean(0)
    return made | {
        "faithfulness": insertion_minus_deletion(values),
        "spread": spatial_spread(heat),
    }
