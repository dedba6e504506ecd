"""Motion as a second picture of every frame: changes of brightness, or optical flow.

A field is (2, T, H, W) uint8. Flow holds x and y, displacements in ``[-bound, bound]`` pixels
spread over 0 … 255, which is how ``flow_x``/``flow_y`` images are commonly written. Changes hold
the brightness against the frame before and after, spread over the same range. The middle is rest.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from whyact.extras import needed
from whyact.types import WhyactError

Flow = Callable[[Tensor], Tensor]
"""From a clip (3, T, H, W) uint8 to displacements (2, T, H, W) in pixels, frame to next frame."""

_LUMA = (0.299, 0.587, 0.114)
_LEAST = 128  # pixels; RAFT's correlation pyramid needs as many


def to_bytes(field: Tensor) -> Tensor:
    """Values in [-1, 1] as uint8."""
    return ((field.clamp(-1, 1) + 1) * 127.5).round().byte()


def frame_changes(video: Tensor) -> Tensor:
    """Change of brightness since the frame before, and to the frame after; in [0, 1], 0.5 is none.

    Args:
        video: (…, 3, T, H, W), RGB in [0, 1].

    Returns:
        (…, 2, T, H, W). The first frame has no before, the last no after: no change.
    """
    weights = torch.tensor(_LUMA, dtype=video.dtype, device=video.device).view(3, 1, 1, 1)
    luma = (video * weights).sum(-4)
    step = luma[..., 1:, :, :] - luma[..., :-1, :, :]
    rest = torch.zeros_like(luma[..., :1, :, :])
    before, after = torch.cat([rest, step], -3), torch.cat([step, rest], -3)
    return (torch.stack([before, after], -4) + 1) / 2


def mirror_flow(field: Tensor) -> Tensor:
    """A flow field of the mirrored clip: mirrored, and x the other way. Twice is nothing.

    Args:
        field: (2, T, H, W) uint8.
    """
    turned = field.flip(-1)
    return torch.stack([255 - turned[0], turned[1]])


def flow_field(video: Tensor, flow: Flow, bound: float) -> Tensor:
    """Optical flow of a clip (3, T, H, W) uint8 as a field; the last frame repeats the one before.

    Args:
        video: the clip. flow: method. bound: pixels at the ends of the range.
    """
    if video.shape[1] < 2:
        return torch.full((2, *video.shape[1:]), 128, dtype=torch.uint8)
    moved = flow(video)
    return to_bytes(torch.cat([moved, moved[:, -1:]], 1) / bound)


def opencv_flow(method: str) -> Flow:
    """Farnebäck (2003) or DIS (Kroeger et al., ECCV 2016) by OpenCV.

    Raises:
        WhyactError: OpenCV is not installed.
    """
    cv2 = needed("cv2", "opencv", f"data.motion.source '{method}'")
    cv2.setNumThreads(1)
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM) if method == "dis" else None

    def flow(video: Tensor) -> Tensor:
        frames = video.permute(1, 2, 3, 0).contiguous().numpy()
        grey = [cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in frames]
        moved = [
            dis.calc(a, b, np.zeros((*a.shape, 2), np.float32))
            if dis is not None
            else cv2.calcOpticalFlowFarneback(
                a, b, np.zeros((*a.shape, 2), np.float32), 0.5, 3, 15, 3, 5, 1.2, 0
            )
            for a, b in itertools.pairwise(grey)
        ]
        return torch.from_numpy(np.stack(moved)).permute(3, 0, 1, 2)

    return flow


def raft_flow(weights: str, *, device: str = "cpu") -> Flow:
    """RAFT (Teed and Deng, ECCV 2020) by torchvision, with weights from a file.

    Args:
        weights: state dict of ``raft_small`` or ``raft_large`` (.pt, .pth). device: to run on.

    Raises:
        WhyactError: no such file, or weights of another network.
    """
    from torchvision.models.optical_flow import raft_large, raft_small

    if not Path(weights).is_file():
        raise WhyactError(
            f"data.motion.weights: '{weights}' is no file; give the path of torchvision's RAFT "
            "weights (raft_small or raft_large)."
        )
    state = torch.load(weights, map_location="cpu", weights_only=True)
    for make in (raft_small, raft_large):
        network = make(weights=None)
        if set(network.state_dict()) == set(state):
            network.load_state_dict(state)
            break
    else:
        raise WhyactError(f"{weights}: not the weights of torchvision's raft_small or raft_large.")
    network.eval().requires_grad_(False).to(device)

    def flow(video: Tensor) -> Tensor:
        frames = video.transpose(0, 1).float().to(device) / 127.5 - 1
        h, w = frames.shape[-2:]
        size = max(_LEAST, -(-h // 8) * 8), max(_LEAST, -(-w // 8) * 8)
        scaled = F.interpolate(frames, size, mode="bilinear", align_corners=False)
        with torch.no_grad():
            moved = network(scaled[:-1], scaled[1:], num_flow_updates=8)[-1]
        back = F.interpolate(moved, (h, w), mode="bilinear", align_corners=False)
        ratio = torch.tensor([w / size[1], h / size[0]], device=back.device).view(1, 2, 1, 1)
        return (back * ratio).transpose(0, 1).cpu()

    return flow
