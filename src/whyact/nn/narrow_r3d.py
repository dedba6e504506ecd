"""R3D-18 with fewer channels, a 3-D baseline of the size of small networks."""

from __future__ import annotations

from torch import nn
from torchvision.models.video.resnet import BasicBlock, Conv3DSimple

from whyact.nn.pretrained import Volumetric
from whyact.types import WhyactError


def narrow_r3d_18(*, width: int) -> Volumetric:
    """R3D-18 (Tran et al., CVPR 2018) with ``width`` channels in its last stage instead of 512.

    The stages before have an eighth, a quarter and a half of it, as in the original, whose blocks
    are taken from torchvision. Time and space are halved after each of the first three stages.

    Raises:
        WhyactError: fewer than 8 channels.
    """
    if width < 8:
        raise WhyactError(f"model.backbone.width of narrow_r3d_18 is at least 8, got {width}.")
    stages = [width // 8, width // 4, width // 2, width]
    layers: list[nn.Module] = [
        nn.Conv3d(3, stages[0], (3, 7, 7), stride=(1, 2, 2), padding=(1, 3, 3), bias=False),
        nn.BatchNorm3d(stages[0]),
        nn.ReLU(inplace=True),
    ]
    inputs = stages[0]
    for outputs in stages:
        stride = 1 if outputs == stages[0] else 2
        layers += [_block(inputs, outputs, stride), _block(outputs, outputs, 1)]
        inputs = outputs
    return Volumetric(features=nn.Sequential(*layers), width=width)


def _block(inputs: int, outputs: int, stride: int) -> BasicBlock:
    shortcut = None
    if stride != 1 or inputs != outputs:
        shortcut = nn.Sequential(
            nn.Conv3d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm3d(outputs)
        )
    return BasicBlock(inputs, outputs, Conv3DSimple, stride, shortcut)
