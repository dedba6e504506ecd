"""Static, mixed and pasted views: what they show, who they pair, and what they cost."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from tests.toys import toy_batch, toy_output

from whyact.objectives.background_mix import BackgroundMix
from whyact.objectives.base import Objective, View
from whyact.objectives.foreground_paste import ForegroundPaste
from whyact.objectives.pause import Pause
from whyact.objectives.static_entropy import StaticEntropy
from whyact.objectives.terms import draw_partners, draw_rows, label_loss
from whyact.types import Batch, WhyactError


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def masked_batch(count: int = 6, classes: int = 3) -> Batch:
    """Each clip is a flat colour with a white square; flat, so that its plate is known."""
    batch = toy_batch(count, size=32, classes=classes, scenes=count)
    video = torch.linspace(0.1, 0.7, count).view(-1, 1, 1, 1, 1).expand(-1, 3, 4, 32, 32).clone()
    mask = torch.zeros(count, 4, 32, 32).bool()
    for t in range(4):
        mask[:, t, 10:18, 4 + 6 * t : 10 + 6 * t] = True
    video = torch.where(mask[:, None], torch.ones(()), video)
    attention = torch.full(mask.shape, 0.5)
    return replace(batch, video=video, mask=mask, foreground=mask.float(), attention=attention)


@pytest.mark.parametrize(
    ("objective", "name"),
    [
        (StaticEntropy(share=0.5, pan=1.0), "static"),
        (Pause(share=0.5, pan=1.0), "paused"),
        (BackgroundMix(share=0.5), "mixed"),
        (ForegroundPaste(share=0.5), "pasted"),
        (ForegroundPaste(share=0.5, mask="true"), "pasted"),
        (ForegroundPaste(share=0.5, mask="regions"), "pasted"),
    ],
)
def test_the_generator_decides_everything(objective: Objective, name: str) -> None:
    batch = masked_batch()
    one, same, other = (objective.views(batch, seeded(s))[name] for s in (1, 1, 2))
    assert torch.equal(one.batch.video, same.batch.video)
    assert torch.equal(one.rows, same.rows) and torch.equal(one.background, same.background)
    assert not torch.equal(one.batch.video, other.batch.video)
    assert len(one.batch) == 3
    assert one.batch.ids == tuple(batch.ids[int(i)] for i in one.rows)
    assert torch.equal(batch.video, masked_batch().video)  # the batch itself stays as it was


def test_partners_are_never_the_clip_itself_and_differ_in_label() -> None:
    label = torch.tensor([0, 0, 0, 0, 1])
    rows = torch.arange(5)
    for seed in range(50):
        partners = draw_partners(rows, rows, label, seeded(seed))
        assert (partners != rows).all()
        assert partners[:4].tolist() == [4, 4, 4, 4]
    multi = torch.tensor([[1.0, 0], [1, 0], [1, 1]])
    partners = draw_partners(torch.arange(3), torch.arange(3), multi, seeded())
    assert partners[:2].tolist() == [2, 2]
    alike = draw_partners(rows[:3], rows[:3], label, seeded())
    assert (alike != rows[:3]).all()


def test_share_of_rows() -> None:
    assert len(draw_rows(8, 0.25, seeded())) == 2
    assert len(draw_rows(8, 0.01, seeded())) == 1
    assert sorted(draw_rows(3, 1.0, seeded()).tolist()) == [0, 1, 2]
    assert len(draw_rows(8, 0.0, seeded())) == 0 and len(draw_rows(0, 0.5, seeded())) == 0


def test_label_loss_of_undefined_multi_hot_clips() -> None:
    logits = torch.tensor([[0.0, 0.0], [9.0, 9.0]])
    label = torch.tensor([[1.0, 0.0], [-1.0, -1.0]])
    assert label_loss(logits, label).item() == pytest.approx(math.log(2))


def test_static_view_repeats_one_frame_and_has_no_label() -> None:
    batch = toy_batch(4)
    view = StaticEntropy(share=1.0).views(batch, seeded())["static"]
    assert sorted(view.rows.tolist()) == [0, 1, 2, 3]
    for clip, row in zip(view.batch.video, view.rows, strict=True):
        assert torch.equal(clip, clip[:, :1].expand_as(clip))
        assert any(torch.equal(clip[:, 0], batch.video[row, :, t]) for t in range(4))
    assert view.batch.label.tolist() == [-1] * 4
    assert torch.equal(view.batch.nuisance, batch.nuisance[view.rows])
    multi = replace(batch, label=torch.ones(4, 3))
    static = StaticEntropy(share=1.0).views(multi, seeded())["static"]
    assert static.batch.label.tolist() == [[-1] * 3] * 4


def test_static_loss_is_the_missing_entropy() -> None:
    # A uniform guess over four costs 0, a sure one log 4, one among two log 2.
    logits = torch.tensor([[0.0, 0, 0, 0], [99, 0, 0, 0], [50, 50, 0, 0]]).requires_grad_()
    outputs = {"clip": toy_output(2, classes=4), "static": toy_output(3, classes=4, logits=logits)}
    loss = StaticEntropy().loss(outputs, toy_batch(2), {})
    assert loss.item() == pytest.approx((0 + math.log(4) + math.log(2)) / 3, abs=1e-6)
    loss.backward()
    assert outputs["clip"].contributions.grad is None and logits.grad is not None


def test_paused_view_stands_still_for_half_of_the_clip_and_has_no_label() -> None:
    batch = toy_batch(40, frames=8)
    lengths = set()
    for seed in range(3):
        view = Pause(share=1.0).views(batch, seeded(seed))["paused"]
        assert view.batch.label.tolist() == [-1] * 40 and view.still is not None
        for clip, row, still in zip(view.batch.video, view.rows, view.still, strict=True):
            shown = [(batch.video[row] == f[:, None]).flatten(2).all(2)[0].nonzero().item()
                     for f in clip.unbind(1)]  # fmt: skip
            assert all(b - a in (0, 1) for a, b in pairwise(shown))
            held = [shown.count(f) for f in shown]
            assert max(held) >= 4
            lengths.add(max(held))
            ends = [shown[0], *shown, shown[-1]]
            assert still.tolist() == [
                a == b == c for a, b, c in zip(ends, shown, ends[2:], strict=False)
            ]
    assert lengths == {4, 5, 6, 7, 8}


def test_pause_loss_is_of_the_still_steps_alone() -> None:
    # Two steps of two frames and one region; only the second step stands still as a whole.
    # Its logits (log 4, 0): KL(uniform || (4/5, 1/5)) = log(1/2) - (log 4/5 + log 1/5) / 2.
    contributions = torch.tensor([[[9.0, 0]], [[math.log(4), 0]]])[None] / 2
    given = {"contributions": contributions.requires_grad_(), "bias": torch.zeros(2)}
    output = toy_output(1, frames=2, regions=1, classes=2, **given)
    still = torch.tensor([[True, False, True, True]])
    view = View(toy_batch(1), torch.tensor([0]), torch.tensor([0]), still)
    outputs = {"clip": toy_output(1, classes=2), "paused": output}
    loss = Pause().loss(outputs, toy_batch(1), {"paused": view})
    assert loss.item() == pytest.approx(-math.log(2) - math.log(4 / 25) / 2, abs=1e-6)
    loss.backward()
    assert not contributions.grad[0, 0].any() and contributions.grad[0, 1].all()
    # Of several labels each is absent: softplus(log 4) = log 5, softplus(0) = log 2.
    several = replace(toy_batch(1), label=torch.ones(1, 2))
    absent = Pause().loss(outputs, several, {"paused": view})
    assert absent.item() == pytest.approx((math.log(5) + math.log(2)) / 2, abs=1e-6)
    nowhere = replace(view, still=torch.zeros(1, 4, dtype=torch.bool))
    assert Pause().loss(outputs, toy_batch(1), {"paused": nowhere}).item() == 0


def test_mixed_view_blends_a_frame_of_another_clip() -> None:
    batch = replace(toy_batch(4), label=torch.tensor([0, 0, 0, 1]))
    view = BackgroundMix(share=1.0, alpha=1e6).views(batch, seeded())["mixed"]
    assert (batch.label[view.rows] != batch.label[view.background]).all()
    assert torch.equal(view.batch.label, batch.label[view.rows])
    assert view.batch.nuisance.tolist() == [-1] * 4
    for clip, row, other in zip(view.batch.video, view.rows, view.background, strict=True):
        # Alpha is so large that the share is one half.
        still = 2 * clip - batch.video[row]
        assert any((still - batch.video[other, :, t, None]).abs().max() < 0.02 for t in range(4))


def test_one_clip_has_no_partner() -> None:
    batch = masked_batch(1)
    for objective in (BackgroundMix(), ForegroundPaste()):
        views = objective.views(batch, seeded())
        (name,) = views
        assert len(views[name].batch) == 0
        outputs = {"clip": toy_output(1), name: toy_output(1).rows(0, 0)}
        assert objective.loss(outputs, batch, views).item() == 0


@pytest.mark.parametrize("mask", ["motion", "true", "regions"])
def test_pasted_view_shows_the_actor_before_the_other_background(mask: str) -> None:
    batch = masked_batch()
    view = ForegroundPaste(share=1.0, mask=mask).views(batch, seeded())["pasted"]
    assert len(view.batch) == 6
    assert (view.rows != view.background).all()
    assert (batch.label[view.rows] != batch.label[view.background]).all()
    assert torch.equal(view.batch.label, batch.label[view.rows])
    assert torch.equal(view.batch.nuisance, batch.nuisance[view.background])
    assert view.batch.foreground is not None and view.batch.mask is not None
    assert torch.equal(view.batch.mask, batch.mask[view.rows])  # type: ignore[index]
    for clip, other, actor in zip(view.batch.video, view.background, view.batch.mask, strict=True):
        flat = float(batch.video[other, 0, 0, 0, 0])
        # Feathering reaches one pixel to either side of the edge.
        edge = torch.nn.functional.max_pool2d(actor.float(), 3, 1, 1) > 0
        core = torch.nn.functional.max_pool2d((~actor).float(), 3, 1, 1) == 0
        assert torch.allclose(clip[:, core], torch.ones(()), atol=1e-5)
        assert torch.allclose(clip[:, ~edge], torch.tensor(flat), atol=0.02)


@pytest.mark.parametrize("mask", ["motion", "true", "regions"])
def test_backgrounds_that_are_known_are_for_the_mask_of_the_motion(mask: str) -> None:
    """Others remove the actor: a corner that none is near then shows the clip of the background."""
    batch = masked_batch()
    known = replace(batch, background=torch.zeros_like(batch.video))
    view = ForegroundPaste(share=1.0, mask=mask).views(known, seeded())["pasted"]
    corner, flat = view.batch.video[..., 0, 0], batch.video[view.background][..., 0, 0]
    assert torch.equal(corner, torch.zeros_like(flat) if mask == "motion" else flat)


def test_regions_add_what_stands_still_and_drop_what_is_not_looked_at() -> None:
    batch = masked_batch(2)
    attention = torch.full_like(batch.foreground, 0.5)  # looked at as much as on average
    attention[:, :, 20:28, :8] = 0.9  # stands still, is looked at
    attention[:, :, 10:14] = 0.1  # moves in part, is not looked at
    ready = replace(batch, attention=attention)
    mask = ForegroundPaste(mask="regions", blend=0.6)._masks(ready) > 0
    expected = batch.mask.clone()
    expected[:, :, 20:28, :8] = True  # 0.4 * 0 + 0.6 * 0.9 = 0.54
    expected[:, :, 10:14] = False  # 0.4 * 1 + 0.6 * 0.1 = 0.46
    assert torch.equal(mask, expected)
    with pytest.raises(WhyactError, match=r"Batch\.attention for the mask 'regions'; call"):
        ForegroundPaste(mask="regions").views(replace(ready, attention=None), seeded())
    with pytest.raises(WhyactError, match=r"foreground_paste_blend must be in \[0, 1\], got 2"):
        ForegroundPaste(blend=2)


def test_failed_masks_are_neither_pasted_nor_pasted_on() -> None:
    batch = masked_batch()
    foreground = batch.foreground.clone()  # type: ignore[union-attr]
    foreground[0], foreground[1] = 0, 1
    view = ForegroundPaste(share=1.0).views(replace(batch, foreground=foreground), seeded())
    used = torch.cat([view["pasted"].rows, view["pasted"].background])
    assert sorted(set(used.tolist())) == [2, 3, 4, 5]


def test_view_losses_are_cross_entropies_of_their_own_output() -> None:
    logits = torch.tensor([[0.5, 0.25, 0.25]]).log()
    batch, rows = toy_batch(1), torch.tensor([0])
    for objective, name in ((BackgroundMix(), "mixed"), (ForegroundPaste(), "pasted")):
        outputs = {"clip": toy_output(1), name: toy_output(1, logits=logits)}
        loss = objective.loss(outputs, batch, {name: View(batch, rows, rows)})
        assert loss.item() == pytest.approx(math.log(2))


def test_missing_masks_and_bad_settings_are_named() -> None:
    with pytest.raises(WhyactError, match="foreground_paste_mask: true needs a mask"):
        ForegroundPaste(mask="true").views(toy_batch(), seeded())
    with pytest.raises(WhyactError, match=r"call ObjectiveSet\.prepare"):
        ForegroundPaste().views(toy_batch(), seeded())
    with pytest.raises(WhyactError, match=r"'box'; choose from \['motion', 'regions', 'true'\]"):
        ForegroundPaste(mask="box")
    for broken in (StaticEntropy, Pause, BackgroundMix, ForegroundPaste):
        with pytest.raises(WhyactError, match=f"{broken.name}_share must be above 0"):
            broken(share=0.0)
    with pytest.raises(WhyactError, match="static_entropy_pan must be at least 0"):
        StaticEntropy(pan=-1)
    with pytest.raises(WhyactError, match="pause_pan must be at least 0"):
        Pause(pan=-1)
    with pytest.raises(WhyactError, match="background_mix_alpha must be above 0"):
        BackgroundMix(alpha=0)
    assert ForegroundPaste().needs_foreground and not ForegroundPaste(mask="true").needs_foreground


@pytest.mark.parametrize("usable", [0, 1])
def test_without_two_usable_actors_nothing_is_pasted(usable: int) -> None:
    batch = masked_batch()
    foreground = batch.foreground.clone()
    foreground[usable:] = 0
    objective = ForegroundPaste(share=0.5)
    views = objective.views(replace(batch, foreground=foreground), seeded())
    assert len(views["pasted"].batch) == 0
    outputs = {"clip": toy_output(6, classes=3), "pasted": toy_output(6, classes=3).rows(0, 0)}
    assert objective.loss(outputs, batch, views).item() == 0
