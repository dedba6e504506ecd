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
BACKBONE_WIDTH, CODE_WIDTH = "model.backbone.width", "model.code_width"
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
    def fits(self) -> bool:
        """Whether it has that size as it is."""
        return self.before == self.after

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


def resized(config: Config, setting: str, width: int) -> Config:
    """The same config with another width.

    Args:
        config: that stays as it is. setting: `BACKBONE_WIDTH` or `CODE_WIDTH`. width: its value.
    """
    made = copy.deepcopy(config)
    if setting == BACKBONE_WIDTH:
        made.model.backbone.width = width
    else:
        made.model.code_width = width
    return made


def match_parameters(config: Config, sizes: Sizes, target: int) -> Match:
    """The width for which a model has ``target`` parameters, or nearly.

    It is the backbone's where the backbone heeds one, else the codes'.

    Raises:
        WhyactError: the model has neither.
    """
    model = config.model
    scalable = model.backbone.type in SCALABLE
    if not scalable and model.type != "whyact":
        raise WhyactError(
            f"{config.name}: a {model.type} model with the backbone '{model.backbone.type}' has no "
            f"width to change, so it cannot be matched. Take one of {', '.join(SCALABLE)}, or "
            "leave 'matched' out of the grid."
        )
    setting = BACKBONE_WIDTH if scalable else CODE_WIDTH

    def count(width: int) -> int:
        return count_parameters(resized(config, setting, width).model, sizes)

    low = high = MINIMUM_BACKBONE_WIDTH if scalable else MINIMUM_CODE_WIDTH
    while count(high) < target and high < _MAXIMUM:
        low, high = high, 2 * high
    while high - low > 1:  # count(low) < target <= count(high), unless the narrowest is too large
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) < target else (low, middle)
    width = min((low, high), key=lambda w: abs(count(w) - target))
    before = model.backbone.width if scalable else model.code_width
    return Match(setting, before, width, count(width), target)
