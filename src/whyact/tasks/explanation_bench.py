"""Measure all rows of the table of explanation quality on a batch of clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from whyact.explainers.base import logits_of
from whyact.explainers.controls import (
    CentrePrior,
    ConstantMap,
    Control,
    MotionMagnitude,
    RandomMap,
    blurred,
)
from whyact.explainers.cost import CountedModel
from whyact.metrics.localisation import grid_ceiling
from whyact.metrics.maps import map_similarity
from whyact.metrics.quality import TRUTH, Judge, composite
from whyact.metrics.robustness import (
    cascade,
    largest_change,
    neighbours,
    other_classes,
    random_logit,
    top_down,
)
from whyact.models.recognizer import VideoModel
from whyact.ops.probability import Probabilities, one_of
from whyact.tasks.explainer_table import Method, build_method, pass_size

CONTROLS: tuple[type[Control], ...] = (RandomMap, ConstantMap, CentrePrior, MotionMagnitude)


@dataclass
class Measured:
    """What was measured on some clips.

    Attributes:
        ids: of the clips. hits: 1 where the explained (predicted) class is the true one.
        rows: values by row and metric. curves: IoU curves by row.
        ceilings: localisation of the mask itself on each method's grid, by limbs of the limbs'.
        passes: counted by method: forward and backward passes of one clip. needs: asked for.
        judging: counted passes of a clip for one map, and needed ones.
    """

    ids: list[str] = field(default_factory=list)
    hits: list[float] = field(default_factory=list)
    rows: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    curves: dict[str, list[list[float]]] = field(default_factory=dict)
    ceilings: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    passes: dict[str, list[float]] = field(default_factory=dict)
    needs: dict[str, int] = field(default_factory=dict)
    judging: tuple[float, float] = (0.0, 0.0)

    def add(self, other: Measured) -> None:
        """Append the clips of another."""
        self.ids += other.ids
        self.hits += other.hits
        for mine, theirs in ((self.rows, other.rows), (self.ceilings, other.ceilings)):
            for row, values in theirs.items():
                for name, v in values.items():
                    mine.setdefault(row, {}).setdefault(name, []).extend(v)
        for row, curve in other.curves.items():
            self.curves.setdefault(row, []).extend(curve)
        for row, counts in other.passes.items():
            self.passes.setdefault(row, []).extend(counts)
        self.needs |= other.needs
        if other.ids:  # a part in which no clip could be read counted nothing
            self.judging = other.judging


def controls(model: VideoModel, size: tuple[int, int, int]) -> list[Control]:
    """All controls; random maps are as coarse as a token grid's for clips of that (T, H, W)."""
    random = RandomMap(model=model, cell=max(8, max(size[1:]) // 14))
    return [random if kind is RandomMap else kind(model=model) for kind in CONTROLS]


class Bench:
    """A model, its explainers and the controls.

    Args:
        model: in evaluation mode; its weights get no gradients any more.
        methods: names of explainers. size: (T, H, W) of clips. probabilities: of logits.
    """

    def __init__(
        self, model: VideoModel, methods: Sequence[str], size: Sequence[int],
        probabilities: Probabilities = one_of,
    ) -> None:  # fmt: skip
        self.probabilities = probabilities
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        self.model, self.run = model, CountedModel(model)
        with torch.no_grad():
            one = model(torch.zeros(1, 3, *size))
        grid = (one.frame_logits.shape[1], *one.grid)
        sizes = (size[0], size[1], size[2])
        self.methods: dict[str, Method] = {
            name: build_method(
                name, model=model, run=self.run, size=sizes, grid=grid, probabilities=probabilities
            )
            for name in methods
        }
        self.controls = controls(model, sizes)

    def logits(self, clips: Tensor) -> Tensor:
        """Counted logits (B, Y)."""
        return logits_of(self.run, clips)

    def heat(self, name: str, clips: Tensor, targets: Tensor) -> Tensor:
        """Maps (B, T, H, W) of a method."""
        found = self.methods[name].explainer(clips, targets)
        return torch.stack([e.heat for e in found])

    def maps(self, name: str, heat: Tensor) -> dict[str, Tensor]:
        """A method's rows: its map and the map's blurred copy."""
        return {name: heat, f"{name}_blurred": blurred(heat)}


def measure_batch(
    bench: Bench, clips: Tensor, *, mask: Tensor | None, limbs: Tensor | None, rerun: bool,
    settings: dict[str, Any],
) -> tuple[Measured, Tensor]:  # fmt: skip
    """Measure all rows on clips (B, 3, T, H, W); also returns the predicted classes (B,)."""
    made = Measured()
    with torch.no_grad():
        logits = bench.logits(clips)
    targets = logits.argmax(1)
    referee = Judge(
        logits=bench.logits, clips=clips, targets=targets, mask=mask, limbs=limbs,
        probabilities=bench.probabilities,
        **{"batch_size": pass_size(clips.shape[2:]), **settings},
    )  # fmt: skip
    maps: dict[str, Tensor] = {c.name: c.heat(clips) for c in bench.controls}
    for name, method in bench.methods.items():
        bench.run.reset()
        maps |= bench.maps(name, bench.heat(name, clips, targets))
        made.passes[name] = [bench.run.passes / len(clips)]
        made.needs[name] = method.needs
        if mask is not None and method.grid is not None:
            best = referee.localisation(grid_ceiling(mask, method.grid, method.tube))
            if limbs is not None:
                perfect = referee.localisation(grid_ceiling(limbs, method.grid, method.tube))
                best |= {k: v for k, v in perfect.items() if k.endswith("_limbs")}
            made.ceilings[name] = _lists(best)
    if mask is not None:
        maps[TRUTH] = mask.float()
    found = {}
    for row, heat in maps.items():
        bench.run.reset()
        found[row] = referee(heat)
        made.judging = (bench.run.passes / len(clips), float(referee.passes()))
        made.curves[row] = referee.overlap_curve(heat).tolist()
    for values in found.values():
        values |= composite(values, found["random"])
    if mask is not None:
        hidden = ~mask.flatten(1).any(1)
        found[TRUTH] = {k: v.masked_fill(hidden, torch.nan) for k, v in found[TRUTH].items()}
    if rerun:
        for row, again in _rerun(bench, clips, targets, logits.shape[1], maps).items():
            found[row] |= again
    made.rows = {row: _lists(values) for row, values in found.items()}
    return made, targets


def _lists(values: dict[str, Tensor]) -> dict[str, list[float]]:
    return {k: v.double().tolist() for k, v in values.items()}


def _rerun(
    bench: Bench, clips: Tensor, targets: Tensor, classes: int, maps: dict[str, Tensor]
) -> dict[str, dict[str, Tensor]]:
    """Max-sensitivity, parameter randomisation and the random logit of every row."""
    near = neighbours(clips, radius=0.02, samples=2)
    others = other_classes(targets, clips, classes)
    seen = (
        clips[:1].clone().requires_grad_()
    )  # or a frozen backbone keeps no gradients to be found by
    stages = top_down(bench.model, lambda: bench.model(seen).logits)
    made: dict[str, dict[str, Tensor]] = {}

    def compare(rows: dict[str, list[dict[str, Tensor]]]) -> None:
        for row in rows["near"][0]:
            heat = maps[row]
            after = [map_similarity(heat, m[row]) for m in rows["redrawn"]]
            made[row] = {
                "sensitivity": largest_change(heat, [m[row] for m in rows["near"]]),
                "randomisation": torch.stack(after).mean(0),
                "random_logit": random_logit(heat, rows["other"][0][row]),
            }

    for control in bench.controls:
        # Controls see neither model nor class.
        same = {control.name: maps[control.name]}
        moved = [{control.name: control.heat(c)} for c in near]
        compare({"near": moved, "redrawn": [same], "other": [same]})
    for name in bench.methods:

        def attribute(c: Tensor, t: Tensor, name: str = name) -> dict[str, Tensor]:
            return bench.maps(name, bench.heat(name, c, t))

        moved = [attribute(c, targets) for c in near]
        drawn = cascade(lambda name=name: bench.heat(name, clips, targets), stages)  # type: ignore[misc]
        redrawn = [bench.maps(name, heat) for heat in drawn]
        compare({"near": moved, "redrawn": redrawn, "other": [attribute(clips, others)]})
    return made
