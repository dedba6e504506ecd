"""Clips whose camera, plate and actor are known."""

import torch
from torch import Tensor
from torch.nn import functional as F


def texture(height: int, width: int, seed: int = 0) -> Tensor:
    """(3, height, width) in [0.2, 0.6], smooth noise with detail of about four pixels."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, height // 4, width // 4, generator=generator)
    fine = F.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)
    return (0.2 + 0.4 * fine)[0]


def panned(
    shifts: list[tuple[int, int]], size: int = 48, actor: int = 0, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """A camera that moves by whole pixels over a texture.

    Args:
        shifts: (x, y) by which the content has moved in each frame.
        size: of the frame. actor: side of a bright square that crosses the frame; 0 for none.
        seed: of the texture.

    Returns:
        Video (1, 3, T, size, size), what is behind the actor, and the actor's mask.
    """
    room = 4 * max(8, size // 4)
    wide = texture(size + 2 * room, size + 2 * room, seed)
    plate = torch.stack(
        [wide[:, room - y : room - y + size, room - x : room - x + size] for x, y in shifts], 1
    )
    video, mask = plate.clone(), torch.zeros(len(shifts), size, size)
    for t in range(len(shifts)):
        # Against the camera, whose content moves to the right in the tests.
        left = size - actor - 2 - t * (size - actor - 4) // len(shifts)
        mask[t, size // 3 : size // 3 + actor, left : left + actor] = 1
    video = torch.where(mask[None] > 0, torch.tensor([0.95, 0.9, 0.1]).view(3, 1, 1, 1), video)
    return video[None], plate[None], mask[None]
