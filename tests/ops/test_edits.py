"""Paste, fill, static clips and mixes, pixel by pixel."""

import pytest
import torch
from tests.ops.scenes import panned
from tests.ops.test_camera import PATH

from whyact.ops.fill import FILLS, fill_region, filling
from whyact.ops.mix import draw_beta, mix_static
from whyact.ops.paste import paste_foreground, remove_actor, soft_mask
from whyact.ops.static import paused_clip, static_clip
from whyact.types import WhyactError


def half_mask() -> torch.Tensor:
    mask = torch.zeros(1, 2, 4, 4)
    mask[..., :2] = 1
    return mask


def test_paste_takes_the_actor_and_the_other_background() -> None:
    actor, behind = torch.full((1, 3, 2, 4, 4), 0.9), torch.full((1, 3, 2, 4, 4), 0.1)
    hard = paste_foreground(actor, half_mask(), behind, feather=0)
    assert torch.allclose(hard[0, 0, 0, 0], torch.tensor([0.9, 0.9, 0.1, 0.1]))
    wide = paste_foreground(actor, half_mask(), behind, dilation=1, feather=0)
    assert torch.allclose(wide[0, 0, 0, 0], torch.tensor([0.9, 0.9, 0.9, 0.1]))
    # Feathering by one pixel averages the mask over three: 1, 2/3, 1/3, 0.
    soft = paste_foreground(actor, half_mask(), behind, feather=1)
    expected = 0.1 + 0.8 * torch.tensor([1, 2 / 3, 1 / 3, 0])
    assert torch.allclose(soft[0, 0, 0, 0], expected)


def test_soft_mask_takes_bool() -> None:
    assert soft_mask(half_mask().bool()).dtype == torch.float32


def test_removed_actor_is_gone_and_the_rest_is_untouched() -> None:
    video, behind, mask = panned(PATH, actor=10)
    clean = remove_actor(video, mask)
    assert ((clean - behind).abs() * mask[:, None]).max() < 0.2
    far = torch.nn.functional.max_pool2d(mask[0], 9, 1, 4) == 0
    assert torch.equal(clean[0][:, far], video[0][:, far])


@pytest.mark.parametrize("fill", FILLS)
def test_fill_changes_only_the_region(fill: str) -> None:
    video, _, mask = panned(PATH, actor=10)
    generator = torch.Generator().manual_seed(0)
    filled = fill_region(video, mask.bool(), fill, generator=generator)
    keep = (mask == 0)[:, None].expand_as(video)
    assert torch.equal(filled[keep], video[keep])
    assert (filled - video)[~keep].abs().mean() > 0.1


def test_fill_values() -> None:
    video, behind, mask = panned([(0, 0)] * 6, actor=6)
    mean = filling(video, mask, "mean", mean=(0.1, 0.2, 0.3))
    assert torch.allclose(mean[0, :, 3, 5, 7], torch.tensor([0.1, 0.2, 0.3]))
    # A still camera: other frames show exactly what is behind the square.
    assert torch.allclose(fill_region(video, mask, "frame"), behind)
    assert ((fill_region(video, mask, "plate") - behind).abs()).max() < 0.02
    noise = [
        filling(video, mask, "noise", generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2)
    ]
    assert torch.equal(noise[0], noise[1]) and not torch.equal(noise[0], noise[2])


def test_nearest_frame_prefers_the_earlier_and_falls_back_to_blur() -> None:
    video = torch.arange(4.0).view(1, 1, 4, 1, 1).expand(1, 3, 4, 8, 8) / 4
    mask = torch.tensor([0.0, 1, 0, 0]).view(1, 4, 1, 1).expand(1, 4, 8, 8)
    assert filling(video, mask, "frame")[0, 0, :, 0, 0].tolist() == [0, 0, 0.5, 0.75]
    assert torch.allclose(
        filling(video, torch.ones(1, 4, 8, 8), "frame"), filling(video, mask, "blur")
    )


def test_unknown_fill_lists_the_choices() -> None:
    with pytest.raises(WhyactError, match=r"Unknown fill-in 'black'.*'blur', 'mean'"):
        filling(torch.zeros(1, 3, 1, 4, 4), torch.zeros(1, 1, 4, 4), "black")  # type: ignore[arg-type]


def test_static_clip_repeats_the_frame() -> None:
    video = torch.rand(2, 3, 4, 6, 6)
    still = static_clip(video, torch.tensor([2, 0]))
    for t in range(4):
        assert torch.equal(still[:, :, t], torch.stack([video[0, :, 2], video[1, :, 0]]))


def test_static_pan_moves_the_content_by_whole_pixels() -> None:
    video = torch.rand(1, 3, 3, 8, 8)
    still = static_clip(video, torch.tensor([1]), pan=torch.tensor([[2.0, 0.0]]))
    assert torch.allclose(still[:, :, 1], video[:, :, 1], atol=1e-5)
    assert torch.allclose(still[:, :, 2, :, 2:], video[:, :, 1, :, :-2], atol=1e-5)
    assert torch.allclose(still[:, :, 0, :, :-2], video[:, :, 1, :, 2:], atol=1e-5)


@pytest.mark.parametrize(
    ("frame", "start", "stop", "shown", "still"),
    [
        # Plays up to frame 5, holds it for four frames, plays on.
        (5, 3, 7, [2, 3, 4, 5, 5, 5, 5, 6], [0, 0, 0, 0, 1, 1, 0, 0]),
        # One frame before the first: it is held too, and stands still at the clip's start.
        (1, 2, 6, [0, 0, 1, 1, 1, 1, 2, 3], [1, 0, 0, 1, 1, 0, 0, 0]),
        # Nothing is left to play after the last frame.
        (7, 1, 5, [6, 7, 7, 7, 7, 7, 7, 7], [0, 0, 1, 1, 1, 1, 1, 1]),
        (4, 0, 8, [4] * 8, [1] * 8),
    ],
)
def test_a_pause_holds_its_frame_and_the_clip_plays_around_it(
    frame: int, start: int, stop: int, shown: list[int], still: list[int]
) -> None:
    video = torch.arange(8.0).view(1, 1, 8, 1, 1).expand(1, 3, -1, 4, 4)
    times = (torch.tensor([t]) for t in (frame, start, stop))
    made, stands = paused_clip(video, *times)
    assert made[0, 0, :, 0, 0].tolist() == shown
    assert stands[0].int().tolist() == still


def test_the_camera_pans_during_the_pause_only() -> None:
    video = torch.rand(1, 3, 6, 8, 8)
    times = (torch.tensor([t]) for t in (2, 1, 4))  # frames 1, 2, 2, 2, 3, 4
    made, _ = paused_clip(video, *times, pan=torch.tensor([[2.0, 0.0]]))
    # Content moves by 2 pixels a frame, and the middle of the pause is where it was.
    assert torch.allclose(made[:, :, 2], video[:, :, 2], atol=1e-5)
    assert torch.allclose(made[:, :, 3, :, 2:], video[:, :, 2, :, :-2], atol=1e-5)
    assert torch.allclose(made[:, :, 1, :, :-2], video[:, :, 2, :, 2:], atol=1e-5)
    # Before and after the camera stands where the pause begins and ends.
    assert torch.allclose(made[:, :, 0, :, :-2], video[:, :, 1, :, 2:], atol=1e-5)
    for t, source in ((4, 3), (5, 4)):
        assert torch.allclose(made[:, :, t, :, 2:], video[:, :, source, :, :-2], atol=1e-5)


def test_mix_is_a_weighted_sum() -> None:
    video, still = torch.full((2, 3, 4, 2, 2), 1.0), torch.zeros(2, 3, 2, 2)
    mixed = mix_static(video, still, torch.tensor([0.25, 0.5]))
    assert mixed[0].unique().tolist() == [0.25] and mixed[1].unique().tolist() == [0.5]


def test_beta_draws_follow_the_generator_and_the_law() -> None:
    def draw(seed: int) -> torch.Tensor:
        return draw_beta(4000, 200.0, torch.Generator().manual_seed(seed))

    assert torch.equal(draw(1), draw(1)) and not torch.equal(draw(1), draw(2))
    # The variance of Beta(a, a) is 1 / (4 (2 a + 1)).
    assert abs(draw(1).mean() - 0.5) < 0.003
    assert abs(draw(1).var() * 4 * 401 - 1) < 0.1
