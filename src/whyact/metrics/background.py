"""Background robustness: is the action still named when its background is another one?"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from whyact.metrics.summary import Summary, summarise, summarise_gap
from whyact.types import WhyactError


def contrasted_accuracy(scuba: Tensor, scufo: Tensor) -> Tensor:
    """(n,): 1 where the moving clip is right and its still frame is wrong.

    Source: Li et al., Mitigating and Evaluating Static Bias of Action Representations (ICCV 2023).

    Args:
        scuba, scufo: (n,) hits on clips before a foreign background, and on one frame of the same
            clips, tiled; in the same order.

    Raises:
        WhyactError: different numbers of clips.
    """
    if scuba.shape != scufo.shape:
        raise WhyactError(
            f"Contrasted accuracy needs both versions of the same clips, got {len(scuba)} of scuba "
            f"and {len(scufo)} of scufo."
        )
    return scuba.double() * (1 - scufo.double())


def background_robustness(hits: Mapping[str, Tensor]) -> dict[str, Summary]:
    """What the splits of a benchmark say of a model's use of the background.

    Args:
        hits: (n,) hits, 1 or 0, NaN for clips that could not be read, by split: ``iid``, ``swap``,
            ``scuba``, ``scufo``.

    Returns:
        ``swap_drop`` (accuracy on ``iid`` minus ``swap``: 0 is best), ``scuba`` (higher is better),
        ``scufo`` (chance is best) and ``contrasted`` (higher is better), as far as their splits are
        there. Clips of ``iid`` and ``swap`` are different ones; their interval says so.
    """
    made: dict[str, Summary] = {}
    if "iid" in hits and "swap" in hits:
        made["swap_drop"] = summarise_gap(hits["iid"].double(), hits["swap"].double())
    for split in ("scuba", "scufo"):
        if split in hits:
            made[split] = summarise(hits[split].double())
    if "scuba" in hits and "scufo" in hits:
        made["contrasted"] = summarise(contrasted_accuracy(hits["scuba"], hits["scufo"]))
    return made
