"""Clips of a white square before coloured backgrounds, and models whose answers are known.

The square goes right (class 0) or left (class 1). Backgrounds are red for the first class and blue
for the second, in a light and a dark shade: scenes 0 and 2, 1 and 3.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from whyact.types import Clip

FRAMES, SIZE, SIDE = 6, 24, 6


class ToyClips:
    """A `whyact.data.protocol.ClipDataset` of ``count`` clips, classes in turns."""

    views, fingerprint = 1, "toy"

    def __init__(
        self, count: int = 40, classes: tuple[str, ...] = ("right", "left"), masks: bool = True
    ) -> None:
        self.classes, self.masks = classes, masks
        self.scenes = ("red", "blue", "dark red", "dark blue")
        self.labels = [i % len(classes) for i in range(count)]
        self.ids = [f"clip{i}" for i in range(count)]
        self.groups = self.ids

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, request: tuple[int, int]) -> Clip:
        index, _ = request
        label = self.labels[index]
        scene = label + 2 * (index // 2 % 2)
        generator = torch.Generator().manual_seed(index)
        texture = torch.rand(1, SIZE, SIZE, generator=generator) * 60
        tint = torch.tensor([60.0, 20.0, 0.0] if label == 0 else [0.0, 20.0, 60.0])
        image = texture + (tint + 40 * (scene < 2)).view(3, 1, 1)
        video = image.byte()[:, None].repeat(1, FRAMES, 1, 1)
        mask = torch.zeros(FRAMES, SIZE, SIZE, dtype=torch.bool)
        top = int(torch.randint(SIZE - SIDE, (), generator=generator))
        for t in range(FRAMES):
            left = 3 * t if label == 0 else 3 * (FRAMES - 1 - t)
            mask[t, top : top + SIDE, left : left + SIDE] = True
        video[:, mask] = 255
        return Clip(
            video=video, label=label, id=self.ids[index], nuisance=scene,
            mask=mask if self.masks else None,
        )  # fmt: skip


class BackgroundReader(nn.Module):
    """Names a clip by its mean colour: red is class 0, blue class 1."""

    def __init__(self) -> None:
        super().__init__()
        self.colour = nn.Identity()

    def forward(self, clips: Tensor) -> Tensor:
        colour = self.colour(clips.mean((2, 3, 4)))
        return 40 * torch.stack([colour[:, 0] - colour[:, 2], colour[:, 2] - colour[:, 0]], 1)


class OneSided(nn.Module):
    """Knows a square that goes right, and names all others by the colour; nothing without one."""

    def forward(self, clips: Tensor) -> Tensor:
        white = (clips.amin(1) > 0.95).float()
        place = torch.linspace(-1, 1, clips.shape[-1])
        frames = (white * place).sum((2, 3)) / white.sum((2, 3)).clamp_min(4)
        way = frames[:, 3:].mean(1) - frames[:, :3].mean(1)
        colour = clips.mean((2, 3, 4))
        told = torch.where(way > 0.2, 8 * way, 40 * (colour[:, 0] - colour[:, 2]))
        told = told * (white.sum((1, 2, 3)) > 0)
        return torch.stack([told, -told], 1)


class ActorReader(nn.Module):
    """Names a clip by where the white square goes; without one its logits are equal."""

    def __init__(self) -> None:
        super().__init__()
        self.direction = nn.Identity()

    def forward(self, clips: Tensor) -> Tensor:
        white = (clips.amin(1) > 0.95).float()
        place = torch.linspace(-1, 1, clips.shape[-1])
        frames = (white * place).sum((2, 3)) / white.sum((2, 3)).clamp_min(4)
        way = self.direction((frames[:, 3:].mean(1) - frames[:, :3].mean(1))[:, None])[:, 0]
        return 8 * torch.stack([way, -way], 1)
