"""Verdicts from values that are written by hand."""

import pytest
import torch
from torch import Tensor

from whyact.metrics.infidelity import infidelity, perturb
from whyact.metrics.quality import (
    CONTROLS,
    METRICS,
    Judge,
    composite,
    insertion_minus_deletion,
    judge,
    summaries,
)


def rows(**given: float) -> dict[str, dict[str, Tensor]]:
    """Every row has 0.5 on every metric, plus a little of each clip's own, but for the given."""
    wave = 0.01 * torch.sin(torch.arange(40.0)).double()
    made = {}
    for row in (*CONTROLS, "native", "native_blurred"):
        made[row] = {name: 0.5 + given.get(row, 0.0) + wave for name in METRICS}
    return made


def test_better_on_every_metric_is_a_matter_of_direction() -> None:
    found = judge(rows(native=0.2), "native")
    for name, verdict in found.items():
        higher = METRICS[name].better == "higher"
        assert verdict.not_beaten == (() if higher else CONTROLS)
        assert verdict.worse_than_blurred is not higher
        assert not verdict.undefined
    assert set(found) == {
        n for n, m in METRICS.items() if m.group in ("localisation", "faithfulness")
    }


def test_a_tie_is_not_beaten_and_not_worse() -> None:
    verdict = judge(rows(), "native")["energy"]
    assert verdict.not_beaten == CONTROLS and not verdict.worse_than_blurred
    one = judge(rows(native=0.1, motion_magnitude=0.3), "native")["energy"]
    assert one.not_beaten == ("motion_magnitude",)


def test_a_lead_within_its_interval_counts_neither_way() -> None:
    """Gaps of 1 in 22 clips and -1 in 18: 0.1 on average, with a standard error of 0.16."""
    gaps = torch.tensor([1.0] * 22 + [-1.0] * 18).double()
    values = rows(constant=-0.1, centre_prior=-0.1, motion_magnitude=-0.1)
    values["random"]["energy"] -= gaps
    values["native_blurred"]["energy"] += gaps
    verdict = judge(values, "native")["energy"]
    # The others are behind by 0.1 in every clip.
    assert verdict.not_beaten == ("random",) and not verdict.worse_than_blurred


def test_undefined_values_give_no_verdict() -> None:
    values = rows(native=0.2)
    for row in values.values():
        row["iou_limbs"] = torch.full((40,), float("nan")).double()
    verdict = judge(values, "native")["iou_limbs"]
    assert verdict.undefined and not verdict.not_beaten and not verdict.worse_than_blurred
    assert summaries(values["native"])["iou_limbs"].undefined == 40


def test_the_score_reads_both_fills() -> None:
    values = {
        "entropy": torch.tensor([0.6]), "energy": torch.tensor([0.3]),
        "deletion_blur": torch.tensor([0.2]), "insertion_blur": torch.tensor([0.8]),
        "deletion_mean": torch.tensor([0.4]), "insertion_mean": torch.tensor([0.6]),
    }  # fmt: skip
    assert float(insertion_minus_deletion(values)) == pytest.approx(0.4)
    random = {**values, "insertion_blur": torch.tensor([0.2])}
    made = composite(values, random)
    assert float(made["justification"]) == pytest.approx(0.3)
    assert float(made["score"]) == pytest.approx((0.4 + 0.3 + 0.3) / 3)


def test_infidelity_is_of_random_parts_or_not_measured() -> None:
    clips = torch.rand(2, 3, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    targets, heat = torch.tensor([0, 1]), clips.mean(1)

    def logits(x: Tensor) -> Tensor:
        left, right = x.chunk(2, -1)
        return torch.stack([left.mean((1, 2, 3, 4)), right.mean((1, 2, 3, 4))], 1)

    asked = {"logits": logits, "clips": clips, "targets": targets, "steps": 2, "fractions": ()}
    found = Judge(**asked, parts=4)(heat)["infidelity"]
    assert torch.equal(found, infidelity(heat, perturb(logits, clips, targets, count=4)))
    assert bool(found.gt(0).all()) and bool(
        Judge(**asked, parts=0)(heat)["infidelity"].isnan().all()
    )
