"""The actions of Backdrop as parametric motion of a 2-D skeleton.

Angles are in radians: limbs hang at 0 and turn forward (the way the figure faces) with positive
values; knees bend backward and elbows forward. Lengths are in units of the body's height.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

ACTIONS = (
    "walk", "run", "jump", "kick", "punch", "wave", "clap", "squat", "bow",
    "sit_down", "stand_up", "pick_up", "put_down", "push_left", "push_right",
)  # fmt: skip
FLIP_PAIRS = (("push_left", "push_right"),)
ORDER_PAIRS = (("sit_down", "stand_up"), ("pick_up", "put_down"))
"""Told apart by the order of their frames alone; who pushes left also faces left."""
LIMBS = ("torso", "head", "arm_near", "arm_far", "leg_near", "leg_far", "prop")


@dataclass(frozen=True)
class Pose:
    """One posture. ``prop`` is where a carried or standing thing is: (x, y) of its middle.

    Attributes:
        lean: of the torso, forward positive.
        arm_near, arm_far: (shoulder, elbow). leg_near, leg_far: (hip, knee).
        travel: shift along the facing direction. lift: of the feet above the ground.
        prop: ``none``, ``stool``, ``hand`` (box in the hands), ``ground`` (box on the ground) or
            ``front`` (tall box before the figure).
    """

    lean: float = 0.0
    arm_near: tuple[float, float] = (0.08, 0.15)
    arm_far: tuple[float, float] = (-0.08, 0.15)
    leg_near: tuple[float, float] = (0.06, 0.04)
    leg_far: tuple[float, float] = (-0.06, 0.04)
    travel: float = 0.0
    lift: float = 0.0
    prop: str = "none"


@dataclass(frozen=True)
class Style:
    """How one person does it: amplitude (about 1) and the phase of small sways."""

    amplitude: float
    sway: float


Motion = Callable[[float, Style], Pose]


def _smooth(x: float) -> float:
    x = min(1.0, max(0.0, x))
    return x * x * (3 - 2 * x)


def _stride(p: float, s: Style, swing: float, bend: float, elbow: float, lean: float) -> Pose:
    a, turn = s.amplitude, 2 * math.pi * p
    near, far = math.sin(turn), math.sin(turn + math.pi)
    return Pose(
        lean=lean,
        leg_near=(swing * a * near, bend * a * max(0.0, math.cos(turn)) + 0.05),
        leg_far=(swing * a * far, bend * a * max(0.0, math.cos(turn + math.pi)) + 0.05),
        arm_near=(0.85 * swing * a * far, elbow),
        arm_far=(0.85 * swing * a * near, elbow),
    )


def _walk(p: float, s: Style) -> Pose:
    return _stride(p, s, 0.45, 0.55, 0.2, 0.04)


def _run(p: float, s: Style) -> Pose:
    pose = _stride(1.5 * p, s, 0.9, 1.5, 1.6, 0.28)
    bounce = 0.05 * abs(math.sin(3 * math.pi * p))
    return replace(pose, lift=bounce)


def _jump(p: float, s: Style) -> Pose:
    cycle = p % 1.0
    crouch = 0.9 * (_smooth(cycle / 0.25) - _smooth((cycle - 0.25) / 0.12))
    air = max(0.0, math.sin(math.pi * (cycle - 0.3) / 0.5)) if 0.3 < cycle < 0.8 else 0.0
    arms = -0.5 * crouch + 2.6 * _smooth(air * 1.5)
    bend = crouch + 0.15 * air
    return Pose(
        lean=0.35 * crouch,
        arm_near=(arms, 0.2), arm_far=(arms, 0.2),
        leg_near=(bend, 1.9 * bend + 0.3 * air), leg_far=(bend, 1.9 * bend + 0.1 * air),
        lift=0.26 * s.amplitude * air,
    )  # fmt: skip


def _kick(p: float, s: Style) -> Pose:
    cycle = p % 1.0
    out = max(0.0, math.sin(math.pi * (cycle - 0.2) / 0.6)) if 0.2 < cycle < 0.8 else 0.0
    wind = max(0.0, math.sin(math.pi * cycle / 0.25)) if cycle < 0.25 else 0.0
    return Pose(
        lean=-0.3 * out,
        leg_near=(1.6 * s.amplitude * out - 0.5 * wind, 0.25 * out + 1.0 * wind),
        leg_far=(-0.1 * out, 0.1),
        arm_near=(-0.8 * out, 0.5), arm_far=(0.6 * out + 0.2, 0.7),
    )  # fmt: skip


def _punch(p: float, s: Style) -> Pose:
    cycle = (2 * p) % 1.0
    out = math.sin(math.pi * cycle) ** 2
    guard = (0.55, 2.1)
    return Pose(
        lean=0.12 + 0.12 * out,
        arm_near=(0.3 + 1.25 * out * s.amplitude, 2.1 * (1 - out)),
        arm_far=guard,
        leg_near=(0.35, 0.2), leg_far=(-0.35, 0.15),
    )  # fmt: skip


def _wave(p: float, s: Style) -> Pose:
    swing = math.sin(2 * math.pi * 1.5 * p) * 0.6 * s.amplitude
    return Pose(arm_near=(2.55, 0.35 + swing), arm_far=(-0.05, 0.1))


def _clap(p: float, s: Style) -> Pose:
    apart = 0.75 * s.amplitude * math.cos(math.pi * 2 * p) ** 2
    return Pose(lean=0.03, arm_near=(1.35 + apart, 0.15), arm_far=(1.35 - apart, 0.15))


def _squat(p: float, s: Style) -> Pose:
    down = math.sin(math.pi * p) ** 2 * s.amplitude
    leg = (1.35 * down, 2.2 * down)
    return Pose(lean=0.4 * down, arm_near=(1.5 * down, 0.1), arm_far=(1.5 * down, 0.1),
                leg_near=leg, leg_far=leg)  # fmt: skip


def _bow(p: float, s: Style) -> Pose:
    down = math.sin(math.pi * p) ** 2 * s.amplitude
    arms = (0.35 * down, 0.1)
    return Pose(lean=1.35 * down, arm_near=arms, arm_far=arms)


def _sit_down(p: float, s: Style) -> Pose:
    down = _smooth((p - 0.15) / 0.7)
    leg = (1.45 * down, 1.45 * down)
    return Pose(
        lean=0.75 * math.sin(math.pi * down) * s.amplitude + 0.04,
        arm_near=(0.7 * down, 0.5 * down + 0.1), arm_far=(0.7 * down, 0.5 * down + 0.1),
        leg_near=leg, leg_far=leg, travel=-0.22 * down + 0.11, prop="stool",
    )  # fmt: skip


def _pick_up(p: float, s: Style) -> Pose:
    # Down with free hands, grasp at half time, up with the box.
    down = math.sin(math.pi * _smooth(p))
    leg = (0.8 * down, 1.3 * down)
    held = _smooth((p - 0.5) / 0.4)
    reach = 0.25 + 0.5 * down + 0.75 * held * (1 - down)
    arms = (reach + 0.35 * down, 0.1 + 0.9 * held * (1 - down))
    return Pose(lean=1.15 * down * s.amplitude, arm_near=arms, arm_far=arms, leg_near=leg,
                leg_far=leg, prop="hand" if p > 0.5 else "ground")  # fmt: skip


def _push(p: float, s: Style) -> Pose:
    stride = _stride(p, s, 0.5, 0.5, 0.0, 0.5)
    arms = (1.05, 0.12)
    return replace(stride, arm_near=arms, arm_far=arms, travel=0.3 * (p - 0.5), prop="front")


def _reversed(motion: Motion) -> Motion:
    return lambda p, s: motion(1.0 - p, s)


MOTIONS: dict[str, Motion] = {
    "walk": _walk, "run": _run, "jump": _jump, "kick": _kick, "punch": _punch, "wave": _wave,
    "clap": _clap, "squat": _squat, "bow": _bow, "sit_down": _sit_down,
    "stand_up": _reversed(_sit_down), "pick_up": _pick_up, "put_down": _reversed(_pick_up),
    "push_left": _push, "push_right": _push,
}  # fmt: skip
TRAVEL = {"walk": 0.35, "run": 0.35}
"""Body heights covered in a cycle by the actions that go somewhere."""
PERIODIC = ("walk", "run", "jump", "kick", "punch", "wave", "clap")
FACING = {"push_left": -1, "push_right": 1}

ACTING = {
    "walk": ("leg_near", "leg_far"), "run": ("leg_near", "leg_far"),
    "jump": ("leg_near", "leg_far"), "kick": ("leg_near",), "punch": ("arm_near",),
    "wave": ("arm_near",), "clap": ("arm_near", "arm_far"), "squat": ("leg_near", "leg_far"),
    "bow": ("torso", "head"), "sit_down": ("leg_near", "leg_far", "torso"),
    "stand_up": ("leg_near", "leg_far", "torso"), "pick_up": ("arm_near", "arm_far", "torso"),
    "put_down": ("arm_near", "arm_far", "torso"),
    "push_left": ("arm_near", "arm_far"), "push_right": ("arm_near", "arm_far"),
}  # fmt: skip
"""The limbs that make each action; their mask is the stricter localisation truth."""


def idle(p: float, s: Style) -> Pose:
    """Standing with a slight sway."""
    sway = 0.04 * math.sin(2 * math.pi * p + s.sway)
    return Pose(lean=sway, arm_near=(0.08 + sway, 0.15), arm_far=(-0.08 + sway, 0.15))


def other_side(pose: Pose) -> Pose:
    """The same posture with the near and the far limbs exchanged."""
    return replace(
        pose, arm_near=pose.arm_far, arm_far=pose.arm_near,
        leg_near=pose.leg_far, leg_far=pose.leg_near,
    )  # fmt: skip


def acting_limbs(action: str, swap_sides: bool) -> set[str]:
    """The limbs of `ACTING`, on the side that this person uses."""
    swap = {"arm_near": "arm_far", "arm_far": "arm_near", "leg_near": "leg_far",
            "leg_far": "leg_near"}  # fmt: skip
    return {swap.get(limb, limb) if swap_sides else limb for limb in ACTING[action]}


@dataclass(frozen=True)
class Body:
    """Proportions of one person, in units of body height."""

    torso: float
    head: float
    upper_arm: float
    forearm: float
    thigh: float
    shin: float
    thickness: float


def draw_body(rng: np.random.Generator) -> Body:
    """A random build."""
    legs = rng.uniform(0.92, 1.08)
    return Body(
        torso=0.30 * rng.uniform(0.93, 1.07),
        head=0.068 * rng.uniform(0.9, 1.15),
        upper_arm=0.155 * rng.uniform(0.92, 1.08),
        forearm=0.15 * rng.uniform(0.92, 1.08),
        thigh=0.235 * legs,
        shin=0.235 * legs,
        thickness=rng.uniform(0.85, 1.2),
    )


Segment = tuple[str, tuple[float, float], tuple[float, float], float]
"""(limb, from (x, y), to (x, y), width); y points up from the ground, x forward."""


def _joint(origin: tuple[float, float], angle: float, length: float) -> tuple[float, float]:
    return origin[0] + length * math.sin(angle), origin[1] - length * math.cos(angle)


def segments(pose: Pose, body: Body) -> list[Segment]:
    """The figure as thick lines in drawing order, feet on the ground unless lifted."""
    thick = body.thickness
    legs = {}
    for name, (hip, knee) in (("leg_far", pose.leg_far), ("leg_near", pose.leg_near)):
        k = _joint((0.0, 0.0), hip, body.thigh)
        f = _joint(k, hip - knee, body.shin)
        legs[name] = (k, f)
    height = max(-point[1] for knee_foot in legs.values() for point in knee_foot)
    height += 0.02 + pose.lift
    hip_point = (pose.travel, height)
    neck = (
        hip_point[0] + body.torso * math.sin(pose.lean),
        hip_point[1] + body.torso * math.cos(pose.lean),
    )

    def leg(name: str) -> list[Segment]:
        k, f = ((hip_point[0] + x, hip_point[1] + y) for x, y in legs[name])
        toe = (f[0] + 0.06, f[1])
        return [(name, hip_point, k, 0.085 * thick), (name, k, f, 0.065 * thick),
                (name, f, toe, 0.04)]  # fmt: skip

    def arm(name: str, angles: tuple[float, float]) -> list[Segment]:
        shoulder = (neck[0] - 0.02 * math.sin(pose.lean), neck[1] - 0.025)
        e = _joint(shoulder, angles[0] + 0.5 * pose.lean, body.upper_arm)
        h = _joint(e, angles[0] + angles[1] + 0.5 * pose.lean, body.forearm)
        return [(name, shoulder, e, 0.058 * thick), (name, e, h, 0.048 * thick)]

    head = (neck[0] + 0.085 * math.sin(pose.lean), neck[1] + 0.085 * math.cos(pose.lean))
    parts = arm("arm_far", pose.arm_far) + leg("leg_far") + leg("leg_near")
    parts += [("torso", hip_point, neck, 0.13 * thick), ("head", head, head, 2 * body.head)]
    near = arm("arm_near", pose.arm_near)
    return _prop(pose, near[-1][2]) + parts + near


def _prop(pose: Pose, hand: tuple[float, float]) -> list[Segment]:
    spots = {
        "stool": ((-0.17, 0.12), (-0.17, 0.2), 0.16),
        "hand": ((hand[0] + 0.03, hand[1] - 0.02), (hand[0] + 0.05, hand[1] - 0.02), 0.15),
        "ground": ((0.36, 0.075), (0.38, 0.075), 0.15),
        "front": ((pose.travel + 0.5, 0.14), (pose.travel + 0.5, 0.46), 0.24),
    }
    if pose.prop not in spots:
        return []
    start, end, width = spots[pose.prop]
    return [("prop", start, end, width)]
