"""A made-up clip of four frames with explanations of three classes, known to the last number."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from whyact.explainers.native import region_tracks, upsample
from whyact.report.schema import to_json
from whyact.types import Explanation, Step

CLASSES = ("wave", "kick", "sit down")
CHANCES = (0.7, 0.2, 0.1)
EVIDENCE = ((2.0, 0.0), (6.0, 2.0), (1.0, -1.0), (1.0, 1.0))
"""Of both regions in each frame, times 1/4; region 0 is the left half, region 1 the right."""


def toy_results(native: float, best: float) -> dict[str, Any]:
    """Test results with these gaps of insertion and deletion, of the map and its best rival."""
    maps = {"native": native, "random": 0.0, "centre_prior": best, "motion_magnitude": best / 2}

    def curve(gap: float, sign: int) -> list[float]:
        return [0.8, 0.45 - sign * gap / 2, 0.1] if sign > 0 else [0.1, 0.45 + gap / 2, 0.8]

    curves = [
        {
            "fill": fill, "fractions": [0.0, 0.5, 1.0],
            "deletion": {k: curve(v, 1) for k, v in maps.items()},
            "insertion": {k: curve(v, -1) for k, v in maps.items()},
        }
        for fill in ("blur", "mean")
    ]  # fmt: skip
    stability = {"flow": 0.8, "noise": 0.1}
    return {"maps": list(maps), "curves": curves, "gap": maps, "stability": stability}


def toy_explanation(target: int = 0, *, sign: float = 1.0) -> Explanation:
    """Of one class; ``sign`` turns the evidence around."""
    contributions = sign * torch.tensor(EVIDENCE) / 4
    assignment = torch.zeros(4, 2, 4, 4)
    assignment[:, 0, :, :2], assignment[:, 1, :, 2:] = 1, 1
    cells = (contributions.relu()[:, :, None, None] * assignment / 8).sum(1)
    prompts = torch.tensor([[0.7, 0.2, 0.1]]).expand(4, 1, 3)
    return Explanation(
        method="native", target=target, heat=upsample(cells[None], (4, 32, 32))[0],
        score=float(contributions.sum()) + 0.5, bias=0.5,
        frame_evidence=4 * contributions.sum(1) + 0.5, contributions=contributions,
        assignment=assignment, prompt_weights=prompts,
        path=(Step("prompt_to_region", (1, 2), (1, 1), 0.5), Step("temporal", (1, 1), (2, 0), 0.9)),
        action_share=0.8,
        extra={
            "completeness_gap": 1e-7, "drops": {"actor": 2.0, "background": 0.5}, "mask": "given",
        },
    )  # fmt: skip


def toy_video() -> torch.Tensor:
    """(3, 4, 32, 32): frame t is grey of 60 t."""
    return (60 * torch.arange(4)).byte().view(1, 4, 1, 1).expand(3, 4, 32, 32)


def toy_values(
    *, classes: tuple[str, ...] = CLASSES, source: str = "clip.mp4", truth: str | None = None,
    results: dict[str, Any] | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """JSON values of all three classes; the first is tested where ``results`` are given."""
    made = []
    for k, sign in enumerate((1.0, 0.5, -1.0)):
        e = toy_explanation(k, sign=sign)
        if k == 0 and results is not None:
            e = replace(e, extra={**e.extra, "tests": results})
        made.append(
            to_json(
                e, source=source, classes=classes, probabilities=CHANCES,
                times=[0.0, 0.25, 0.5, 0.75], tracks=region_tracks(e), truth=truth,
                video=toy_video(),
            )
        )  # fmt: skip
    return made
