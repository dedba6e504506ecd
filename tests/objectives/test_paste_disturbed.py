"""Pasted actors that are cut by gaps and move at another tempo, on bars that can be counted."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from whyact.objectives.base import View
from whyact.objectives.foreground_paste import GAP_WIDTH, ForegroundPaste
from whyact.types import Batch, WhyactError

COUNT, FRAMES, WIDTH = 40, 9, 100
LEFT, RIGHT = 20, 80


def batch() -> Batch:
    """A wide actor whose red tells the frame, before black; backgrounds are white."""
    video = torch.zeros(COUNT, 3, FRAMES, 8, WIDTH)
    actor = torch.zeros(COUNT, FRAMES, 8, WIDTH)
    actor[:, :, 2:6, LEFT:RIGHT] = 1
    video[:, 0] = torch.arange(FRAMES).view(1, -1, 1, 1) / FRAMES * 0.9
    return Batch(
        video=video, label=torch.arange(COUNT), ids=tuple(map(str, range(COUNT))),
        nuisance=torch.arange(COUNT), foreground=actor, mask=actor > 0,
        background=torch.ones_like(video),
    )  # fmt: skip


def pasted(**settings: float) -> View:
    views = ForegroundPaste(share=1.0, **settings).views(batch(), torch.Generator().manual_seed(0))
    return views["pasted"]


def frames_seen(view: View) -> Tensor:
    """(n, T), the frame of the clip that each frame shows in the middle of the actor."""
    inside = view.batch.video[:, 0, :, 4, LEFT + 25 : RIGHT - 25].amin(-1)
    return (inside / 0.9 * FRAMES).round().long()


def test_without_them_the_actor_is_as_it_was() -> None:
    view = pasted()
    assert frames_seen(view).eq(torch.arange(FRAMES)).all()
    assert view.batch.mask[:, :, 4, LEFT:RIGHT].all()


@pytest.mark.parametrize("mask", ["motion", "true"])
def test_the_foreground_of_a_pasted_clip_is_what_was_pasted(mask: str) -> None:
    """Beside a soft halo, and where the truth is another half of the actor than what moved."""
    soft = batch()
    assert soft.foreground is not None and soft.mask is not None
    foreground = 0.4 + 0.3 * soft.foreground
    half = soft.mask.clone()
    half[..., :50] = False
    soft = replace(soft, foreground=foreground, mask=half)
    view = ForegroundPaste(share=1.0, mask=mask).views(soft, torch.Generator().manual_seed(0))
    made = view["pasted"].batch
    expected = half if mask == "true" else foreground > 0.5
    assert torch.equal(made.foreground, expected[view["pasted"].rows].float())


def test_tempo_keeps_the_order_and_its_bounds() -> None:
    seen = frames_seen(pasted(tempo=2.0))
    steps = seen.diff(dim=1)
    assert steps.min() >= 0 and steps.max() <= 2  # no faster than asked for, never backwards
    moved = seen[:, -1] - seen[:, 0]
    assert moved.min() >= FRAMES // 2 and moved.max() == FRAMES - 1  # at least half the clip
    slow, fast = (moved < FRAMES - 1).float().mean(), (steps[:, 0] == 2).float().mean()
    assert slow > 0.25 and fast > 0.1
    assert len({tuple(row) for row in seen.tolist()}) > COUNT // 4  # each has its own


def test_gaps_hide_the_actor_in_pixels_and_masks_alike() -> None:
    view = pasted(gaps=0.8)
    masked = view.batch.mask[:, 0, 4, LEFT:RIGHT]
    assert torch.equal(masked, view.batch.foreground[:, 0, 4, LEFT:RIGHT] > 0.5)
    assert (view.batch.mask[:, :1] == view.batch.mask).all()  # a post stands still
    hidden = (~masked).sum(1)
    largest = 2 * (GAP_WIDTH[1] * WIDTH + 1)
    assert hidden.max() <= largest and 0.1 < (hidden == 0).float().mean() < 0.35
    assert hidden[hidden > 0].min() >= GAP_WIDTH[0] * WIDTH - 1
    # White of the background where the gap is at least a rim wide, and the actor's own red beside.
    shown = view.batch.video[:, 1, 0, 4, LEFT:RIGHT]
    assert shown[~masked].mean() > 0.8 and shown[masked].mean() < 0.2


def test_a_camera_moves_actor_masks_and_background_alike() -> None:
    still, view = pasted(), pasted(camera=0.4)
    assert torch.equal(still.rows, view.rows)
    middle, mask = FRAMES // 2, view.batch.mask
    torch.testing.assert_close(view.batch.video[:, :, middle], still.batch.video[:, :, middle])
    assert mask.dtype == torch.bool and torch.equal(view.batch.foreground > 0.5, mask)
    left = mask.any(2).float().argmax(2)
    moved = (left[:, -1] - left[:, 0]).float()  # a pan of 0.4 is 40 pixels, a zoom of 0.2 six more
    assert 25 < moved.abs().max() <= 46 and moved.min() < -10 and moved.max() > 10
    assert (moved.abs() < 8).float().mean() < 0.5
    # Steps are even, but for whole pixels.
    assert (left.diff(dim=1) - moved[:, None] / (FRAMES - 1)).abs().max() < 2
    rows = mask.any(3).float().argmax(2)
    assert len(rows[:, -1].unique()) > 1  # up and down too
    green = view.batch.video[:, 1]  # the actor has none, and all that lies around it
    assert green[mask].mean() < 0.2 and green[~mask].mean() > 0.8


def test_an_actor_at_the_border_is_not_mirrored() -> None:
    """The actor fills the left of the frame: what comes in from beyond it is background."""
    wide = batch()
    actor = torch.zeros_like(wide.foreground)
    actor[..., :40] = 1
    wide = replace(wide, foreground=actor, mask=actor > 0)
    view = ForegroundPaste(share=1.0, camera=0.4).views(wide, torch.Generator().manual_seed(0))
    batch_ = view["pasted"].batch
    uncovered = ~batch_.mask
    assert uncovered[:, 0, :, :10].any() and uncovered[:, -1, :, :10].any()
    deep = uncovered[:, [0, -1], :, :5].all(-1)  # away from the feathered seam
    assert deep.any()
    assert batch_.video[:, 1][:, [0, -1], :, :3][deep].mean() > 0.9


@pytest.mark.parametrize(
    "settings", [{"gaps": 1.1}, {"gaps": -0.1}, {"tempo": 0.9}, {"ramp": 1.1}, {"camera": 1.1}]
)
def test_what_cannot_be(settings: dict[str, float]) -> None:
    (name,) = settings
    bounds = r"at least 1" if name == "tempo" else r"in \[0, 1\]"
    with pytest.raises(WhyactError, match=rf"foreground_paste_{name} must be {bounds}, got"):
        ForegroundPaste(**settings)


def test_a_ramp_disturbs_a_share_of_the_actors_that_grows() -> None:
    settings = {"gaps": 0.8, "tempo": 2.0, "ramp": 0.5}
    still = pasted(camera=0.0).batch.video
    for progress, least, most in ((0.0, 0.0, 0.0), (0.25, 0.2, 0.8), (0.5, 1.0, 1.0)):
        at = replace(batch(), progress=progress)
        views = ForegroundPaste(share=1.0, camera=0.4, ramp=0.5).views(
            at, torch.Generator().manual_seed(0)
        )
        other = (views["pasted"].batch.video != still).flatten(1).any(1).float().mean()
        assert least <= other <= most
    touched = []
    for progress in (0.0, 0.25, 0.5, 1.0):
        at = replace(batch(), progress=progress)
        views = ForegroundPaste(share=1.0, **settings).views(at, torch.Generator().manual_seed(0))
        seen = frames_seen(views["pasted"])
        other = (seen != torch.arange(FRAMES)).any(1)
        gap = ~views["pasted"].batch.mask[:, 0, 4, LEFT:RIGHT].all(1)
        touched.append((other.float().mean().item(), gap.float().mean().item()))
    assert touched[0] == (0.0, 0.0)
    assert 0.2 < touched[1][0] < 0.7 < touched[2][0] and 0.2 < touched[1][1] < 0.6 < touched[2][1]
    assert touched[2] == touched[3]
