"""Any network as a callable on clips: RGB in [0, 1], (B, 3, T, H, W), to logits (B, Y)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from whyact.explainers.base import check_clips, logits_of
from whyact.types import WhyactError

Layout = Literal["channels_first", "frames_first", "per_frame"]


class ClipCallable(nn.Module):
    """Brings clips into the form that a network takes, and gives its logits.

    Frames are picked at equal distances, pixels are resized bilinearly, colours normalised.

    Args:
        network: maps what ``layout`` says to logits or to an output with ``logits``.
        frames: T that it takes; 0 leaves the clip's. size: (H, W) that it takes; empty likewise.
        mean, std: of the colours that it was trained with.
        layout: ``channels_first`` (B, 3, T, H, W), ``frames_first`` (B, T, 3, H, W), or
            ``per_frame`` (B * T, 3, H, W), whose logits are averaged over frames.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, *, network: Callable[[Tensor], Any], frames: int = 0, size: Sequence[int] = (),
        mean: Sequence[float] = (0.0, 0.0, 0.0), std: Sequence[float] = (1.0, 1.0, 1.0),
        layout: Layout = "channels_first",
    ) -> None:  # fmt: skip
        super().__init__()
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
            raise WhyactError(f"Expected three means and three deviations above 0: {mean}, {std}.")
        self.network, self.frames, self.size = network, frames, tuple(size)
        self.layout: Layout = layout
        shape = (1, 3, 1, 1, 1)
        self.register_buffer("mean", torch.tensor(list(mean)).view(shape), persistent=False)
        self.register_buffer("std", torch.tensor(list(std)).view(shape), persistent=False)

    def forward(self, clips: Tensor) -> Tensor:
        """Logits (B, Y) of clips (B, 3, T, H, W)."""
        check_clips(clips)
        clips = self._resized(self._picked(clips))
        clips = (clips - self.mean) / self.std
        if self.layout == "channels_first":
            return logits_of(self.network, clips)
        clips = clips.transpose(1, 2)
        if self.layout == "frames_first":
            return logits_of(self.network, clips)
        frames = logits_of(self.network, clips.flatten(0, 1))
        return frames.unflatten(0, clips.shape[:2]).mean(1)

    def _picked(self, clips: Tensor) -> Tensor:
        length = clips.shape[2]
        if self.frames in (0, length):
            return clips
        middle = (torch.arange(self.frames, device=clips.device) + 0.5) * length / self.frames
        return clips[:, :, middle.long()]

    def _resized(self, clips: Tensor) -> Tensor:
        if not self.size or tuple(clips.shape[3:]) == self.size:
            return clips
        frames = clips.transpose(1, 2).flatten(0, 1)
        large = F.interpolate(frames, self.size, mode="bilinear", antialias=True)
        return large.unflatten(0, (len(clips), -1)).transpose(1, 2)


@dataclass(frozen=True)
class OpenedModel:
    """A model of any kind, ready for explainers and audits.

    Attributes:
        call: see `ClipCallable`. name: as it was asked for.
        classes: names of its outputs, in order; empty where it has none.
        module: whose layers can be read by name; None for exported files.
        sha256: of the weights' bytes; of the tensors where there is no file.
        form: what it takes and where that was read: frames, size, mean, std, source.
        gradients: whether it can be differentiated.
    """

    call: Callable[[Tensor], Any]
    name: str
    classes: tuple[str, ...]
    module: nn.Module | None
    sha256: str
    form: dict[str, Any]
    gradients: bool = True
