"""Controls: maps that know nothing of the model. An explainer that does not beat them is none.

They take the model only for the scores that an `Explanation` holds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch.nn import functional as F

from whyact.explainers.base import Model, from_heat, scored
from whyact.ops.draw import clip_generators, clip_rand
from whyact.ops.warp import blur
from whyact.types import Explanation


class Control(ABC):
    """A map made from the clip alone.

    Args:
        model: see `whyact.explainers.base.Model`.
    """

    name: str

    def __init__(self, *, model: Model) -> None:
        self.model = model

    @abstractmethod
    def heat(self, clips: Tensor) -> Tensor:
        """Non-negative (B, T, H, W); the map of a clip does not depend on the others."""

    @torch.no_grad()
    def __call__(self, clips: Tensor, targets: Tensor | None = None) -> list[Explanation]:
        """One forward pass, for the scores; arguments as in `Explainer`."""
        targets, scores = scored(self.model, clips, targets)
        return from_heat(self.name, self.heat(clips), targets, scores)


class RandomMap(Control):
    """Uniform noise on coarse cells, as smooth as a token grid's map; seeded by the clip's pixels.

    Args:
        model: see `Control`. cell: side of a cell in pixels; cells are one frame long.
        seed: another seed gives other maps.
    """

    name = "random"

    def __init__(self, *, model: Model, cell: int = 8, seed: int = 0) -> None:
        super().__init__(model=model)
        self.cell, self.seed = cell, seed

    def heat(self, clips: Tensor) -> Tensor:
        """As `Control.heat`."""
        t, h, w = clips.shape[2:]
        shape = (t, -(-h // self.cell), -(-w // self.cell))
        maps = clip_rand(clip_generators(clips, self.seed), shape, clips)
        return F.interpolate(maps[:, None], (t, h, w), mode="trilinear")[:, 0]


class ConstantMap(Control):
    """The same value everywhere."""

    name = "constant"

    def heat(self, clips: Tensor) -> Tensor:
        """As `Control.heat`."""
        return torch.ones_like(clips[:, 0])


class CentrePrior(Control):
    """A Gaussian at the centre of every frame, where actors mostly are.

    Args:
        model: see `Control`. spread: its standard deviation as a share of the frame's sides.
    """

    name = "centre_prior"

    def __init__(self, *, model: Model, spread: float = 0.25) -> None:
        super().__init__(model=model)
        self.spread = spread

    def heat(self, clips: Tensor) -> Tensor:
        """As `Control.heat`."""
        sides = [(torch.arange(n) + 0.5) / n - 0.5 for n in clips.shape[-2:]]
        square = sides[0][:, None] ** 2 + sides[1] ** 2
        frame = torch.exp(-square / (2 * self.spread**2)).to(clips)
        return frame.expand_as(clips[:, 0]).clone()


class MotionMagnitude(Control):
    """How much each pixel changes from frame to frame, smoothed; the camera's motion included.

    Mean absolute difference to the neighbouring frames (one at the ends), over the colours.

    Args:
        model: see `Control`. sigma: of the smoothing, as a share of the short side.
    """

    name = "motion_magnitude"

    def __init__(self, *, model: Model, sigma: float = 1 / 32) -> None:
        super().__init__(model=model)
        self.sigma = sigma

    def heat(self, clips: Tensor) -> Tensor:
        """As `Control.heat`; zeros for a clip of one frame."""
        if clips.shape[2] == 1:
            return torch.zeros_like(clips[:, 0])
        change = clips.diff(dim=2).abs().mean(1)
        before = torch.cat([change[:, :1], change], 1)
        after = torch.cat([change, change[:, -1:]], 1)
        return blur((before + after) / 2, self.sigma * min(clips.shape[-2:]))


def blurred(heat: Tensor, sigma: float = 1 / 8) -> Tensor:
    """Maps (..., H, W) blurred by ``sigma`` of their short side: their detail is taken away."""
    return blur(heat, sigma * min(heat.shape[-2:]))
