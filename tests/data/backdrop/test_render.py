"""Pixels and masks, compared with clips in which one factor was changed."""

import hashlib
import json
import platform
import sys
from dataclasses import replace
from functools import cache

import numpy as np
import PIL
import pytest

from whyact.data.backdrop.actions import ACTIONS
from whyact.data.backdrop.factors import (
    NOISE_SCENE,
    SPLITS,
    UNTRIMMED_LENGTH,
    Factors,
    draw_factors,
    kind_of,
)
from whyact.data.backdrop.generation import BACKDROP_VERSION, describe
from whyact.data.backdrop.render import BackdropSample, generate_clip, render
from whyact.data.backdrop.scenes import SCENES, paint
from whyact.types import WhyactError

FRAMES, SIZE = 8, 48
STILL = {"pan": (0.0, 0.0), "shake": 0.0, "zoom": 0.0}
PLAIN = {**STILL, "gain": 1.0, "gamma": 1.0, "cast": (1.0, 1.0, 1.0), "gradient": 0.0,
         "flicker": 0.0, "distractors": 0, "occluders": ()}  # fmt: skip
GRAIN = 3

CONTENT = {"1.3": "5f2422608d69b023f11c4158170e94aa8bc34b1d5db7d9a12fe503ea28f5223e"}
"""SHA-256 of the clips below, by version."""
FIRST_SPLITS = SPLITS[:15]
LATER = {"1.3": "55442dfa0960c0e1cc6d9eda8b3647c4a2215c6143203a0f0894d5c497bdee30"}
"""The same of the splits that were added without a change of the others."""


@cache
def clip(split: str, index: int) -> BackdropSample:
    return generate_clip(split=split, index=index, frames=FRAMES, size=SIZE)


def factors(split: str, index: int, **changes) -> Factors:
    return replace(draw_factors(split=split, index=index, seed=0, correlation=0.9), **changes)


def shot(wanted: Factors, frames: int = FRAMES) -> BackdropSample:
    return render(wanted, frames=frames, size=SIZE)


def dressed(wanted: Factors, **changes) -> Factors:
    """The same clip with other actors."""
    return replace(wanted, actors=tuple(replace(a, **changes) for a in wanted.actors))


def without_actors(wanted: Factors) -> Factors:
    return dressed(wanted, x=9.0)


def differs(a: BackdropSample, b: BackdropSample) -> np.ndarray:
    """(T, H, W), where the videos do."""
    return (a.video != b.video).any(-1)


def grown(mask: np.ndarray) -> np.ndarray:
    """The mask and the pixels that touch it."""
    wide = np.pad(mask, ((0, 0), (1, 1), (1, 1)))
    h, w = mask.shape[1:]
    return np.any([wide[:, y : y + h, x : x + w] for y in range(3) for x in range(3)], axis=0)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_a_clip_has_the_shapes_and_types_that_it_says() -> None:
    for split in SPLITS:
        sample = clip(split, 0)
        frames = FRAMES * (UNTRIMMED_LENGTH if kind_of(split) == "untrimmed" else 1)
        assert sample.video.shape == (frames, SIZE, SIZE, 3) and sample.video.dtype == np.uint8
        assert sample.mask.shape == (frames, SIZE, SIZE) and sample.mask.dtype == np.uint8
        assert sample.boxes.shape == (len(sample.factors.actors), frames, 4)
    one = generate_clip(split="swap", index=3, frames=1, size=32)
    assert one.video.shape == (1, 32, 32, 3) and one.mask.any()


@pytest.mark.parametrize("split", SPLITS)
def test_the_same_arguments_give_the_same_bytes_and_others_do_not(split) -> None:
    first = clip(split, 4)
    again = generate_clip(split=split, index=4, frames=FRAMES, size=SIZE)
    assert first.video.tobytes() == again.video.tobytes()
    assert first.mask.tobytes() == again.mask.tobytes()
    assert first.boxes.tobytes() == again.boxes.tobytes() and first.factors == again.factors
    for index, seed in ((5, 0), (4, 1)):
        other = generate_clip(split=split, index=index, seed=seed, frames=FRAMES, size=SIZE)
        assert (other.video != first.video).mean() > 0.5


# Bytes are promised on one platform only: the random streams are NumPy's, lines and ellipses are
# Pillow's, sines and powers the C library's, and a last digit may differ elsewhere. On Linux x86-64
# this hash was the same with NumPy 2.2.6 and 2.4.6, with and without AVX, and Pillow 11.3 to 13.0.
RECORDED = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="recorded on Linux x86-64"
)


def add(digest, sample: BackdropSample) -> None:
    digest.update(sample.video.tobytes() + sample.mask.tobytes())
    digest.update(json.dumps(describe(sample)).encode())


@RECORDED
def test_splits_that_came_later_belong_to_the_version() -> None:
    digest = hashlib.sha256()
    for index, split in enumerate(SPLITS[len(FIRST_SPLITS) :]):
        add(digest, clip(split, index))
    assert LATER.get(BACKDROP_VERSION) == digest.hexdigest()


@RECORDED
def test_the_content_belongs_to_the_version() -> None:
    digest = hashlib.sha256()
    for index, split in enumerate(FIRST_SPLITS):  # and so every action
        add(digest, clip(split, index))
    for scene in range(len(SCENES)):
        digest.update(paint(scene, np.random.default_rng(scene), 72).tobytes())
    assert CONTENT.get(BACKDROP_VERSION) == digest.hexdigest(), (
        "raise BACKDROP_VERSION when content changes, and record its hash here; if no code of "
        f"Backdrop changed, look at the libraries: NumPy {np.__version__}, Pillow {PIL.__version__}"
    )


@pytest.mark.parametrize("split", SPLITS)
def test_boxes_are_tight_around_the_masks(split) -> None:
    for index in range(8):
        sample = clip(split, index)
        for i in range(len(sample.factors.actors)):
            for bits, box in zip(sample.mask, sample.boxes[i], strict=True):
                own = (bits >> i & 1).astype(bool)
                if not own.any():
                    assert np.isnan(box).all()
                    continue
                x0, y0, x1, y1 = box.astype(int)
                assert own[y0:y1, x0:x1].sum() == own.sum()
                edges = own[y0, x0:x1], own[y1 - 1, x0:x1], own[y0:y1, x0], own[y0:y1, x1 - 1]
                assert all(edge.any() for edge in edges)


@pytest.mark.parametrize("split", SPLITS)
def test_every_actor_has_limbs_inside_its_own_mask(split) -> None:
    for index in range(15):
        sample = clip(split, index)
        people = len(sample.factors.actors)
        actors, limbs = sample.mask & 15, sample.mask >> 4
        assert (limbs & ~actors).max() == 0
        assert (actors < 2**people).all()
        assert np.isin(actors, (0, 1, 2, 4, 8)).all()  # a pixel shows one person
        shares = [
            (limbs >> i & 1).sum() / max(1, (actors >> i & 1).sum()) for i in range(people)
        ]  # fmt: skip
        assert all(share < 0.97 for share in shares)
        if kind_of(split) not in ("multi", "occluded"):
            assert shares[0] > 0.01


@pytest.mark.parametrize("split", [s for s in SPLITS if kind_of(s) not in ("occluded", "multi")])
def test_the_actor_is_visible_in_every_frame(split) -> None:
    for index in range(15):
        visible = (clip(split, index).mask & 1).sum((1, 2))
        assert visible.min() > 0.015 * SIZE**2


def test_posts_and_people_hide_an_actor_in_few_frames_only() -> None:
    for split in ("occluded", "multi"):
        hidden = [
            (sample.mask >> i & 1).sum((1, 2)) == 0
            for sample in (clip(split, index) for index in range(15))
            for i in range(len(sample.factors.actors))
        ]
        assert np.concatenate(hidden).mean() < 0.03


# Clipped highlights of the light split can hide a change, so it is left out.
@pytest.mark.parametrize("split", ["train", "camera", "scuba", "clothing", "multi"])
def test_the_mask_is_where_the_video_changes_when_the_actors_leave(split) -> None:
    for index in range(8):
        wanted = factors(split, index, occluders=())
        full, empty = shot(wanted), shot(without_actors(wanted))
        assert not empty.mask.any() and np.isnan(empty.boxes).all()
        changed, mask = differs(full, empty), (full.mask & 15) > 0
        assert changed[mask].mean() > 0.99
        assert not changed[~grown(mask)].any()


def test_the_mask_is_where_the_video_changes_when_the_clothes_change() -> None:
    for index in range(15):
        wanted = factors("train", index, occluders=())
        skin, hair, *_ = wanted.actors[0].colors
        sample = shot(wanted)
        vivid = shot(dressed(wanted, colors=(skin, hair, (0, 255, 0), (255, 0, 0))))
        changed = differs(sample, vivid)
        assert np.array_equal(sample.mask, vivid.mask)
        assert not changed[~grown(sample.mask > 0)].any()
        assert changed[sample.mask > 0].mean() > 0.3  # the rest is skin, hair, outline and props


def test_every_person_has_a_bit_and_the_later_one_stands_in_front() -> None:
    wanted = next(f for i in range(20) if len((f := factors("multi", i)).actors) == 2)
    wanted = replace(wanted, occluders=(), actors=tuple(
        replace(a, x=x) for a, x in zip(wanted.actors, (0.47, 0.53), strict=True)
    ))  # fmt: skip
    both = shot(wanted)
    back, front = (
        shot(replace(wanted, actors=tuple(
            a if k == i else replace(a, x=9.0) for k, a in enumerate(wanted.actors)
        )))
        for i in (0, 1)
    )  # fmt: skip
    first, second = back.mask & 1 > 0, front.mask & 2 > 0
    assert (first & second).any()
    assert np.array_equal(both.mask & 2 > 0, second)
    assert np.array_equal(both.mask & 1 > 0, first & ~second)
    assert np.array_equal(both.mask >> 5 & 1, front.mask >> 5 & 1)


def test_a_post_hides_the_actor_in_the_video_and_in_the_mask() -> None:
    # With a camera that stands still, a post from 0.375 to 0.5 covers columns 18 to 23.
    wanted = factors("train", 1, **{**PLAIN, "occluders": ((0.375, 0.125),)})
    behind = slice(18, 24)
    assert shot(replace(wanted, occluders=())).mask[:, :, behind].any()
    full, empty = shot(wanted), shot(without_actors(wanted))
    assert not full.mask[:, :, behind].any()
    assert full.mask[:, :, :18].any() and full.mask[:, :, 25:].any()
    assert not differs(full, empty)[:, :, behind].any()
    post = full.video[:, :, behind].astype(int)
    assert np.ptp(post, axis=(0, 1, 2)).max() <= 2 * GRAIN


def test_the_limbs_of_the_mask_are_those_that_the_action_moves() -> None:
    # One arm punches: its bits reach further forward than the rest of the body.
    wanted = factors("train", ACTIONS.index("punch"), **PLAIN)
    one = replace(wanted.actors[0], swap_sides=False, facing=1, x=0.5, phase=0.25, cycles=1.0)
    sample = shot(replace(wanted, actors=(one,)), frames=9)
    out = sample.mask[0]  # phase 0.25 is a stretched arm
    arm, rest = np.nonzero(out >> 4), np.nonzero((out & 1) & ~(out >> 4))
    assert arm[1].max() > rest[1].max() + 3 and arm[1].mean() > rest[1].mean() + 5
    # The punch pulls back within a quarter of a cycle, two of the eight steps.
    assert np.nonzero(sample.mask[2] >> 4)[1].max() < arm[1].max() - 5


@pytest.mark.parametrize("index", range(15))
def test_mirrored_factors_give_the_mirrored_clip(index) -> None:
    wanted = factors("train", index, **PLAIN)
    [one] = wanted.actors
    name = ACTIONS[one.action]
    other = {"push_left": "push_right", "push_right": "push_left"}.get(name, name)
    mirrored = replace(
        one, x=1 - one.x, facing=-one.facing, action=ACTIONS.index(other)
    )  # fmt: skip
    a, b = shot(wanted).mask, shot(replace(wanted, actors=(mirrored,))).mask[..., ::-1]
    assert overlap((a & 1) > 0, (b & 1) > 0) > 0.85  # Pillow draws lines not quite symmetrically
    assert overlap(a >> 4 > 0, b >> 4 > 0) > 0.7
    assert overlap((a & 1) > 0, (b[..., ::-1] & 1) > 0) < 0.8


def test_scufo_to_train_on_are_other_still_clips_before_noise() -> None:
    for index in range(5):
        made = clip("scufo_train", index)
        assert (made.video == made.video[:1]).all() and made.factors.scene == NOISE_SCENE
        assert (made.video != clip("scufo", index).video).mean() > 0.5


@pytest.mark.parametrize("frames", [FRAMES, FRAMES - 1])
def test_scufo_is_the_middle_of_scuba_without_motion(frames) -> None:
    for index in range(4):
        # Of an even number of frames none is at the middle of the time; of one more, one is.
        moving = generate_clip(split="scuba", index=index, frames=frames | 1, size=SIZE)
        still = generate_clip(split="scufo", index=index, frames=frames, size=SIZE)
        assert len(still.video) == frames
        assert (still.video == moving.video[frames // 2]).all()
        assert (still.mask == moving.mask[frames // 2]).all()
        assert (still.boxes == moving.boxes[:, [frames // 2]]).all()
        assert still.factors == moving.factors and (moving.video != moving.video[:1]).any()


def test_an_untrimmed_actor_moves_most_while_it_acts() -> None:
    clip = factors("untrimmed", 0, **PLAIN)
    acts = (("jump", 0.1), ("squat", 0.5))
    actors = tuple(
        replace(a, action=ACTIONS.index(name), start=start, stop=start + 0.4)
        for a, (name, start) in zip(clip.actors[:2], acts, strict=True)
    )
    masks = shot(replace(clip, actors=actors), frames=64).mask
    times = (np.arange(63) + 0.5) / 63
    for bit, one in enumerate(actors):
        mask = masks >> bit & 1
        change = (mask[1:] != mask[:-1]).sum((1, 2))
        inside = (times > one.start) & (times < one.stop)
        assert change[inside].mean() > 3 * change[~inside].mean()


def test_the_camera_pans_over_a_scene_that_stands_still() -> None:
    # Drifting by half a frame in two steps is 12 pixels each.
    wanted = without_actors(factors("train", 2, **{**PLAIN, "pan": (0.5, 0.0)}))
    left, middle, right = shot(wanted, frames=3).video.astype(int)
    assert np.abs(left[:, 12:] - middle[:, :-12]).max() <= 2 * GRAIN
    assert np.abs(middle[:, 12:] - right[:, :-12]).max() <= 2 * GRAIN
    assert np.abs(left - middle).max() > 6 * GRAIN
    still = shot(replace(wanted, pan=(0.0, 0.0)), frames=3).video.astype(int)
    assert np.abs(still - still[0]).max() <= 2 * GRAIN


def test_people_stand_in_the_world_and_drift_with_it() -> None:
    wanted = factors("train", ACTIONS.index("wave"), **{**PLAIN, "pan": (0.5, 0.0)})
    box = shot(wanted, frames=3).boxes[0]
    # The feet, which a waving person does not move, leave to the left by 12 pixels a step.
    feet = [
        np.nonzero(mask[int(y1) - 2] & 1)[0].mean()
        for mask, (_, _, _, y1) in zip(shot(wanted, frames=3).mask, box, strict=True)
    ]
    assert np.diff(feet) == pytest.approx([-12, -12], abs=1.0)


def test_zoom_makes_the_actor_smaller_as_the_frame_grows() -> None:
    wanted = factors("train", ACTIONS.index("wave"), **{**PLAIN, "zoom": 0.5})
    box = shot(wanted, frames=3).boxes[0]
    width, height = box[:, 2] - box[:, 0], box[:, 3] - box[:, 1]
    # The side is 0.75, 1 and 1.25 of the frame; the raised arm keeps the height about the same.
    assert height[0] / height[2] == pytest.approx(1.25 / 0.75, rel=0.15)
    assert width[0] > width[2]


def test_light_scales_pixels_as_it_says() -> None:
    def lit(**changes) -> np.ndarray:
        return shot(factors("train", 1, **{**PLAIN, **changes})).video.astype(float)

    plain = lit()
    # Both carry the same grain, at most 3, and are cut to whole numbers: 3 / 2 + 1 apart.
    assert np.abs(lit(gain=0.5) - plain / 2).max() <= 2.5
    assert np.abs(lit(cast=(1.0, 0.5, 1.0)) - plain * [1, 0.5, 1]).max() <= 2.5
    ramp = 1 - 0.4 * np.linspace(-1, 1, SIZE)[:, None]
    bright = plain < 150  # the rest is clipped
    assert np.abs(lit(gradient=-0.4) - plain * ramp)[bright].max() <= 2.5
    darker = lit(gamma=1.35)
    assert np.abs(darker - 255 * (plain / 255) ** 1.35).max() <= 6
    ratio = lit(flicker=0.1).mean((1, 2, 3)) / plain.mean((1, 2, 3))
    assert 0.04 < ratio.std() < 0.2


def test_distractors_move_in_front_of_the_scene_and_behind_the_actor() -> None:
    wanted = factors("train", 5, **PLAIN)
    clean, busy = shot(wanted), shot(replace(wanted, distractors=2))
    # The post's colour is drawn after the movers, and nothing else before the camera: the noise of
    # the pixels differs by the grain alone.
    there = np.abs(clean.video.astype(int) - busy.video.astype(int)).max(-1) > 2 * GRAIN
    assert np.array_equal(clean.mask, busy.mask)
    assert there.any() and (there[0] != there[-1]).any()
    inside = clean.mask & 1 > 0
    core = ~grown(~inside)
    assert not there[core].any()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"split": "test"}, r"Unknown Backdrop split 'test'"),
        ({"frames": 0}, r"at least 1 frames a clip \(data\.clip\.frames\), got 0"),
        ({"size": 17}, r"at least 18 pixels a side \(data\.transform\.size\), got 17"),
        ({"size": -4}, r"at least 18 pixels a side .* got -4"),
    ],
)
def test_what_cannot_be_drawn_is_named(wrong, message) -> None:
    with pytest.raises(WhyactError, match=message):
        generate_clip(**{"split": "train", "index": 0, "frames": 2, "size": 32, **wrong})
