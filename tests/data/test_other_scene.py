"""People before other scenes: their pixels stay, the rest goes."""

import numpy as np
import torch
from torch import Tensor

from whyact.data.other_scene import before_other_scene
from whyact.data.transforms import TrainTransform
from whyact.ops import motion
from whyact.ops.motion import foreground, whole_actors


def walking_square(color: float) -> tuple[Tensor, Tensor]:
    """A square of 16 pixels that moves by 8 a frame over grey noise, and its mask (T, H, W)."""
    video = (0.5 + 0.02 * torch.randn(3, 8, 112, 112, generator=torch.manual_seed(0))).clamp(0, 1)
    video[:] = video[:, :1]  # the ground stands still
    mask = torch.zeros(8, 112, 112, dtype=torch.bool)
    for t in range(8):
        mask[t, 40:56, 16 + 8 * t : 32 + 8 * t] = True
    return torch.where(mask, color, video), mask


def test_limbs_that_half_count_and_whatever_moves_are_of_the_actor(monkeypatch) -> None:
    likely, moving = torch.zeros(2, 1, 2, 64, 64)
    likely[:, :, 10, 10], likely[:, :, 30, 30], moving[:, :, 50, 50] = 0.3, 0.1, 0.3
    monkeypatch.setattr(motion, "foreground", lambda video, rounds=2: likely if rounds else moving)
    whole = whole_actors(torch.zeros(1, 3, 2, 64, 64))
    expected = torch.zeros(64, 64, dtype=torch.bool)
    expected[9:12, 9:12] = expected[49:52, 49:52] = True  # with a rim of one pixel of 64
    assert whole.dtype == torch.bool and (whole == expected).all()


def test_actors_are_found_whole_and_little_else() -> None:
    video, mask = walking_square(0.9)
    whole = whole_actors(video[None])[0]
    assert whole[mask].float().mean() > 0.99
    assert not (foreground(video[None])[0] > 0.5)[~whole].any()  # never less than the best guess
    assert not whole[:, :20].any() and not whole[:, 100:].any()


def test_actors_stay_and_their_scene_goes() -> None:
    video, mask = walking_square(0.9)
    clip = (video * 255).round().byte()
    made = before_other_scene(clip, np.random.default_rng(0))
    assert made.dtype == torch.uint8 and made.shape == clip.shape
    inside = mask[None].expand_as(clip)
    assert (made.int() - clip.int())[inside].abs().float().mean() < 3
    assert (made[:, :, :20] != clip[:, :, :20]).float().mean() > 0.9
    assert (made[:, :, :20] == made[:, :1, :20]).all()  # one still scene for all frames


def test_a_clip_without_actors_comes_back_as_it_is() -> None:
    still = (walking_square(0.9)[0][:, :1] * 255).byte().expand(-1, 8, -1, -1)
    assert before_other_scene(still, np.random.default_rng(0)) is still


def test_the_share_of_training_clips_is_drawn_and_off_draws_nothing() -> None:
    clip = (walking_square(0.9)[0] * 255).byte()
    plain, sometimes = (
        TrainTransform(short_side=112, size=112, color_jitter=0.0, other_scene=share)
        for share in (0.0, 0.5)
    )
    rng, untouched = np.random.default_rng(0), np.random.default_rng(0)
    assert plain.scene(clip, rng) is clip
    assert rng.random() == untouched.random()
    changed = [
        not torch.equal(sometimes.scene(clip, np.random.default_rng(i)), clip) for i in range(20)
    ]
    assert 4 <= sum(changed) <= 16
