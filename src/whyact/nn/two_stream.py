"""Two backbones, one for pixels and one for motion, as one."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from whyact.types import WhyactError

FUSIONS = ("late", "mid")


class TwoStreamBackbone(nn.Module):
    """Pixels and motion through networks of their own (Simonyan and Zisserman, NIPS 2014).

    Both give feature maps of the same size. ``late`` sets them side by side: a linear classifier's
    logit is then the sum of the two streams' scores, learned together. ``mid`` mixes them cell by
    cell into maps of the pixels' width before anything else sees them (convolutional fusion,
    Feichtenhofer et al., CVPR 2016, with a 1x1x1 kernel).

    Args:
        pixels, motion: backbones as `whyact.models.recognizer.VideoModel` takes them; the second
            sees the field's two channels and their mean distance from rest.
        fusion: ``late`` or ``mid``.
    """

    def __init__(self, *, pixels: nn.Module, motion: nn.Module, fusion: str) -> None:
        super().__init__()
        if fusion not in FUSIONS:
            raise WhyactError(f"model.fusion is '{fusion}'; choose none, {', '.join(FUSIONS)}.")
        self.pixels, self.motion = pixels, motion
        self.mean = (*cast("tuple[float, ...]", pixels.mean), 0.5, 0.5)
        self.std = (*cast("tuple[float, ...]", pixels.std), 0.25, 0.25)
        one, two = cast(int, pixels.width), cast(int, motion.width)
        self.width = one + two if fusion == "late" else one
        # A field is the motion between two frames.
        self.reach = max(cast(int, pixels.reach), cast(int, motion.reach) + 1)
        self.mix = nn.Conv3d(one + two, one, 1) if fusion == "mid" else None

    def forward(self, video: Tensor) -> Tensor:
        """Make a feature map.

        Args:
            video: (B, 5, T, H, W), normalised; three channels of pixels and two of motion.

        Returns:
            (B, D, T', h, w).
        """
        field = video[:, 3:]
        strength = field.abs().mean(1, keepdim=True)
        both = torch.cat(
            [self.pixels(video[:, :3]), self.motion(torch.cat([field, strength], 1))], 1
        )
        return both if self.mix is None else torch.relu(self.mix(both))
