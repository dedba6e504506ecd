"""The JSON form of an explanation; `docs/explanation-schema.md` documents every key."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from whyact.report.media import frames_of_sprite, pack, sprite, unpack
from whyact.report.overlay import MAX_REGIONS, frames_of
from whyact.types import Explanation, Step, WhyactError

SCHEMA_VERSION = "1.5"
"""The first number changes when a reader of the last version would fail, the second otherwise."""

MEDIA_SIDE = 64
"""Largest side of a stored heat map; maps are smooth, and pages enlarge them."""

KEYS: Mapping[str, type | tuple[type, ...]] = {
    "schema": str, "source": str, "method": str, "class": str, "class_index": int,
    "logit": float, "bias": float, "predicted": list, "times": list, "frame_evidence": list,
    "intervals": (list, type(None)),
    "contributions": list, "cells": list, "constant": (float, type(None)), "regions": list,
    "prompt_weights": list, "path": list,
    "action_share": (float, type(None)), "drops": (dict, type(None)),
    "mask": (str, type(None)), "heat_shape": list, "heat_per_frame": list,
    "completeness_gap": (float, type(None)), "counterfactual": (dict, type(None)),
    "truth": (str, type(None)), "tests": (dict, type(None)), "media": (dict, type(None)),
}  # fmt: skip


def _rounded(values: Any, digits: int = 6) -> Any:
    if isinstance(values, dict):
        return {k: _rounded(v, digits) for k, v in values.items()}
    if isinstance(values, list):
        return [_rounded(v, digits) for v in values]
    return round(values, digits) if isinstance(values, float) else values


def to_json(
    explanation: Explanation, *, source: str, classes: Sequence[str],
    probabilities: Sequence[float], times: Sequence[float], tracks: Sequence[dict[str, Any]],
    truth: str | None = None, video: Tensor | None = None,
) -> dict[str, Any]:  # fmt: skip
    """An explanation as JSON values.

    Args:
        explanation: of a clip.
        source: of the clip. classes: names. probabilities: (Y,). times: of the frames, seconds.
        tracks: as `whyact.explainers.native.region_tracks` gives them.
        truth: the clip's true class, where it is known. video: (3, T, H, W), for ``media``.
    """
    best = sorted(zip(classes, probabilities, strict=True), key=lambda p: -p[1])[:5]
    regions = explanation.assignment.shape[1]
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
        "intervals": _rounded(_intervals(explanation, times)),
        "contributions": explanation.contributions.tolist(),
        "cells": explanation.cells.tolist(),
        "constant": explanation.extra.get("constant"),
        "regions": [{k: _rounded(v) for k, v in track.items()} for track in tracks],
        "prompt_weights": _rounded(explanation.prompt_weights.tolist(), 4),
        "path": [_step(s, regions) for s in explanation.path],
        "action_share": explanation.action_share,
        "drops": explanation.extra.get("drops"),
        "mask": explanation.extra.get("mask"),
        "heat_shape": list(explanation.heat.shape),
        "heat_per_frame": _rounded(explanation.heat.sum((1, 2)).tolist()),
        "completeness_gap": explanation.extra.get("completeness_gap"),
        "counterfactual": _counterfactual(explanation, classes),
        "truth": truth,
        "tests": _rounded(explanation.extra.get("tests")),
        "media": None if video is None else _media(explanation, video),
    }


def _intervals(explanation: Explanation, times: Sequence[float]) -> list[dict[str, float]] | None:
    """Where the evidence is high, in seconds; None where times are unknown or start over."""
    when = explanation.extra.get("when")
    if when is None or not len(times) or list(times) != sorted(times):
        return None
    # A step lasts from half way to the one before to half way to the next, also at the ends.
    at = np.asarray(times)
    half = np.diff(at) / 2 if len(at) > 1 else np.zeros(1)
    edges = np.concatenate([at[:1] - half[:1], at[:-1] + np.diff(at) / 2, at[-1:] + half[-1:]])
    shares = np.linspace(0, 1, len(edges))
    spans = np.interp(when, shares, edges.clip(min=0)).reshape(-1, 2).tolist()
    return [{"start": start, "stop": stop} for start, stop in spans]


def _media(explanation: Explanation, video: Tensor) -> dict[str, Any]:
    """The frames, the heat map and the regions, small enough for a page."""
    heat = explanation.heat[None].float()
    height, width = heat.shape[-2:]
    small = F.adaptive_avg_pool2d(heat, (min(height, MEDIA_SIDE), min(width, MEDIA_SIDE)))[0]
    top = float(small.flatten().quantile(0.995)) or float(small.max())
    regions = 1 < explanation.assignment.shape[1] <= MAX_REGIONS
    return {
        "frames": sprite(frames_of(video)),
        "heat": pack(small, top),
        "regions": pack(explanation.assignment, 1.0) if regions else None,
    }


def _counterfactual(explanation: Explanation, classes: Sequence[str]) -> dict[str, Any] | None:
    found = explanation.extra.get("counterfactual")
    if found is None:
        return None
    becomes = None if found["becomes"] is None else classes[found["becomes"]]
    return {**found, "prediction": classes[found["prediction"]], "becomes": becomes}


def _step(step: Step, regions: int) -> dict[str, Any]:
    def node(place: tuple[int, int]) -> dict[str, Any]:
        t, i = place
        kind, index = ("region", i) if i < regions else ("prompt", i - regions)
        return {"step": t, "node": kind, "index": index}

    return {
        "kind": step.kind, "from": node(step.source), "to": node(step.target), "gate": step.gate,
    }  # fmt: skip


def read_explanation(values: Mapping[str, Any]) -> Explanation:
    """The explanation that `to_json` wrote, as far as its JSON keeps it.

    Args:
        values: valid, with ``media``.

    Raises:
        WhyactError: no ``media``, as in files of schema 1.2 and below.
    """
    media = _media_of(values)
    steps, regions = len(values["contributions"]), len(values["regions"])
    size = values["heat_shape"][1:]
    prompts, cells = values["prompt_weights"], media["regions"]
    return Explanation(
        method=values["method"], target=values["class_index"], score=values["logit"],
        heat=F.interpolate(unpack(media["heat"])[None], size, mode="bilinear")[0],
        frame_evidence=torch.tensor(values["frame_evidence"]),
        contributions=torch.tensor(values["contributions"]).reshape(steps, regions),
        bias=values["bias"],
        cells=torch.tensor(values["cells"]) if values["cells"] else torch.empty(0, 0, 0),
        assignment=unpack(cells) if cells else torch.empty(0, 0, 0, 0),
        prompt_weights=torch.tensor(prompts) if prompts else torch.empty(0, 0, 0),
        path=tuple(_read_step(s, regions) for s in values["path"]),
        action_share=values["action_share"],
    )  # fmt: skip


def read_video(values: Mapping[str, Any]) -> Tensor:
    """The clip (3, T, H, W) uint8 of an explanation's JSON; errors as of `read_explanation`."""
    frames = frames_of_sprite(_media_of(values)["frames"])
    return torch.from_numpy(frames.copy()).permute(3, 0, 1, 2)


def _media_of(values: Mapping[str, Any]) -> Mapping[str, Any]:
    if values.get("media") is None:
        raise WhyactError(
            "The explanation holds no pictures ('media'); explain the clip anew with this version."
        )
    media: Mapping[str, Any] = values["media"]
    return media


def _read_step(values: Mapping[str, Any], regions: int) -> Step:
    def node(place: Mapping[str, Any]) -> tuple[int, int]:
        return place["step"], place["index"] + (regions if place["node"] == "prompt" else 0)

    return Step(values["kind"], node(values["from"]), node(values["to"]), values["gate"])


def validate(values: Mapping[str, Any]) -> None:
    """Check that values are an explanation of this version of the schema.

    Raises:
        WhyactError: another version, a key that is missing, unknown or of another type, or numbers
            that contradict each other. It names the key.
    """
    version = str(values.get("schema", "none"))
    if version.split(".")[0] != SCHEMA_VERSION.split(".")[0]:
        raise WhyactError(
            f"Expected an explanation of schema {SCHEMA_VERSION}, got {version}; read it with the "
            "version of whyact that wrote it."
        )
    for key, kind in KEYS.items():
        if key not in values:
            anew = (
                "" if version == SCHEMA_VERSION else f" (schema {version}); explain the clip anew"
            )
            raise WhyactError(f"The explanation has no key '{key}'{anew}.")
        if not isinstance(values[key], kind) or isinstance(values[key], bool):
            raise WhyactError(
                f"The explanation's '{key}' is of type {type(values[key]).__name__}; "
                "see docs/explanation-schema.md."
            )
    unknown = sorted(set(values) - set(KEYS))
    if unknown and version == SCHEMA_VERSION:
        raise WhyactError(f"The explanation has an unknown key '{unknown[0]}'.")
    _check_numbers(values)


def _numbers(values: Any) -> list[float]:
    """All numbers of nested lists."""
    return [n for v in values for n in _numbers(v)] if isinstance(values, list) else [values]


def _check_numbers(values: Mapping[str, Any]) -> None:
    rows = values["contributions"]
    for key in ("contributions", "cells"):
        numbers = _numbers(values[key])
        total = math.fsum(numbers) + values["bias"]
        if numbers and abs(total - values["logit"]) > 1e-4 * max(1.0, abs(values["logit"])):
            raise WhyactError(
                f"'{key}' and 'bias' add up to {total:.6f}, but 'logit' is {values['logit']:.6f}."
            )
    if rows and rows[0] and len(values["regions"]) not in (0, len(rows[0])):
        raise WhyactError(
            f"'regions' has {len(values['regions'])} entries for {len(rows[0])} contributions."
        )
    share = values["action_share"]
    if share is not None and not 0 <= share <= 1:
        raise WhyactError(f"'action_share' must be in [0, 1], but it is {share}.")
    if len(values["heat_per_frame"]) != values["heat_shape"][0]:
        raise WhyactError("'heat_per_frame' must have one number a frame of 'heat_shape'.")
