"""The tests of one explanation: a map of what the model reads passes, one of the rest does not."""

import math
from dataclasses import replace

import pytest
import torch
from tests.toys import ToyModel
from torch import Tensor, nn

from whyact.tasks.explanation_tests import DRAWS, add_tests
from whyact.types import ActionOutput, Explanation


class Corner(nn.Module):
    """Class 0 is there where the upper left quarter is bright."""

    def __init__(self) -> None:
        super().__init__()
        self.toy = ToyModel(classes=2)
        self.passes = 0

    def forward(self, x: Tensor, traced: bool = False) -> ActionOutput:
        self.passes += len(x)
        bright = 8 * x[..., :16, :16].mean((1, 2, 3, 4)) - 4
        return replace(self.toy(x, traced), logits=torch.stack([bright, -bright], 1))


def clip() -> Tensor:
    video = torch.zeros(3, 4, 32, 32)
    video[..., :16, :16] = 1
    return video


def explained(*, right: bool) -> Explanation:
    heat = torch.zeros(4, 32, 32)
    heat[:, :16, :16] = 1
    return Explanation(method="native", target=0, heat=heat if right else 1 - heat, score=4.0)


def test_the_right_map_beats_the_controls_and_the_wrong_one_does_not() -> None:
    model = Corner()
    good = add_tests(model, clip(), explained(right=True), steps=8).extra["tests"]
    assert model.passes == (4 + DRAWS - 1) * 2 * 16 + 4
    bad = add_tests(model, clip(), explained(right=False)).extra["tests"]
    rivals = [v for k, v in good["gap"].items() if k != "native"]
    assert good["gap"]["native"] > max(rivals) + 0.1
    assert bad["gap"]["native"] < min(v for k, v in bad["gap"].items() if k != "native")
    assert good["maps"] == ["native", "random", "centre_prior", "motion_magnitude"]
    (blur, mean) = good["curves"]
    assert (blur["fill"], mean["fill"]) == ("blur", "mean")
    # A quarter of the tubes holds everything: by then deletion is done.
    at = mean["fractions"].index(0.25)
    assert mean["deletion"]["native"][0] == pytest.approx(1 / (1 + math.exp(-8)), abs=1e-4)
    assert mean["deletion"]["native"][at] == pytest.approx(mean["deletion"]["native"][-1], abs=1e-3)
    assert mean["insertion"]["native"] == pytest.approx(
        [*mean["insertion"]["native"][:at], *[mean["deletion"]["native"][0]] * 7], abs=1e-3
    )


def test_several_labels_have_probabilities_of_their_own() -> None:
    one = add_tests(Corner(), clip(), explained(right=True), probabilities=torch.sigmoid).extra[
        "tests"
    ]
    start = one["curves"][0]["deletion"]["native"][0]
    assert start == pytest.approx(1 / (1 + math.exp(-4)), abs=1e-4)


def test_what_is_undefined_is_none() -> None:
    flat = replace(explained(right=True), heat=torch.zeros(4, 32, 32))
    assert add_tests(Corner(), clip(), flat).extra["tests"]["stability"] == {
        "flow": None, "noise": None,
    }  # fmt: skip
