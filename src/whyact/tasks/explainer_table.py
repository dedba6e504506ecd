"""One explicit table: from the names of explainers to explainers of a trained model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from torch import nn

from whyact.config_io import nearest
from whyact.explainers.base import Explainer, Model
from whyact.explainers.gradient import GradCam, IntegratedGradients, Variant
from whyact.explainers.native import Native
from whyact.explainers.perturbation import Occlusion
from whyact.explainers.rollout import AttentionRollout
from whyact.explainers.sampled import GradientShap, Rise, SmoothGrad
from whyact.models.recognizer import VideoModel
from whyact.ops.probability import Probabilities, one_of
from whyact.types import WhyactError

Sizes = tuple[int, int, int]


@dataclass(frozen=True)
class Method:
    """An explainer of a model.

    Attributes:
        explainer: to call. grid: (T', h, w) of the cells that its maps have; None for pixels.
        tube: pixels of a cell, where it has one value throughout; None where maps are interpolated.
        needs: passes of a clip that the method asks for by its definition, forwards and backwards.
    """

    explainer: Explainer
    grid: Sizes | None
    needs: int
    tube: Sizes | None = None


Build = Callable[[VideoModel, Model, Sizes, Sizes, Probabilities], Method]
STEPS = 16
"""Of integrated gradients, SmoothGrad and GradientSHAP."""
RISE_MASKS = 1000
PASS = (16, 16 * 8 * 112 * 112)
"""The most clips, and pixels of all their frames, in one pass: gradients keep every layer."""


def pass_size(size: Sequence[int]) -> int:
    """How many clips of (T, H, W) go through a model at once; it does not change results."""
    return max(1, min(PASS[0], PASS[1] // math.prod(size)))


def _native(
    model: VideoModel, run: Model, size: Sizes, grid: Sizes, chances: Probabilities
) -> Method:
    return Method(Native(model=run), grid, 2)


def _cam(variant: Variant) -> Build:
    def make(
        model: VideoModel, run: Model, size: Sizes, grid: Sizes, chances: Probabilities
    ) -> Method:
        return Method(GradCam(model=run, layer=model.backbone, variant=variant), grid, 2)

    return make


def _integrated(
    model: VideoModel, run: Model, size: Sizes, grid: Sizes, chances: Probabilities
) -> Method:
    return Method(
        IntegratedGradients(model=run, steps=STEPS, batch_size=pass_size(size)), None, 2 * STEPS
    )


def _smooth(
    model: VideoModel, run: Model, size: Sizes, grid: Sizes, chances: Probabilities
) -> Method:
    return Method(SmoothGrad(model=run, samples=STEPS, batch_size=pass_size(size)), None, 2 * STEPS)


def _shap(
    model: VideoModel, run: Model, size: Sizes, grid: Sizes, chances: Probabilities
) -> Method:
    return Method(
        GradientShap(model=run, samples=STEPS, batch_size=pass_size(size)), None, 2 * STEPS
    )


def _occlusion(
    model: VideoModel, run: Model, size: Sizes, grid: Sizes, chances: Probabilities
) -> Method:
    tube = (max(1, size[0] // 4), max(1, size[1] // 4), max(1, size[2] // 4))
    cells = tuple(math.ceil(n / m) for n, m in zip(size, tube, strict=True))
    return Method(
        Occlusion(model=run, tube=tube, batch_size=pass_size(size)),
        cast(Sizes, cells),
        math.prod(cells),
        tube,
    )


def _rise(
    model: VideoModel, run: Model, size: Sizes, grid: Sizes, chances: Probabilities
) -> Method:
    rise = Rise(model=run, masks=RISE_MASKS, batch_size=pass_size(size), probabilities=chances)
    return Method(rise, None, RISE_MASKS)


def _rollout(
    model: VideoModel, run: Model, size: Sizes, grid: Sizes, chances: Probabilities
) -> Method:
    layers = [m for m in model.backbone.modules() if isinstance(m, nn.MultiheadAttention)]
    if not layers:
        raise WhyactError(
            "attention_rollout needs a transformer; this model's backbone has no attention layers."
        )
    # The model reads the patches alone; what the class token gathers goes nowhere.
    return Method(
        AttentionRollout(model=run, layers=layers, grid=grid[1:], prefix=1, class_token=False),
        grid,
        1,
    )


EXPLAINERS: Mapping[str, Build] = {
    "native": _native,
    "grad_cam": _cam("grad_cam"),
    "hires_cam": _cam("hires_cam"),
    "layer_cam": _cam("layer_cam"),
    "integrated_gradients": _integrated,
    "smooth_grad": _smooth,
    "gradient_shap": _shap,
    "occlusion": _occlusion,
    "rise": _rise,
    "attention_rollout": _rollout,
}


def check_methods(names: Sequence[str]) -> None:
    """Raise `WhyactError` for a method that does not exist, or none at all."""
    for name in names:
        if name not in EXPLAINERS:
            raise WhyactError(
                f"There is no explainer '{name}'. Did you mean "
                f"'{nearest(name, list(EXPLAINERS))}'? There are: {', '.join(EXPLAINERS)}."
            )
    if not names or len(set(names)) != len(names):
        raise WhyactError(f"Expected one or more different explainers, got {list(names)}.")


def build_method(
    name: str, *, model: VideoModel, run: Model, size: Sizes, grid: Sizes,
    probabilities: Probabilities = one_of,
) -> Method:  # fmt: skip
    """An explainer by name.

    Args:
        name: of `EXPLAINERS`. model: whose layers are read. run: the model as a callable, perhaps
            counted. size: (T, H, W) of clips. grid: (T', h, w) of the model's tokens.
        probabilities: of the model's logits.

    Raises:
        WhyactError: no such explainer, or one that is not for this model.
    """
    check_methods([name])
    return EXPLAINERS[name](model, run, size, grid, probabilities)
