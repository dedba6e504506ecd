"""The same number of parameters for every variant: null twins remove capacity."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch

from whyact.config import Config, ModelConfig
from whyact.models.builders import MINIMUM_CODE_WIDTH, build_model
from whyact.models.recognizer import VideoModel
from whyact.types import WhyactError

SCALABLE = ("small", "narrow_r3d_18")
"""Backbones that heed ``model.backbone.width``."""
MINIMUM_BACKBONE_WIDTH = 8
_MAXIMUM = 1 << 14


@dataclass(frozen=True)
class Sizes:
    """What of the data a model's size depends on: numbers of classes and scenes, the motion."""

    classes: int
    scenes: int
    motion: str = "none"


@dataclass(frozen=True)
class Match:
    """How a variant got the reference's size.

    Attributes:
        setting: that was changed. before, after: its values.
        parameters: of the variant now. target: of the reference.
    """

    setting: str
    before: int
    after: int
    parameters: int
    target: int

    @property
    def miss(self) -> float:
        """By how much the size differs, as a share of the target."""
        return self.parameters / self.target - 1


def shadow_model(config: ModelConfig, sizes: Sizes) -> VideoModel:
    """The network that a config describes, without memory for its values."""
    bare = copy.deepcopy(config)
    bare.backbone.weights = "none"
    with torch.device("meta"):
        return build_model(
            bare, classes=sizes.classes, scenes=sizes.scenes, motion=sizes.motion
        ).eval()


def count_parameters(config: ModelConfig, sizes: Sizes) -> int:
    """Parameters of a network, frozen ones included."""
    return sum(p.numel() for p in shadow_model(config, sizes).parameters())


def match_parameters(config: Config, sizes: Sizes, target: int) -> tuple[Config, Match]:
    """The config with the width for which its model has ``target`` parameters, or nearly.

    ``model.backbone.width`` is changed where the backbone heeds it, else ``model.code_width``.

    Raises:
        WhyactError: the model has neither.
    """
    scalable = config.model.backbone.type in SCALABLE
    if not scalable and config.model.type != "whyact":
        raise WhyactError(
            f"{config.name}: a {config.model.type} model with the backbone "
            f"'{config.model.backbone.type}' has no width to change, so it cannot be matched. Take "
            f"one of {', '.join(SCALABLE)}, or leave 'matched' out of the grid."
        )

    def widened(width: int) -> Config:
        made = copy.deepcopy(config)
        if scalable:
            made.model.backbone.width = width
        else:
            made.model.code_width = width
        return made

    def count(width: int) -> int:
        return count_parameters(widened(width).model, sizes)

    low = MINIMUM_BACKBONE_WIDTH if scalable else MINIMUM_CODE_WIDTH
    high = low
    while count(high) < target and high < _MAXIMUM:
        low, high = high, 2 * high
    while high - low > 1:  # count(low) < target <= count(high), unless the narrowest is too large
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) < target else (low, middle)
    width = min((low, high), key=lambda w: abs(count(w) - target))
    setting = "model.backbone.width" if scalable else "model.code_width"
    before = config.model.backbone.width if scalable else config.model.code_width
    return widened(width), Match(setting, before, width, count(width), target)
