"""The motion of the stick figure, before anything is drawn."""

import math
from dataclasses import replace

import numpy as np
import pytest

from whyact.data.backdrop.actions import (
    ACTING,
    ACTIONS,
    FLIP_PAIRS,
    LIMBS,
    MOTIONS,
    ORDER_PAIRS,
    PERIODIC,
    Body,
    Pose,
    Style,
    acting_limbs,
    draw_body,
    idle,
    other_side,
    segments,
)
from whyact.data.backdrop.factors import Actor, draw_factors
from whyact.data.backdrop.render import pose_at

STYLE = Style(amplitude=1.0, sway=0.0)
BODY = Body(
    torso=0.3, head=0.07, upper_arm=0.16, forearm=0.15, thigh=0.24, shin=0.23, thickness=1.0
)
STRAIGHT = Pose(arm_near=(0, 0), arm_far=(0, 0), leg_near=(0, 0), leg_far=(0, 0))
TIMES = np.linspace(0, 1, 21)


def actor(action: str, **changes) -> Actor:
    drawn = draw_factors(
        split="train", index=ACTIONS.index(action), seed=0, correlation=0.9
    ).actors[0]
    return replace(drawn, **{"swap_sides": False, **changes})


def ends(pose: Pose, limb: str) -> list[tuple[float, float]]:
    return [end for name, _, end, _ in segments(pose, BODY) if name == limb]


def numbers(pose: Pose) -> np.ndarray:
    """Everything of a posture but the prop."""
    limbs = (pose.arm_near, pose.arm_far, pose.leg_near, pose.leg_far)
    return np.array([pose.lean, *np.ravel(limbs), pose.travel, pose.lift])


def test_a_straight_figure_has_the_lengths_of_its_body() -> None:
    # Soles at 0.02, hips at 0.02 + 0.23 + 0.24 = 0.49, neck at 0.79, shoulders 0.025 lower.
    assert ends(STRAIGHT, "torso") == [pytest.approx((0, 0.79))]
    assert ends(STRAIGHT, "head") == [pytest.approx((0, 0.875))]
    assert ends(STRAIGHT, "arm_near") == [
        pytest.approx((0, 0.605)), pytest.approx((0, 0.455))
    ]  # fmt: skip
    assert ends(STRAIGHT, "leg_far") == [
        pytest.approx((0, 0.25)), pytest.approx((0, 0.02)), pytest.approx((0.06, 0.02))
    ]  # fmt: skip


def test_angles_turn_limbs_forward_and_knees_backward() -> None:
    level = math.pi / 2
    ahead = replace(STRAIGHT, arm_near=(level, 0), leg_near=(level, level))
    assert ends(ahead, "arm_near")[-1] == pytest.approx((0.31, 0.765))
    assert ends(ahead, "leg_near")[:2] == [
        pytest.approx((0.24, 0.49)), pytest.approx((0.24, 0.26))
    ]  # fmt: skip
    bowed = replace(STRAIGHT, lean=level)
    assert ends(bowed, "torso") == [pytest.approx((0.3, 0.49))]


@pytest.mark.parametrize("action", ACTIONS)
def test_someone_stands_on_the_ground_unless_they_run_or_jump(action) -> None:
    lowest = [
        min(end[1] for name, _, end, _ in segments(MOTIONS[action](p, STYLE), BODY)
            if name.startswith("leg"))
        for p in TIMES
    ]  # fmt: skip
    if action in ("run", "jump"):
        assert min(lowest) == pytest.approx(0.02) and 0.06 < max(lowest) < 0.3
    else:
        assert lowest == pytest.approx([0.02] * len(TIMES))


@pytest.mark.parametrize("action", ACTIONS)
def test_no_limb_jumps_from_one_moment_to_the_next(action) -> None:
    steps = np.linspace(0, 2 if action in PERIODIC else 1, 2001)
    before = segments(MOTIONS[action](0.0, STYLE), BODY)
    for p in steps[1:]:
        now = segments(MOTIONS[action](float(p), STYLE), BODY)
        for (limb, *a, _), (_, *b, _) in zip(before, now, strict=True):
            # The carried box changes from the ground to the hands at half time.
            assert limb == "prop" or np.abs(np.subtract(a, b)).max() < 0.02, (limb, p)
        before = now


@pytest.mark.parametrize("pair", ORDER_PAIRS)
@pytest.mark.parametrize(
    "settings", [{"cycles": 1.0}, {"cycles": 0.6}, {"cycles": 1.7, "swap_sides": True}]
)
def test_played_backwards_one_of_a_pair_is_the_other(pair, settings) -> None:
    one, other = (actor(name, amplitude=0.9, **settings) for name in pair)
    for t in TIMES:
        back, forth = pose_at(other, t, 1.0), pose_at(one, 1 - t, 1.0)
        assert numbers(back) == pytest.approx(numbers(forth)) and back.prop == forth.prop
    still = [np.ptp([pose_at(a, t, 1.0).leg_near[0] for t in TIMES]) for a in (one, other)]
    assert min(still) > 0.5  # and they move


def test_pushing_left_is_pushing_right_seen_from_the_other_side() -> None:
    assert FLIP_PAIRS == (("push_left", "push_right"),)
    assert MOTIONS["push_left"] is MOTIONS["push_right"]
    fast, even = (pose_at(actor("push_left", cycles=c), t, 0.0) for c, t in ((1.6, 0.4), (1, 0.34)))
    assert numbers(fast) == pytest.approx(numbers(even))
    travel = [pose_at(actor("push_left"), t, 0.0).travel for t in TIMES]
    assert (np.diff(travel) > 0).all()  # towards the box, which stands in front
    for t in TIMES:
        pose = pose_at(actor("push_right"), t, 0.0)
        parts = segments(pose, BODY)
        assert pose.prop == "front"
        assert parts[0][1][0] - parts[0][3] / 2 > max(x for x, _ in ends(pose, "torso")) - 0.1


def test_the_actions_do_what_their_names_say() -> None:
    def at(name: str, p: float) -> Pose:
        return MOTIONS[name](p, STYLE)

    assert at("kick", 0.5).leg_near[0] == pytest.approx(1.6) and at("kick", 0.9).leg_near[0] == 0
    assert at("punch", 0.25).arm_near == pytest.approx((1.55, 0.0))
    assert at("squat", 0.5).leg_near == pytest.approx((1.35, 2.2))
    assert at("bow", 0.5).lean == pytest.approx(1.35) and at("bow", 0.5).leg_near == Pose().leg_near
    assert at("sit_down", 0).leg_near == (0, 0) and at("sit_down", 1).leg_near == (1.45, 1.45)
    assert [at("pick_up", p).prop for p in (0.1, 0.9)] == ["ground", "hand"]
    assert at("jump", 0.55).lift == pytest.approx(0.26) and at("jump", 0.2).lift == 0
    assert min(at("wave", p).arm_near[0] for p in TIMES) > math.pi / 2  # above the shoulder
    hands = [abs(at("clap", p).arm_near[0] - at("clap", p).arm_far[0]) for p in (0, 0.25, 0.5)]
    assert hands == pytest.approx([1.5, 0, 1.5])
    strides = [np.ptp([at(n, p).leg_near[0] for p in TIMES]) for n in ("walk", "run")]
    assert strides[0] == pytest.approx(0.9) and strides[1] > 1.7


def test_every_action_names_the_limbs_that_make_it() -> None:
    assert set(MOTIONS) == set(ACTING) == set(ACTIONS) and len(set(ACTIONS)) == len(ACTIONS) >= 14
    assert all(limbs and set(limbs) <= set(LIMBS) - {"prop"} for limbs in ACTING.values())
    assert set(PERIODIC) <= set(ACTIONS)
    assert acting_limbs("punch", False) == {"arm_near"}
    assert acting_limbs("punch", True) == {"arm_far"}
    assert acting_limbs("bow", True) == {"torso", "head"}


@pytest.mark.parametrize("action", ACTIONS)
def test_the_acting_limbs_are_those_that_move_or_reach(action) -> None:
    poses = [MOTIONS[action](float(p), STYLE) for p in TIMES]

    def joints(pose: Pose, limb: str) -> list[tuple[float, float]]:
        return [joint for part in segments(pose, BODY) if part[0] == limb for joint in part[1:3]]

    rest = idle(0.0, STYLE)
    for limb in ACTING[action]:
        away = [np.subtract(joints(pose, limb), joints(rest, limb)) for pose in poses]
        assert np.linalg.norm(away, axis=-1).max() > 0.15


def test_left_handers_exchange_near_and_far_limbs() -> None:
    pose = MOTIONS["punch"](0.2, STYLE)
    swapped = other_side(pose)
    assert swapped.arm_far == pose.arm_near != swapped.arm_near and swapped.leg_far == pose.leg_near
    assert other_side(swapped) == pose
    one = actor("kick")
    assert pose_at(replace(one, swap_sides=True), 0.4, 0.0) == other_side(pose_at(one, 0.4, 0.0))


@pytest.mark.parametrize("action", PERIODIC)
def test_before_and_after_a_repeated_action_people_stand(action) -> None:
    one = actor(action, start=0.4, stop=0.6)
    for t in (0.0, 0.3, 0.7, 1.0):
        pose = pose_at(one, t, 2.0)
        assert replace(pose, travel=0.0) == idle(t, Style(one.amplitude, 2.0))
    assert pose_at(one, 0.5, 2.0) != idle(0.5, Style(one.amplitude, 2.0))
    travel = [pose_at(one, t, 2.0).travel for t in (0.0, 0.4, 0.5, 0.6, 1.0)]
    assert travel[0] == travel[1] and travel[3] == travel[4] and travel[2] == 0
    way = 0.35 * one.cycles * one.amplitude if action in ("walk", "run") else 0.0
    assert travel[4] - travel[0] == pytest.approx(way)


@pytest.mark.parametrize("action", [a for a in ACTIONS if a not in PERIODIC])
def test_before_and_after_a_single_action_people_keep_its_first_and_last_posture(action) -> None:
    one = actor(action, start=0.4, stop=0.6)
    for t, edge in ((0.1, 0.4), (0.9, 0.6)):
        pose, kept = pose_at(one, t, 2.0), pose_at(one, edge, 2.0)
        assert numbers(pose)[1:] == pytest.approx(numbers(kept)[1:]) and pose.prop == kept.prop
        assert pose.lean == pytest.approx(kept.lean, abs=0.041)  # they sway a little
    moved = np.abs(numbers(pose_at(one, 0.5, 2.0)) - numbers(pose_at(one, 0.1, 2.0)))
    assert moved[1:].max() > 0.1


def test_bodies_differ_and_stay_human() -> None:
    bodies = [draw_body(np.random.default_rng(seed)) for seed in range(50)]
    assert len(set(bodies)) == 50
    for b in bodies:
        height = b.thigh + b.shin + b.torso + 0.085 + b.head
        assert 0.8 < height < 1.05 and b.thigh == b.shin > b.upper_arm
