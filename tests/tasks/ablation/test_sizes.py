"""Parameters, operations, memory and time of models."""

from __future__ import annotations

import copy
import subprocess
import sys
import time

import pytest
import torch

from whyact.config import BackboneConfig, Config, DynamicPromptsConfig, ModelConfig
from whyact.models.builders import build_model
from whyact.tasks.ablation.costs import (
    count_flops,
    interleaved,
    peak_memory,
    ratio,
)
from whyact.tasks.ablation.matching import Sizes, count_parameters, match_parameters, resized
from whyact.types import WhyactError

SIZES = Sizes(classes=5, scenes=3)


def test_parameters_are_those_of_the_network():
    model = build_model(ModelConfig(), classes=5, scenes=3)
    assert count_parameters(ModelConfig(), SIZES) == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("model", "setting"),
    [
        (ModelConfig(type="pooled", backbone=BackboneConfig(width=32)), "model.backbone.width"),
        (ModelConfig(dynamic_prompts=DynamicPromptsConfig(type="none")), "model.backbone.width"),
        (
            ModelConfig(type="cnn3d", backbone=BackboneConfig(type="narrow_r3d_18", width=16)),
            "model.backbone.width",
        ),
        (ModelConfig(backbone=BackboneConfig(type="resnet18")), "model.code_width"),
    ],
    ids=["pooled", "no prompts", "3-D", "resnet18"],
)
@pytest.mark.parametrize("target", [350_000, 11_600_000])
def test_the_nearest_width_is_found(model, setting, target):
    config = Config(name="mine", model=copy.deepcopy(model))
    match = match_parameters(config, SIZES, target)
    assert match.setting == setting and match.target == target

    def count(width: int) -> int:
        return count_parameters(resized(config, setting, width).model, SIZES)

    width = match.after
    assert match.parameters == count(width)
    assert match.miss == pytest.approx(match.parameters / target - 1)
    smallest = width == (8 if "backbone" in setting else 64)
    beside = [abs(count(w) - target) for w in (width + 1, width - (not smallest))]
    assert abs(match.parameters - target) <= min(beside)
    assert smallest or abs(match.miss) < 0.06
    assert config.model == model  # the given one stays as it is
    assert match.before == {"width": model.backbone.width, "code_width": 64}[setting.split(".")[-1]]


def test_a_model_without_a_width_cannot_be_matched():
    config = Config(name="mine", model=ModelConfig(type="cnn3d"))
    config.model.backbone.type = "r3d_18"
    with pytest.raises(WhyactError, match=r"mine: a cnn3d model with the backbone 'r3d_18' has no"):
        match_parameters(config, SIZES, 1000)


def test_operations_by_hand():
    """Of the linear layer, and of an LSTM, which a CPU runs in one piece."""
    pooled = ModelConfig(type="pooled", backbone=BackboneConfig(width=16))
    other = Sizes(classes=8, scenes=3)
    frames, cells = 4, 4 * 4  # 32 pixels, stride 8
    more = count_flops(pooled, other, frames, 32) - count_flops(pooled, SIZES, frames, 32)
    assert more == 2 * 16 * 3 * frames * cells  # classified cell by cell
    lstm = ModelConfig(type="cnn_lstm", backbone=BackboneConfig(width=16))
    gates, read = 4 * 128, 128 * 5 - 16 * 5 * cells  # its classifier reads frames, not cells
    more = count_flops(lstm, SIZES, frames, 32) - count_flops(pooled, SIZES, frames, 32)
    assert more == 2 * frames * (gates * (16 + 128) + read)


def test_memory_of_a_call():
    """In a fresh process, as an old one serves it from what it has freed.

    The peak of the first call doesn't hide what the second adds.
    """
    if peak_memory(torch.device("cpu")) is None:
        pytest.skip("no /proc here")
    size = 64 << 20
    script = f"""
import torch
from whyact.tasks.ablation.costs import forward_memory
for _ in range(2):
    print(forward_memory(lambda: torch.ones({size}, dtype=torch.uint8), torch.device("cpu")))
"""
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True
    )
    for raised in map(int, said.stdout.split()):
        assert 0.9 * size <= raised <= 1.5 * size


def test_jobs_take_turns():
    called: list[str] = []

    def job(name: str, seconds: float):
        def run() -> None:
            called.append(name)
            time.sleep(seconds)

        return run

    seconds = interleaved({"a": job("a", 0.0), "b": job("b", 0.02)}, rounds=3)
    assert called == ["a", "b"] * 4  # once beforehand
    assert len(seconds["a"]) == len(seconds["b"]) == 3 and min(seconds["b"]) >= 0.02


def test_the_ratio_is_of_rounds():
    found = ratio([2.0, 6.0, 4.0, 100.0], [1.0, 2.0, 4.0, 10.0])
    assert found["median"] == 2.5  # of 1, 2, 3, 10
    assert (found["lower_quartile"], found["upper_quartile"]) == (2.0, 10.0)
