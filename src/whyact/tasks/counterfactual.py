"""Add to an explanation what would have changed the prediction."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from whyact.explainers.counterfactual import counterfactual, region_masks
from whyact.types import Explanation


def add_counterfactual(model: nn.Module, video: Tensor, explanation: Explanation) -> Explanation:
    """The explanation with ``extra["counterfactual"]``: see `whyact.explainers.counterfactual`.

    Regions are removed from the pixels, by blur, and the whole model runs again; so this tests the
    regions and does not read them off the contributions.

    Args:
        model: maps (B, 3, T, H, W) in [0, 1] to an `ActionOutput`.
        video: (3, T, H, W), uint8 or float in [0, 1]. explanation: of it, with regions.
    """
    if not video.is_floating_point():
        video = video.float() / 255
    size = (video.shape[1], video.shape[2], video.shape[3])
    found = counterfactual(model, video, region_masks(explanation.assignment, size))
    values = {
        "regions": None if found.regions is None else list(found.regions),
        "prediction": found.prediction, "becomes": found.becomes, "drop": found.drop,
        "exact": found.exact, "passes": found.passes, "area": found.area,
    }  # fmt: skip
    return replace(explanation, extra={**explanation.extra, "counterfactual": values})


def in_words(explanation: Explanation, classes: tuple[str, ...]) -> str:
    """One line on the counterfactual of an explanation; empty where it was not looked for."""
    found = explanation.extra.get("counterfactual")
    if found is None:
        return ""
    name = classes[found["prediction"]]
    if found["regions"] is None:
        return f"no set of regions whose removal changes '{name}' was found"
    regions = ", ".join(str(k) for k in found["regions"])
    smallest = "smallest set" if found["exact"] else "a small set, found greedily"
    return (
        f"without region {regions} ({found['area']:.0%} of the clip; {smallest}) it would be "
        f"'{classes[found['becomes']]}' and not '{name}'"
    )
