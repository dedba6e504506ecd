"""Explainers that read gradients: class activation maps of any layer, integrated gradients."""

from __future__ import annotations

from typing import Any, Literal

import torch
from captum.attr import IntegratedGradients as CaptumIntegratedGradients
from torch import Tensor, nn
from torch.nn import functional as F

from whyact.explainers.base import (
    Model,
    check_clips,
    choose_targets,
    from_heat,
    logits_of,
    picked,
    scored,
)
from whyact.ops.fill import Fill, filling
from whyact.types import Explanation, WhyactError

Variant = Literal["grad_cam", "hires_cam", "layer_cam"]


def as_maps(
    activation: Tensor,
    batch: int,
    grid: tuple[int, ...] | None = None,
    prefix: int = 0,
    channels_last: bool = False,
) -> Tensor:
    """A layer's output as (B, C, T', h, w).

    Args:
        activation: (B, C, T', h, w); (B * T', C, h, w) of a network that runs per frame; tokens
            (B, prefix + T' * h * w, C), or (B * T', prefix + h * w, C) per frame; with
            ``channels_last`` (B, T', h, w, C) or (B * T', h, w, C).
        batch: B.
        grid: of tokens: (T', h, w), or (h, w) per frame.
        prefix: class or register tokens before the grid's.

    Raises:
        WhyactError: any other shape, or tokens without a grid that fits.
    """
    shape = tuple(activation.shape)
    if activation.ndim == 3:
        if grid is None or shape[1] != prefix + torch.Size(grid).numel():
            raise WhyactError(
                f"A layer with token output {shape} needs its grid: (T', h, w) or, per frame, "
                f"(h, w), with tokens = prefix + cells; got grid {grid} and prefix {prefix}."
            )
        activation = activation[:, prefix:].reshape(shape[0], *grid, shape[2])
        channels_last = True
    if channels_last:
        activation = activation.movedim(-1, 1)
    if activation.ndim == 4 and len(activation) % batch == 0:
        frames = activation.reshape(batch, len(activation) // batch, *activation.shape[1:])
        activation = frames.transpose(1, 2)
    if activation.ndim != 5 or len(activation) != batch:
        raise WhyactError(
            f"Cannot read a map from a layer with output {shape} for {batch} clips; expected "
            "(B, C, T, h, w), (B * T, C, h, w) or tokens (B, N, C)."
        )
    return activation


def _unmapped(layer: nn.Module, runs: int) -> WhyactError:
    return WhyactError(
        f"The layer {type(layer).__name__} ran {runs} times in a forward pass and must run once; "
        "choose one that sees the whole clip, or all frames as one batch."
    )


class GradCam:
    """Class activation maps weighted by gradients, for 3-D, per-frame and token networks.

    ``grad_cam``: channels are weighted by their gradient's mean over space and time (Selvaraju et
    al., ICCV 2017, eq. 1 and 2; the mean over time is the extension to clips). ``hires_cam``:
    gradient times activation (Draelos and Carin, 2020). ``layer_cam``: positive gradient times
    activation (Jiang et al., TIP 2021). Captum's layer Grad-CAM averages tokens' gradients over the
    wrong axis, so this is own code; it agrees with Captum on (B, C, T, h, w).

    Args:
        model: see `whyact.explainers.base.Model`. layer: a module of it.
        variant: see above. grid, prefix, channels_last: see `as_maps`.
    """

    def __init__(
        self,
        *,
        model: Model,
        layer: nn.Module,
        variant: Variant = "grad_cam",
        grid: tuple[int, ...] | None = None,
        prefix: int = 0,
        channels_last: bool = False,
    ) -> None:
        if variant not in ("grad_cam", "hires_cam", "layer_cam"):
            raise WhyactError(
                f"Unknown variant '{variant}'; choose grad_cam, hires_cam or layer_cam."
            )
        self.model, self.layer = model, layer
        self.name: str = variant
        self.shape: dict[str, Any] = {
            "grid": grid, "prefix": prefix, "channels_last": channels_last,
        }  # fmt: skip

    @torch.enable_grad()
    def __call__(self, clips: Tensor, targets: Tensor | None = None) -> list[Explanation]:
        """One forward pass, and a backward pass down to the layer.

        Arguments as in `whyact.explainers.base.Explainer`.

        Raises:
            WhyactError: a layer that runs more or less than once, or whose output is no map.
        """
        check_clips(clips)
        outputs: list[Tensor] = []

        def keep(module: nn.Module, inputs: Any, output: Any) -> Tensor:
            if not isinstance(output, Tensor):
                raise WhyactError(
                    f"{type(module).__name__} gives a {type(output).__name__}, not a tensor; name "
                    "a layer inside it, or the one behind it."
                )
            outputs.append(output)
            # Later layers may work in place; they must not change what is kept.
            return output.clone()

        handle = self.layer.register_forward_hook(keep)
        try:
            logits = logits_of(self.model, clips.detach().requires_grad_())
        finally:
            handle.remove()
        if len(outputs) != 1:
            raise _unmapped(self.layer, len(outputs))
        targets = choose_targets(logits, targets)
        scores = picked(logits, targets)
        (gradient,) = torch.autograd.grad(scores.sum(), outputs)
        maps = self._map(
            as_maps(outputs[0].detach(), len(clips), **self.shape),
            as_maps(gradient, len(clips), **self.shape),
        )
        heat = F.interpolate(maps[:, None].float(), tuple(clips.shape[2:]), mode="trilinear")
        return from_heat(self.name, heat[:, 0], targets, scores.detach())

    def _map(self, activation: Tensor, gradient: Tensor) -> Tensor:
        """(B, T', h, w), non-negative."""
        if self.name == "grad_cam":
            gradient = gradient.mean((2, 3, 4), keepdim=True)
        elif self.name == "layer_cam":
            gradient = gradient.relu()
        return (gradient * activation).sum(1).relu()


class IntegratedGradients:
    """Integrated gradients (Sundararajan et al., ICML 2017) through Captum.

    A pixel's value is the sum over its colours; the heat map is its positive part.
    ``extra["completeness_gap"]`` tells how far the signed values are from the difference between
    the scores of clip and baseline, over the larger of that difference and 1.

    Args:
        model: see `whyact.explainers.base.Model`.
        steps: of the integral. baseline: what the path starts from, a fill-in of the whole clip.
        batch_size: clips a forward pass, a multiple of which is run; it does not change results.
    """

    name = "integrated_gradients"

    def __init__(
        self, *, model: Model, steps: int = 32, baseline: Fill = "blur", batch_size: int = 16
    ) -> None:
        self.model, self.steps, self.batch_size = model, steps, batch_size
        self.baseline: Fill = baseline

    def __call__(self, clips: Tensor, targets: Tensor | None = None) -> list[Explanation]:
        """``steps`` forward and backward passes; arguments as in `Explainer`."""
        targets, scores = scored(self.model, clips, targets)
        baselines = filling(clips, torch.ones_like(clips[:, 0]), self.baseline)
        _, start = scored(self.model, baselines, targets)
        signed = CaptumIntegratedGradients(lambda x: logits_of(self.model, x)).attribute(
            clips, baselines, target=targets, n_steps=self.steps,
            internal_batch_size=max(self.batch_size, len(clips)),
        )  # fmt: skip
        difference = scores - start
        gaps = (signed.sum((1, 2, 3, 4)) - difference).abs() / difference.abs().clamp_min(1)
        extra = [{"completeness_gap": float(gap)} for gap in gaps]
        return from_heat(self.name, signed.sum(1), targets, scores, extra)
