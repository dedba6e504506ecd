"""The small backbone, and the ways in which a per-frame network is made to see motion."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class TemporalShift(nn.Module):
    """Moves a share of the channels one frame forward and as many one frame back.

    TSM (Lin et al., ICCV 2019), with zeros where the clip ends.

    Args:
        share: channels moved in each direction, as a share of all.
    """

    def __init__(self, *, share: float = 0.125) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """Shift.

        Args:
            x: (B * frames, C, h, w), the frames of a clip in a row.
            frames: T.
        """
        fold = max(1, int(x.shape[1] * self.share))
        # Channels last, as they lie in memory here, and one split: three slices would each have a
        # gradient of the size of the whole.
        clip = x.permute(0, 2, 3, 1).unflatten(0, (-1, frames))
        back, ahead, rest = clip.split([fold, fold, x.shape[1] - 2 * fold], dim=-1)
        back = F.pad(back[:, 1:], (0, 0, 0, 0, 0, 0, 0, 1))
        ahead = F.pad(ahead[:, :-1], (0, 0, 0, 0, 0, 0, 1, 0))
        return torch.cat([back, ahead, rest], dim=-1).flatten(0, 1).permute(0, 3, 1, 2)


class _Block(nn.Module):
    """Residual block of two 3x3 convolutions; the first reads temporally shifted channels."""

    def __init__(self, inputs: int, outputs: int, stride: int, shift: bool) -> None:
        super().__init__()
        self.shift = TemporalShift() if shift else None
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.stride = stride
        same = stride == 1 and inputs == outputs
        self.shortcut = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        )

    def forward(self, x: Tensor, frames: int) -> Tensor:
        y = x if self.shift is None else self.shift(x, frames)
        y = F.relu(self.norm1(self.conv1(y)), inplace=True)
        y = self.norm2(self.conv2(y))
        # The stride by slicing: oneDNN's backward pass of a 1x1 convolution with stride 2 writes
        # beyond its memory below 8 channels (torch 2.14.1, AVX2).
        return F.relu(y + self.shortcut(x[..., :: self.stride, :: self.stride]), inplace=True)


class SmallBackbone(nn.Module):
    """A residual network with stride 8, trained from scratch in minutes on two cores.

    With ``top_down`` its tokens have stride 4: the last stage, enlarged, plus the stage before it,
    as in feature pyramids (Lin et al., CVPR 2017). At 112 pixels these are 28 x 28 cells and at 64
    pixels 16 x 16, fine enough for limbs; without, half of it.

    Args:
        width: D, of the last stage; the first stages have a quarter and a half of it.
        motion: ``shift`` mixes neighbouring frames in every block, ``difference`` appends the
            differences of neighbouring tokens, ``none`` sees single frames.
        blocks: residual blocks of the last stage.
        top_down: tokens with stride 4.
    """

    mean = (0.45, 0.45, 0.45)
    std = (0.25, 0.25, 0.25)

    def __init__(
        self, *, width: int = 96, motion: str = "shift", blocks: int = 2, top_down: bool = False
    ) -> None:
        super().__init__()
        shift = motion == "shift"
        self.difference = motion == "difference"
        self.width = width * (2 if self.difference else 1)
        self.reach = int(self.difference) + (1 + blocks) * shift
        stem = width // 4
        self.stem = nn.Sequential(
            nn.Conv2d(3, stem, 3, 2, 1, bias=False), nn.BatchNorm2d(stem), nn.ReLU(inplace=True)
        )
        self.blocks = nn.ModuleList(
            [_Block(stem, width // 2, 2, shift), _Block(width // 2, width, 2, shift)]
            + [_Block(width, width, 1, shift) for _ in range(blocks - 1)]
        )
        self.lateral = nn.Conv2d(width // 2, width, 1) if top_down else None
        self.to(memory_format=torch.channels_last)  # a tenth faster on CPUs

    def forward(self, video: Tensor) -> Tensor:
        """Make a feature map.

        Args:
            video: (B, 3, T, H, W), normalised; H and W at least 16.

        Returns:
            (B, D, T, H / 8, W / 8), or (B, D, T, H / 4, W / 4) with ``top_down``.
        """
        frames = video.shape[2]
        # Channels last in one copy.
        x = video.permute(0, 2, 3, 4, 1).flatten(0, 1).permute(0, 3, 1, 2)
        fine = x = self.blocks[0](self.stem(x), frames)
        for block in self.blocks[1:]:
            x = block(x, frames)
        if self.lateral is not None:
            x = self.lateral(fine) + F.interpolate(
                x, fine.shape[-2:], mode="bilinear", align_corners=False
            )
        features = x.unflatten(0, (-1, frames)).transpose(1, 2)
        return with_differences(features) if self.difference else features


class BlindBackbone(nn.Module):
    """Sees nothing: learned tokens that are the same in every cell, frame and clip, with stride 8.

    A model on it can only know what it is told beside the video; what it scores under a protocol
    of wishes is what the wishes give away.

    Args:
        width: D.
    """

    mean = (0.0, 0.0, 0.0)
    std = (1.0, 1.0, 1.0)
    reach = 0

    def __init__(self, *, width: int = 96) -> None:
        super().__init__()
        self.width = width
        self.token = nn.Parameter(torch.randn(width))

    def forward(self, video: Tensor) -> Tensor:
        """(B, D, T, H / 8, W / 8) for a video (B, 3, T, H, W) with H and W at least 8."""
        batch, _, frames, height, width = video.shape
        token = self.token.view(1, -1, 1, 1, 1)
        return token.expand(batch, -1, frames, height // 8, width // 8)


def with_differences(features: Tensor) -> Tensor:
    """Append to every frame's features their change since the frame before (zero in the first).

    Args:
        features: (B, D, T, h, w).

    Returns:
        (B, 2 * D, T, h, w).
    """
    change = F.pad(features[:, :, 1:] - features[:, :, :-1], (0, 0, 0, 0, 1, 0))
    return torch.cat([features, change], dim=1)
