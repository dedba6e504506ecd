"""Checkpoints of all module combinations, and the output contract of baselines on torchvision."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch

from whyact.config import BackboneConfig, Config, ModelConfig
from whyact.models.builders import build_model
from whyact.models.recognizer import VideoModel
from whyact.training.checkpoint import load_model, load_weights, save_checkpoint
from whyact.types import ActionOutput, WhyactError

SLOTS = {
    "spatial_graph": ("learned", "grid"),
    "dynamic_prompts": ("generated", "none"),
    "graph_prompt_gnn": ("gated", "none"),
}
COMBINATIONS = list(itertools.product(*SLOTS.values()))
CLASSES, SCENES = ("wave", "kick", "bow"), ("park", "hall")


def config(types: tuple[str, ...]) -> Config:
    made = Config()
    made.model.backbone.width = 16
    made.model.spatial_graph.regions = 3
    made.model.dynamic_prompts.prompts, made.model.dynamic_prompts.bank = 2, 4
    for slot, name in zip(SLOTS, types, strict=True):
        getattr(made.model, slot).type = name
    return made


def build(types: tuple[str, ...], seed: int) -> VideoModel:
    model = build_model(config(types).model, classes=len(CLASSES), scenes=len(SCENES), seed=seed)
    with torch.no_grad():  # at zero, as it begins, it says the same of every clip
        model.nuisance_head.weight.normal_(generator=torch.Generator().manual_seed(seed))
    return model


@pytest.fixture(scope="module")
def models() -> dict[tuple[str, ...], VideoModel]:
    return {types: build(types, seed=5) for types in COMBINATIONS}


@pytest.fixture(scope="module")
def runs(
    models: dict[tuple[str, ...], VideoModel], tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, ...], Path]:
    """A checkpoint of every combination, with weights that its config's seed does not give."""
    root = tmp_path_factory.mktemp("runs")
    folders = {types: root / "-".join(types) / "checkpoints" / "best" for types in COMBINATIONS}
    for types, folder in folders.items():
        save_checkpoint(
            folder, weights=models[types].state_dict(), config=config(types), classes=CLASSES,
            scenes=SCENES, state={},
        )  # fmt: skip
    return folders


@pytest.mark.parametrize("types", COMBINATIONS, ids="-".join)
def test_a_checkpoint_of_every_combination_round_trips(models, runs, types):
    loaded = load_model(runs[types].parent.parent)
    assert loaded.config == config(types) and loaded.classes == CLASSES
    video = torch.rand(2, 3, 4, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before, after = models[types].eval()(video), loaded.model(video)
    assert torch.equal(before.logits, after.logits)
    assert torch.equal(before.contributions, after.contributions)
    assert torch.equal(before.nuisance_logits, after.nuisance_logits)
    assert not torch.equal(build(types, loaded.config.seed).eval()(video).logits, before.logits)


@pytest.mark.parametrize("types", COMBINATIONS, ids="-".join)
def test_every_other_combination_refuses_it_and_names_what_differs(models, runs, types):
    for others in COMBINATIONS:
        if others == types:
            continue
        before = {k: v.clone() for k, v in models[others].state_dict().items()}
        with pytest.raises(WhyactError, match="the checkpoint is of another model") as told:
            load_weights(models[others], runs[types], config(others).model)
        for slot, saved, here in zip(SLOTS, types, others, strict=True):
            text = f"model.{slot}.type (saved {saved}, here {here})"
            assert (text in str(told.value)) == (saved != here)
        assert all(torch.equal(v, before[k]) for k, v in models[others].state_dict().items())


BASELINES = {
    "cnn3d-r3d_18": (ModelConfig(type="cnn3d", backbone=BackboneConfig(type="r3d_18")), 1),
    "cnn3d-narrow": (
        ModelConfig(type="cnn3d", backbone=BackboneConfig(type="narrow_r3d_18", width=16)), 1
    ),
    "pooled-resnet18": (ModelConfig(type="pooled", backbone=BackboneConfig(type="resnet18")), 8),
    "cnn_lstm-resnet18": (
        ModelConfig(type="cnn_lstm", backbone=BackboneConfig(type="resnet18", motion="none")), 8,
    ),
    "cnn_lstm-small": (ModelConfig(type="cnn_lstm", backbone=BackboneConfig(width=16)), 8),
}  # fmt: skip


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_keep_the_output_contract(name):
    """Eight frames of 64 pixels; r3d_18 makes one time step of them."""
    settings, steps = BASELINES[name]
    model = build_model(settings, classes=5, scenes=2, seed=1).eval()
    video = torch.rand(2, 3, 8, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        output = model(video)
    assert isinstance(output, ActionOutput)
    h, w = output.grid
    regions = 1 if settings.type == "cnn_lstm" else h * w
    assert h > 1 and w > 1
    assert output.logits.shape == (2, 5) and output.bias.shape == (5,)
    assert output.frame_logits.shape == (2, steps, 5)
    assert output.contributions.shape == (2, steps, regions, 5)
    assert output.assignment.shape == (2, steps, regions, h * w)
    assert output.adjacency.shape == (2, steps, regions, regions)
    assert output.region_weights.shape == (2, steps, regions)
    assert output.action_code.shape[:3] == (2, steps, regions)
    assert output.nuisance_code.shape == (2, steps, regions, 0)
    assert output.nuisance_logits.shape == (2, 0) and output.prompts.shape[:3] == (2, steps, 0)
    assert output.edge_gates == {} and output.module_logits == {}
    total = output.contributions.sum((1, 2)) + output.bias
    assert torch.allclose(total, output.logits, atol=1e-4)
    assert torch.allclose(output.frame_logits.mean(1), output.logits, atol=1e-4)
    assert torch.allclose(output.assignment.sum(2), torch.ones(()), atol=1e-5)
    assert torch.allclose(output.region_weights.sum((1, 2)), torch.ones(()), atol=1e-5)
    assert not torch.allclose(output.logits[0], output.logits[1])  # it sees its clip
