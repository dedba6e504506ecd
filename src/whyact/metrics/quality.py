"""All metrics of heat maps on a batch of clips, behind one call, with what they share made once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from whyact.metrics.composite import explainability
from whyact.metrics.faithfulness import Ends, deletion_insertion
from whyact.metrics.focus import normalised_entropy
from whyact.metrics.infidelity import infidelity, perturb
from whyact.metrics.localisation import (
    energy_pointing,
    iou_curve,
    iou_equal_area,
    pointing_game,
    rank_accuracy,
)
from whyact.metrics.road import road
from whyact.metrics.stability import backward_flow, temporal_stability
from whyact.metrics.summary import Summary, summarise, summarise_difference
from whyact.ops.fill import Fill
from whyact.ops.probability import Probabilities, one_of


@dataclass(frozen=True)
class Metric:
    """What a column of the table holds.

    Attributes:
        title: for people. better: which direction. group: of metrics; methods must beat the
            controls on ``localisation`` and ``faithfulness``, the others never rank alone.
    """

    title: str
    better: Literal["higher", "lower"]
    group: Literal["localisation", "faithfulness", "focus", "robustness", "composite"]


METRICS: Mapping[str, Metric] = {
    "pointing": Metric("pointing game", "higher", "localisation"),
    "energy": Metric("energy pointing above chance", "higher", "localisation"),
    "iou": Metric("IoU at the mask's area", "higher", "localisation"),
    "rank": Metric("rank accuracy above chance", "higher", "localisation"),
    "energy_limbs": Metric("energy pointing, acting limbs", "higher", "localisation"),
    "iou_limbs": Metric("IoU, acting limbs", "higher", "localisation"),
    "deletion_blur": Metric("deletion AUC, blur", "lower", "faithfulness"),
    "deletion_mean": Metric("deletion AUC, mean colour", "lower", "faithfulness"),
    "insertion_blur": Metric("insertion AUC, blur", "higher", "faithfulness"),
    "insertion_mean": Metric("insertion AUC, mean colour", "higher", "faithfulness"),
    "road": Metric("ROAD, most minus least relevant first", "lower", "faithfulness"),
    "infidelity": Metric("infidelity, normalised", "lower", "faithfulness"),
    "entropy": Metric("normalised entropy", "lower", "focus"),
    "temporal": Metric("stability along the optical flow", "higher", "robustness"),
    "sensitivity": Metric("max-sensitivity", "lower", "robustness"),
    "randomisation": Metric("similarity after redrawn weights", "lower", "robustness"),
    "random_logit": Metric("similarity to another class's map", "lower", "robustness"),
    "focus": Metric("score: focus", "higher", "composite"),
    "relevance": Metric("score: relevance", "higher", "composite"),
    "justification": Metric("score: justification", "higher", "composite"),
    "score": Metric("explainability score", "higher", "composite"),
}
CONTROLS = ("random", "constant", "centre_prior", "motion_magnitude")
LEAST = 8
"""Clips below which intervals over them are too narrow to be believed."""
TRUTH = "actor_mask"
"""The row of the true actor as a map: what a method that marks all of the actor would get."""
THRESHOLDS = tuple(i / 10 for i in range(1, 10))
"""Of the IoU curve, as shares of a clip's largest heat."""


def in_steps(steps: int) -> dict[str, Any]:
    """Settings of a `Judge` by the cost of its faithfulness; none for the usual 8 steps.

    Parts of infidelity grow with the steps; with fewer than 8, ROAD takes one share of the tubes,
    with fewer than 4 none.
    """
    if steps == 8:
        return {}
    fewer = {} if steps > 8 else {"fractions": (0.5,) if steps >= 4 else ()}
    return {"steps": steps, "parts": 4 * steps} | fewer


class Judge:
    """Scores any number of maps of the same clips.

    Args:
        logits: maps clips (n, 3, T, H, W) to logits (n, Y). probabilities: of logits.
        clips: (B, 3, T, H, W). targets: (B,) explained classes.
        mask: (B, T, H, W) of the actors, limbs: of the limbs that make the action; where one is
            None its metrics are N/A for all clips.
        fills, tube, steps: of deletion and insertion. fractions: of ROAD, parts: of infidelity;
            without any they are N/A for all clips.
        batch_size: clips a forward pass; it does not change results.
    """

    def __init__(
        self, *, logits: Callable[[Tensor], Tensor], clips: Tensor, targets: Tensor,
        mask: Tensor | None = None, limbs: Tensor | None = None,
        fills: tuple[Fill, ...] = ("blur", "mean"), tube: tuple[int, int, int] = (2, 8, 8),
        steps: int = 8, fractions: tuple[float, ...] = (0.25, 0.5, 0.75), parts: int = 32,
        batch_size: int = 16, probabilities: Probabilities = one_of,
    ) -> None:  # fmt: skip
        self.logits, self.clips, self.targets = logits, clips, targets
        self.probabilities = probabilities
        self.mask, self.limbs = mask, limbs
        self.fills, self.tube, self.steps = fills, tube, steps
        self.fractions, self.batch_size = fractions, batch_size
        self.ends: dict[Fill, Ends] = {}
        self.flow = backward_flow(clips)
        self.parts = (
            perturb(logits, clips, targets, count=parts, tube=tube, batch_size=batch_size)
            if parts
            else None
        )

    def passes(self) -> int:
        """Forward passes a clip that `faithfulness` needs for each map after the first."""
        return 2 * (self.steps - 1) * len(self.fills) + 2 * len(self.fractions)

    def localisation(self, heat: Tensor) -> dict[str, Tensor]:
        """(B,) of every metric of localisation; NaN where there is no mask."""
        none = torch.full((len(heat),), torch.nan, dtype=torch.float64)
        made = dict.fromkeys((k for k, m in METRICS.items() if m.group == "localisation"), none)
        if self.mask is not None:
            made["pointing"] = pointing_game(heat, self.mask)
            made["energy"] = energy_pointing(heat, self.mask)
            made["iou"] = iou_equal_area(heat, self.mask)
            made["rank"] = rank_accuracy(heat, self.mask)
        if self.limbs is not None:
            made["energy_limbs"] = energy_pointing(heat, self.limbs)
            made["iou_limbs"] = iou_equal_area(heat, self.limbs)
        return made

    def overlap_curve(self, heat: Tensor) -> Tensor:
        """IoU at `THRESHOLDS`, (B, n); NaN where there is no mask."""
        if self.mask is None:
            return torch.full((len(heat), len(THRESHOLDS)), torch.nan, dtype=torch.float64)
        return iou_curve(heat, self.mask, torch.tensor(THRESHOLDS))

    def faithfulness(self, heat: Tensor) -> dict[str, Tensor]:
        """(B,) of every metric of faithfulness."""
        made: dict[str, Tensor] = {}
        for curves in deletion_insertion(
            lambda x: self.probabilities(self.logits(x)), self.clips, heat, self.targets,
            fills=self.fills, tube=self.tube, steps=self.steps, batch_size=self.batch_size,
            ends=self.ends,
        ):  # fmt: skip
            made[f"deletion_{curves.fill}"] = curves.deletion_auc
            made[f"insertion_{curves.fill}"] = curves.insertion_auc
        made["road"] = torch.full((len(heat),), torch.nan, dtype=torch.float64)
        if self.fractions:
            made["road"] = road(
                self.logits, self.clips, heat, self.targets, fractions=self.fractions,
                tube=self.tube,
                batch_size=max(1, self.batch_size // 2),  # imputation is faster on fewer
            ).gap  # fmt: skip
        made["infidelity"] = (
            infidelity(heat, self.parts) if self.parts else torch.full_like(made["road"], torch.nan)
        )
        return made

    def __call__(self, heat: Tensor) -> dict[str, Tensor]:
        """(B,) of every metric that needs no other map and no explainer.

        Args:
            heat: (B, T, H, W), non-negative.
        """
        return {
            **self.localisation(heat),
            **self.faithfulness(heat),
            "entropy": normalised_entropy(heat),
            "temporal": temporal_stability(heat, self.flow),
        }


def insertion_minus_deletion(values: Mapping[str, Tensor]) -> Tensor:
    """(n,): mean over the fill-ins."""
    fills = [k.removeprefix("deletion_") for k in values if k.startswith("deletion_")]
    gaps = [values[f"insertion_{f}"] - values[f"deletion_{f}"] for f in fills]
    return torch.stack(gaps).mean(0)


def composite(values: Mapping[str, Tensor], random: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The explainability score of a map with its parts, (n,) each, from its other metrics.

    Args:
        values: of the map. random: of the random map on the same clips.
    """
    made = explainability(
        values["entropy"], values["energy"], insertion_minus_deletion(values),
        insertion_minus_deletion(random),
    )  # fmt: skip
    return {
        "focus": made.focus, "relevance": made.relevance, "justification": made.justification,
        "score": made.score,
    }  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """How a method stands against the controls on one metric.

    Attributes:
        not_beaten: controls that it does not beat: the interval of the difference over the same
            clips is not above 0. worse_than_blurred: its own blurred copy is better beyond the
            interval. undefined: there were fewer than `LEAST` clips to compare.
    """

    not_beaten: tuple[str, ...]
    worse_than_blurred: bool
    undefined: bool


def judge(rows: Mapping[str, Mapping[str, Tensor]], method: str) -> dict[str, Verdict]:
    """Compare a method with the four controls and its blurred copy, clip by clip.

    Args:
        rows: values (n,) of every metric, by row; the controls of `CONTROLS` and
            ``<method>_blurred`` among them. method: a row.
    """
    made = {}
    for name, metric in METRICS.items():
        if metric.group not in ("localisation", "faithfulness"):
            continue
        sign = 1 if metric.better == "higher" else -1

        def ahead(other: str, name: str = name, sign: int = sign) -> Summary:
            return summarise_difference(sign * rows[method][name], sign * rows[other][name])

        gaps = {c: ahead(c) for c in CONTROLS}
        few = all(g.clips < LEAST for g in gaps.values())
        blurred = ahead(f"{method}_blurred")
        made[name] = Verdict(
            tuple(c for c, g in gaps.items() if g.low is not None and g.low <= 0 and not few),
            blurred.high is not None and blurred.high < 0 and not few,
            few,
        )
    return made


def summaries(values: Mapping[str, Tensor]) -> dict[str, Summary]:
    """Mean, interval and counts of every metric of a row."""
    return {name: summarise(v) for name, v in values.items()}
