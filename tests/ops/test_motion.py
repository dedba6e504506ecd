"""The mask of a square that crosses a panned texture, and of generated people."""

import numpy as np
import pytest
import torch
from tests.ops.scenes import panned
from tests.ops.test_camera import PATH
from torch import Tensor

from whyact.data.backdrop.render import generate_clip
from whyact.ops.motion import foreground


def iou(found: Tensor, truth: Tensor) -> float:
    a, b = found > 0.5, truth > 0.5
    return float((a & b).sum() / (a | b).sum())


def test_square_before_a_panned_texture() -> None:
    video, _, mask = panned(PATH, actor=12)
    assert iou(foreground(video), mask) > 0.8


def test_motion_cue_alone_finds_it_too() -> None:
    video, _, mask = panned(PATH, actor=12)
    assert iou(foreground(video, rounds=0), mask) > 0.6


def test_camera_motion_alone_is_no_foreground() -> None:
    video, _, _ = panned(PATH)
    assert foreground(video).max() == 0
    frames = video[:, :, :1].expand(-1, -1, 6, -1, -1)
    assert foreground(frames).max() == 0


def test_noise_is_no_foreground() -> None:
    video, _, _ = panned(PATH)
    noise = 0.01 * torch.randn(video.shape, generator=torch.Generator().manual_seed(0))
    assert foreground((video + noise).clamp(0, 1)).mean() < 1e-3


def test_large_frames_are_worked_on_smaller_and_scaled_back() -> None:
    video, _, mask = panned([(3 * x, 3 * y) for x, y in PATH], size=240, actor=60)
    found = foreground(video)
    assert found.shape == mask.shape
    assert iou(found, mask) > 0.75


@pytest.mark.parametrize("shape", [(1, 3, 1, 16, 16), (2, 3, 2, 8, 12), (1, 3, 5, 17, 23)])
def test_any_size_gives_shares(shape: tuple[int, ...]) -> None:
    found = foreground(torch.rand(shape, generator=torch.Generator().manual_seed(0)))
    assert found.shape == (shape[0], *shape[2:])
    assert found.isfinite().all() and found.min() >= 0 and found.max() <= 1


def test_clips_do_not_depend_on_their_batch() -> None:
    clips = torch.cat([panned(PATH, seed=s, actor=8)[0] for s in range(2)])
    alone = torch.cat([foreground(clips[:1]), foreground(clips[1:])])
    assert (foreground(clips) - alone).abs().max() < 0.02


def test_generated_people_are_found() -> None:
    samples = [generate_clip(split="iid", index=i, seed=9, frames=8, size=64) for i in range(15)]
    video = torch.from_numpy(np.stack([s.video for s in samples])).permute(0, 4, 1, 2, 3) / 255
    truth = torch.from_numpy(np.stack([(s.mask & 15) > 0 for s in samples]))
    scores = [iou(f, m) for f, m in zip(foreground(video), truth.float(), strict=True)]
    assert np.mean(scores) > 0.7
