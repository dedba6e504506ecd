"""Put the actor of one clip in front of another clip's background."""

from __future__ import annotations

from torch import Tensor

from whyact.ops.plate import background_plate
from whyact.ops.warp import box_mean, dilate


def soft_mask(mask: Tensor, dilation: int = 0, feather: int = 0) -> Tensor:
    """Grow a mask and soften its edge.

    Args:
        mask: (B, T, H, W) in [0, 1], bool allowed.
        dilation: pixels to grow it by.
        feather: radius of the edge's softening, in pixels.

    Returns:
        (B, T, H, W) float32 in [0, 1].
    """
    return box_mean(dilate(mask.float(), dilation), feather).clamp(0, 1)


def rim(clips: Tensor) -> int:
    """Pixels around an actor that go with it, in clips (..., H, W)."""
    return max(1, round(min(clips.shape[-2:]) / 32))


def remove_actor(video: Tensor, mask: Tensor, dilation: int = 2, feather: int = 1) -> Tensor:
    """A clip without its actor: other frames, or what lies around, show what was behind them.

    Args:
        video: (B, 3, T, H, W) float in [0, 1].
        mask: (B, T, H, W) in [0, 1], true on the actor.
        dilation: pixels around the mask that are replaced too, against a rim of the actor.
        feather: softening of the seam, in pixels.
    """
    wide = dilate(mask.float(), dilation)
    plate = background_plate(video, wide)
    seam = soft_mask(wide, 0, feather)[:, None]
    return video + seam * (plate - video)


def paste_foreground(
    video: Tensor, mask: Tensor, background: Tensor, dilation: int = 0, feather: int = 1
) -> Tensor:
    """``m * video + (1 - m) * background``.

    Source: FAME (Ding et al., CVPR 2022), eq. 3, with a camera-compensated mask in place of the
    frame difference and with the background's own actor removed first (`remove_actor`), so that no
    second actor appears.

    Args:
        video: (B, 3, T, H, W) float in [0, 1], clips whose actor is kept.
        mask: (B, T, H, W) in [0, 1], true on that actor.
        background: (B, 3, T, H, W), what it is pasted on.
        dilation: pixels around the mask that are pasted too.
        feather: softening of the seam, in pixels.
    """
    share = soft_mask(mask, dilation, feather)[:, None]
    return background + share * (video - background)
