"""The JSON form: complete, valid JSON, documented, and checked."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.report.toy_explanation import toy_explanation, toy_values

from whyact.report.schema import (
    KEYS,
    SCHEMA_VERSION,
    read_explanation,
    read_video,
    to_json,
    validate,
)
from whyact.types import Explanation, Step, WhyactError

DOCUMENT = Path(__file__).parents[2] / "docs" / "explanation-schema.md"


def explanation() -> Explanation:
    """Two steps, two regions, one prompt, a path of one edge."""
    contributions = torch.tensor([[1.0, -0.5], [0.25, 0.0]])
    return Explanation(
        method="native", target=1, heat=torch.ones(2, 3, 4), score=1.25, bias=0.5,
        cells=torch.tensor([[[1.0, -0.25]], [[0.0, 0.0]]]),
        frame_evidence=torch.tensor([1.5, 1.0]), contributions=contributions,
        assignment=torch.full((2, 2, 1, 2), 0.5), prompt_weights=torch.full((2, 1, 3), 1 / 3),
        path=(Step("prompt_to_region", (0, 2), (0, 1), 0.75),), action_share=0.8,
        extra={"completeness_gap": 0.0, "constant": 0.25, "mask": "motion",
               "drops": {"actor": 0.8, "background": 0.2}},
    )  # fmt: skip


def values(e: Explanation | None = None) -> dict[str, Any]:
    tracks = [{"region": k, "x": [0.1234567891] * 2} for k in range(2)]
    return to_json(
        e or explanation(), source="a.mp4", classes=["wave", "kick"], probabilities=[0.25, 0.75],
        times=[0.0, 0.04], tracks=tracks,
    )  # fmt: skip


def test_values() -> None:
    v = values()
    assert v["schema"] == SCHEMA_VERSION and v["class"] == "kick" and v["class_index"] == 1
    assert v["predicted"] == [
        {"class": "kick", "probability": 0.75}, {"class": "wave", "probability": 0.25},
    ]  # fmt: skip
    assert v["contributions"] == [[1.0, -0.5], [0.25, 0.0]]
    assert v["cells"] == [[[1.0, -0.25]], [[0.0, 0.0]]]
    assert v["path"] == [
        {
            "kind": "prompt_to_region", "gate": 0.75,
            "from": {"step": 0, "node": "prompt", "index": 0},
            "to": {"step": 0, "node": "region", "index": 1},
        }
    ]  # fmt: skip
    assert v["heat_shape"] == [2, 3, 4] and v["heat_per_frame"] == [12.0, 12.0]
    assert v["regions"][0]["x"] == [0.123457] * 2
    assert v["drops"] == {"actor": 0.8, "background": 0.2}


def test_a_round_trip_through_json_is_valid() -> None:
    validate(json.loads(json.dumps(values(), allow_nan=False)))
    bare = Explanation(method="grad_cam", target=0, heat=torch.zeros(2, 3, 4), score=0.5)
    v = to_json(bare, source="", classes=["a"], probabilities=[1.0], times=(), tracks=())
    validate(json.loads(json.dumps(v, allow_nan=False)))
    assert v["action_share"] is None and v["path"] == [] and v["times"] == []


@pytest.mark.parametrize("key", KEYS)
def test_every_key_is_written_documented_and_needed(key: str) -> None:
    assert list(values()) == list(KEYS)
    assert f"`{key}`" in DOCUMENT.read_text(encoding="utf-8")
    missing = values()
    del missing[key]
    with pytest.raises(WhyactError, match="schema 1.5, got none" if key == "schema" else key):
        validate(missing)
    wrong = values() | {key: object()}
    with pytest.raises(WhyactError, match="got <obj" if key == "schema" else f"'{key}' is of type"):
        validate(wrong)


def test_the_document_names_this_version() -> None:
    assert f"This page is for version {SCHEMA_VERSION};" in DOCUMENT.read_text(encoding="utf-8")


def test_versions() -> None:
    with pytest.raises(WhyactError, match=r"schema 1\.5, got 2\.0"):
        validate(values() | {"schema": "2.0"})
    validate(values() | {"schema": "1.9", "something_new": 1})
    old = values() | {"schema": "1.3"}
    del old["cells"]
    with pytest.raises(WhyactError, match=r"no key 'cells' \(schema 1\.3\); explain"):
        validate(old)
    with pytest.raises(WhyactError, match="unknown key 'something_new'"):
        validate(values() | {"something_new": 1})


def test_a_counterfactual_has_names_of_classes() -> None:
    found = {
        "regions": [1], "prediction": 1, "becomes": 0, "drop": 0.5, "exact": True, "passes": 3,
        "area": 0.25,
    }  # fmt: skip
    e = explanation()
    v = values(replace(e, extra={**e.extra, "counterfactual": found}))
    validate(v)
    assert v["counterfactual"] == found | {"prediction": "kick", "becomes": "wave"}
    found |= {"regions": None, "becomes": None}
    v = values(replace(e, extra={**e.extra, "counterfactual": found}))
    assert v["counterfactual"]["becomes"] is None and v["counterfactual"]["regions"] is None
    assert values()["counterfactual"] is None


def test_an_explanation_comes_back_from_its_json() -> None:
    first, *_ = toy_values(truth="kick")
    validate(json.loads(json.dumps(first, allow_nan=False)))
    assert first["truth"] == "kick"
    back, given = read_explanation(first), toy_explanation()
    assert back.path == given.path and back.target == 0 and back.bias == 0.5
    assert torch.equal(back.assignment, given.assignment)
    assert torch.allclose(back.contributions, given.contributions)
    assert torch.allclose(back.prompt_weights, given.prompt_weights)
    top = float(given.heat.flatten().quantile(0.995))
    assert torch.allclose(back.heat, given.heat.clamp_max(top), atol=top / 500)
    video = read_video(first)
    assert (
        video.shape == (3, 4, 32, 32) and (video[0, :, 0, 0] - 60 * torch.arange(4)).abs().max() < 4
    )


def test_without_pictures_there_is_nothing_to_show() -> None:
    with pytest.raises(WhyactError, match="holds no pictures"):
        read_explanation(values())


def test_large_heat_and_single_cells_are_stored_small() -> None:
    e = replace(explanation(), heat=torch.ones(2, 96, 128), assignment=torch.ones(2, 64, 1, 2) / 64)
    media = to_json(
        e, source="", classes=["a", "b"], probabilities=[0.5, 0.5], times=(), tracks=(),
        video=torch.zeros(3, 2, 96, 128),
    )["media"]  # fmt: skip
    assert media["heat"]["shape"] == [2, 64, 64] and media["regions"] is None


def test_numbers_that_contradict_each_other() -> None:
    with pytest.raises(WhyactError, match=r"add up to 1\.250000, but 'logit' is 1\.350000"):
        validate(values(replace(explanation(), score=1.35)))
    with pytest.raises(WhyactError, match=r"'cells' and 'bias' add up to 1\.500000, but"):
        validate(values(replace(explanation(), cells=torch.ones(1, 1, 1))))
    with pytest.raises(WhyactError, match=r"'action_share' must be in \[0, 1\], but it is 1\.5"):
        validate(values() | {"action_share": 1.5})
    with pytest.raises(WhyactError, match="one number a frame"):
        validate(values() | {"heat_per_frame": [1.0]})
    fewer = copy.deepcopy(values())
    del fewer["regions"][0]
    with pytest.raises(WhyactError, match="'regions' has 1 entries for 2 contributions"):
        validate(fewer)


def test_intervals_are_in_seconds_half_way_between_frames() -> None:
    e = replace(explanation(), extra={"when": [[0.0, 0.25], [0.5, 1.0]]})

    def told(times: list[float]) -> Any:
        return to_json(
            e, source="", classes=["a", "b"], probabilities=[0.5, 0.5], times=times, tracks=()
        )["intervals"]

    assert told([0.0, 1.0, 2.0, 4.0]) == [
        {"start": 0.0, "stop": 0.5}, {"start": 1.5, "stop": 5.0}
    ]  # fmt: skip
    assert told([]) is None and told([0.0, 1.0, 0.0, 1.0]) is None  # unknown; looped
    assert values()["intervals"] is None
