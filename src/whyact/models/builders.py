"""One explicit table per slot: from the config tree to networks."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import torch
from torch import nn

from whyact.config import (
    BackboneConfig,
    DynamicPromptsConfig,
    GraphPromptGnnConfig,
    ModelConfig,
    SpatialGraphConfig,
    SpecificationConfig,
)
from whyact.models.baselines import CnnLstm, PooledModel
from whyact.models.recognizer import ActionRecognizer, VideoModel
from whyact.nn.backbone import BlindBackbone, SmallBackbone
from whyact.nn.box_graph import BoxSpatialGraph
from whyact.nn.dynamic_prompts import DynamicPrompts, NoPrompts
from whyact.nn.graph_prompt_gnn import GraphPromptGnn, NoGraph
from whyact.nn.graph_split import GraphSplit, NoSplit
from whyact.nn.head import AdditiveHead, NuisanceHead
from whyact.nn.narrow_r3d import narrow_r3d_18
from whyact.nn.pretrained import Volumetric, efficientnet_lite0, torchvision_backbone
from whyact.nn.spatial_graph import GridSpatialGraph, LearnedSpatialGraph
from whyact.nn.two_stream import TwoStreamBackbone
from whyact.types import WhyactError

MINIMUM_CODE_WIDTH = 64


def _small(c: BackboneConfig) -> nn.Module:
    return SmallBackbone(width=c.width, motion=c.motion, top_down=c.top_down)


def _blind(c: BackboneConfig) -> nn.Module:
    return BlindBackbone(width=c.width)


def _lite0(c: BackboneConfig) -> nn.Module:
    return efficientnet_lite0(weights=c.weights, motion=c.motion, layer=c.layer)


def _narrow_r3d(c: BackboneConfig) -> nn.Module:
    return narrow_r3d_18(width=c.width)


def _torchvision(c: BackboneConfig) -> nn.Module:
    return torchvision_backbone(name=c.type, weights=c.weights, motion=c.motion, layer=c.layer)


def _learned(c: SpatialGraphConfig, width: int, code: int) -> nn.Module:
    return LearnedSpatialGraph(
        token_width=width,
        code_width=code,
        regions=c.regions,
        layers=c.layers,
        cues=c.cues,
        fusion=c.fusion,
        temperature=c.temperature,
        dynamics=c.dynamics,
        compact=c.compact,
        gate=c.gate,
        lags=c.lags,
    )


def _boxes(c: SpatialGraphConfig, width: int, code: int) -> nn.Module:
    if c.dynamics != "none":
        raise WhyactError(
            f"model.spatial_graph.dynamics is '{c.dynamics}', which boxes do not have, as they "
            "come and go; set it to none."
        )
    return BoxSpatialGraph(
        token_width=width, code_width=code, kinds=c.kinds, layers=c.layers, cues=c.cues,
        gate=c.gate,
    )  # fmt: skip


def _grid(c: SpatialGraphConfig, width: int, code: int) -> nn.Module:
    return GridSpatialGraph(
        token_width=width, code_width=code, regions=c.regions, dynamics=c.dynamics, gate=c.gate,
        lags=c.lags,
    )  # fmt: skip


def _prompts(c: DynamicPromptsConfig, code: int) -> nn.Module:
    return DynamicPrompts(
        code_width=code,
        prompts=c.prompts,
        bank=c.bank,
        strategy=c.type,
        top_k=c.top_k,
        inject=c.inject,
        max_strength=c.max_strength,
    )


def _no_prompts(c: DynamicPromptsConfig, code: int) -> nn.Module:
    return NoPrompts()


def _gated(c: GraphPromptGnnConfig, code: int) -> nn.Module:
    return GraphPromptGnn(code_width=code, layers=c.layers, window=c.window)


def _no_graph(c: GraphPromptGnnConfig, code: int) -> nn.Module:
    return NoGraph()


def _split(c: SpecificationConfig, code: int) -> nn.Module:
    return GraphSplit(code_width=code, window=c.window)


def _no_split(c: SpecificationConfig, code: int) -> nn.Module:
    return NoSplit()


BACKBONES: Mapping[str, Callable[[BackboneConfig], nn.Module]] = {
    "small": _small,
    "blind": _blind,
    "efficientnet_lite0": _lite0,
    "narrow_r3d_18": _narrow_r3d,
}
"""Backbones by name; any other name is looked up in torchvision."""
UNTRAINED = ("small", "blind", "narrow_r3d_18")
"""Those for which there are no pretrained weights."""

SPATIAL_GRAPHS: Mapping[str, Callable[[SpatialGraphConfig, int, int], nn.Module]] = {
    "learned": _learned,
    "grid": _grid,
    "boxes": _boxes,
}
DYNAMIC_PROMPTS: Mapping[str, Callable[[DynamicPromptsConfig, int], nn.Module]] = {
    "generated": _prompts,
    "retrieved": _prompts,
    "static": _prompts,
    "none": _no_prompts,
}
GRAPH_PROMPT_GNNS: Mapping[str, Callable[[GraphPromptGnnConfig, int], nn.Module]] = {
    "gated": _gated,
    "none": _no_graph,
}
SPECIFICATIONS: Mapping[str, Callable[[SpecificationConfig, int], nn.Module]] = {
    "split": _split,
    "none": _no_split,
}

_Entry = TypeVar("_Entry")


def _pick(slot: str, table: Mapping[str, _Entry], name: str) -> _Entry:
    if name not in table:
        raise WhyactError(f"Unknown model.{slot}.type '{name}'; choose from {list(table)}.")
    return table[name]


def _seeded(seed: int, slot: str, make: Callable[[], nn.Module]) -> nn.Module:
    """Initialise a slot from its own stream, so that removing one does not change another."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(zlib.crc32(f"{seed}/{slot}".encode()))
        return make()


def _recognizer(c: ModelConfig, backbone: nn.Module, **sizes: int) -> VideoModel:
    seed, classes, scenes = sizes["seed"], sizes["classes"], sizes["scenes"]
    width, code = cast(int, backbone.width), c.code_width
    if code < MINIMUM_CODE_WIDTH:
        raise WhyactError(
            f"model.code_width is {code}; codes are at least {MINIMUM_CODE_WIDTH} wide, "
            "so that a tiny code cannot look clean."
        )
    graph = _pick("spatial_graph", SPATIAL_GRAPHS, c.spatial_graph.type)
    prompts = _pick("dynamic_prompts", DYNAMIC_PROMPTS, c.dynamic_prompts.type)
    gnn = _pick("graph_prompt_gnn", GRAPH_PROMPT_GNNS, c.graph_prompt_gnn.type)
    split = _pick("specification", SPECIFICATIONS, c.specification.type)
    slots: dict[str, Callable[[], nn.Module]] = {
        "spatial_graph": lambda: graph(c.spatial_graph, width, code),
        "dynamic_prompts": lambda: prompts(c.dynamic_prompts, code),
        "graph_prompt_gnn": lambda: gnn(c.graph_prompt_gnn, code),
        "head": lambda: AdditiveHead(
            code_width=code, classes=classes, dropout=c.dropout, noise=c.code_noise
        ),
        "nuisance_head": lambda: NuisanceHead(code_width=code, scenes=scenes),
        "specification": lambda: split(c.specification, code),
    }
    built: dict[str, Any] = {name: _seeded(seed, name, make) for name, make in slots.items()}
    return ActionRecognizer(backbone=backbone, frozen=c.backbone.frozen, **built)


def _backbone(config: ModelConfig, seed: int, motion: str) -> nn.Module:
    """The backbone, or two of the same kind for pixels and motion."""
    if config.backbone.weights != "none" and config.backbone.type in UNTRAINED:
        raise WhyactError(
            f"model.backbone.weights is '{config.backbone.weights}', but '{config.backbone.type}' "
            "is trained from scratch; set it to none (and model.backbone.frozen to false)."
        )
    if (config.fusion == "none") != (motion == "none"):
        raise WhyactError(
            f"model.fusion is '{config.fusion}' and data.motion.source '{motion}': a second stream "
            "needs both, a single one neither."
        )
    make = BACKBONES.get(config.backbone.type, _torchvision)
    pixels = _seeded(seed, "backbone", lambda: make(config.backbone))
    if config.fusion == "none":
        return pixels
    other = _seeded(seed, "motion", lambda: make(config.backbone))
    return _seeded(
        seed, "fusion",
        lambda: TwoStreamBackbone(pixels=pixels, motion=other, fusion=config.fusion),
    )  # fmt: skip


def build_model(
    config: ModelConfig, *, classes: int, scenes: int = 0, seed: int = 42, motion: str = "none"
) -> VideoModel:
    """Build the network that a config describes.

    Args:
        config: the ``model`` part of the config tree.
        classes: Y.
        scenes: S, labelled nuisance classes; 0 where there are none.
        seed: of the initialisation.
        motion: ``data.motion.source``, for a model with two streams.

    Raises:
        WhyactError: a type or setting that does not exist, with the choices.
    """
    backbone = _backbone(config, seed, motion)
    if config.type == "whyact":
        model = _recognizer(config, backbone, classes=classes, scenes=scenes, seed=seed)
        model.motion = motion
        return model
    if config.type == "cnn3d" and not isinstance(getattr(backbone, "pixels", backbone), Volumetric):
        raise WhyactError(
            f"model.type cnn3d needs a 3-D network in model.backbone.type, such as r3d_18 or "
            f"r2plus1d_18; '{config.backbone.type}' is none. For a 2-D network take pooled."
        )
    baselines = {"pooled": PooledModel, "cnn3d": PooledModel, "cnn_lstm": CnnLstm}
    baseline = _pick("type", baselines, config.type)
    built = _seeded(
        seed,
        "head",
        lambda: baseline(
            backbone=backbone,
            width=cast(int, backbone.width),
            classes=classes,
            dropout=config.dropout,
            frozen=config.backbone.frozen,
        ),
    )
    model = cast(VideoModel, built)
    model.motion = motion
    return model
