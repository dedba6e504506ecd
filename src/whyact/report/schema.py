"""The JSON form of an explanation; `docs/explanation-schema.md` documents every key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from whyact.types import Explanation

SCHEMA_VERSION = "1.0"


def _rounded(values: Any, digits: int = 6) -> Any:
    if isinstance(values, list):
        return [_rounded(v, digits) for v in values]
    return round(values, digits) if isinstance(values, float) else values


def to_json(
    explanation: Explanation, *, source: str, classes: Sequence[str],
    probabilities: Sequence[float], times: Sequence[float], tracks: Sequence[dict[str, Any]],
) -> dict[str, Any]:  # fmt: skip
    """An explanation as JSON values.

    Args:
        source: of the clip. classes: names. probabilities: (Y,). times: of the frames, seconds.
        tracks: as `whyact.explainers.native.region_tracks` gives them.
    """
    best = sorted(zip(classes, probabilities, strict=True), key=lambda p: -p[1])[:5]
    return {
        "schema": SCHEMA_VERSION,
        "source": source,
        "method": explanation.method,
        "class": classes[explanation.target],
        "class_index": explanation.target,
        "logit": explanation.score,
        "bias": explanation.bias,
        "predicted": [{"class": n, "probability": float(p)} for n, p in best],
        "times": _rounded(list(times)),
        "frame_evidence": _rounded(explanation.frame_evidence.tolist()),
        "contributions": explanation.contributions.tolist(),
        "regions": [
            {k: _rounded(v) for k, v in track.items()} for track in tracks
        ],
        "prompt_weights": _rounded(explanation.prompt_weights.tolist(), 4),
        "path": [
            {"kind": s.kind, "from": list(s.source), "to": list(s.target), "gate": s.gate}
            for s in explanation.path
        ],
        "action_share": explanation.action_share,
        "heat_shape": list(explanation.heat.shape),
        "heat_per_frame": _rounded(explanation.heat.sum((1, 2)).tolist()),
        "completeness_gap": explanation.extra.get("completeness_gap"),
        "drops": explanation.extra.get("drops"),
    }  # fmt: skip
