"""What is drawn for every clip: the factors of Backdrop and their distribution in each split."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

import numpy as np

from whyact.data.backdrop.actions import ACTIONS, FACING
from whyact.data.backdrop.scenes import NOVEL_SCENES, TRAIN_SCENES
from whyact.types import WhyactError

TEST_SPLITS = (
    "iid", "swap", "novel", "scuba", "scufo", "camera", "light", "clothing", "occluded", "tempo",
    "multi", "untrimmed",
)  # fmt: skip
SPLITS = (
    "train", "val", "probe", *TEST_SPLITS, "multi_train", "multi_val", "untrimmed_train",
    "untrimmed_val", "scufo_train", "scufo_val",
)  # fmt: skip
"""``multi``, ``untrimmed`` and ``scufo`` come with clips of their kind to train and to select on;
what is trained on ``scufo_train`` says how much of the actions a still frame of the actor tells."""
SEVERAL = ("multi", "untrimmed")
"""Kinds whose clips hold several actions, by an actor each."""
UNTRIMMED_LENGTH = 4
"""A clip of ``untrimmed`` has this many times the frames of the others."""
NOISE_SCENE = -1
SMALLEST = 18
"""Pixels a side below which some scenes cannot be painted."""


@dataclass(frozen=True)
class Actor:
    """One person of a clip. Positions are shares of the frame; colours are RGB.

    Attributes:
        action: index. facing: 1 right, -1 left. phase: where in the cycle the clip starts.
        cycles: cycles in the clip. amplitude, height, x, ground, foreshorten: size and place.
        swap_sides: the far arm and leg do what the near ones do otherwise.
        colors: skin, hair, shirt, trousers.
        start, stop: the interval of the action as shares of the clip.
    """

    action: int
    facing: int
    phase: float
    cycles: float
    amplitude: float
    height: float
    x: float
    ground: float
    foreshorten: float
    swap_sides: bool
    colors: tuple[tuple[int, int, int], ...]
    start: float = 0.0
    stop: float = 1.0


@dataclass(frozen=True)
class Factors:
    """Every factor of one clip.

    Attributes:
        actors: the people. scene: index in `whyact.data.backdrop.scenes.SCENES`, -1 for noise.
        pan: (x, y) total drift of the camera over the clip, shares of the frame.
        shake: standard deviation a frame. zoom: relative change over the clip.
        gain, gamma: lighting. cast: gain of R, G, B. gradient: of brightness, left to right.
        flicker: standard deviation of the gain a frame.
        distractors: moving things behind the actor. occluders: (x, width) of posts before it.
        style_seed: of everything else that varies inside a scene and a person.
    """

    actors: tuple[Actor, ...]
    scene: int
    pan: tuple[float, float]
    shake: float
    zoom: float
    gain: float
    gamma: float
    cast: tuple[float, float, float]
    gradient: float
    flicker: float
    distractors: int
    occluders: tuple[tuple[float, float], ...]
    style_seed: int


SKINS = ((92, 58, 40), (141, 95, 66), (186, 132, 98), (224, 178, 148), (241, 204, 176))
HAIRS = ((25, 20, 18), (66, 42, 26), (120, 84, 40), (170, 140, 90), (150, 150, 150))


def kind_of(split: str) -> str:
    """What a split's clips are like: ``multi_train`` are like those of ``multi``."""
    kind, _, part = split.partition("_")
    return kind if part in ("train", "val") else split


def stream(seed: int, split: str, index: int) -> np.random.Generator:
    """The random stream of one clip; no two splits share one."""
    return np.random.default_rng([seed, zlib.crc32(split.encode()), index])


def _cloth(rng: np.random.Generator, vivid: bool) -> tuple[int, int, int]:
    # Training clothes are muted; the clothing split wears saturated and very dark or bright ones.
    low, high = (40, 200) if not vivid else (0, 256)
    color = rng.integers(low, high, 3)
    if vivid:
        color[rng.integers(3)] = rng.choice([0, 255])
        color[rng.integers(3)] = rng.choice([0, 255])
    return int(color[0]), int(color[1]), int(color[2])


def _actor(rng: np.random.Generator, split: str, action: int) -> Actor:
    facing = FACING.get(ACTIONS[action], int(rng.choice([-1, 1])))
    tempo = rng.choice([0.55, 1.7]) if split == "tempo" else rng.uniform(0.85, 1.2)
    return Actor(
        action=action,
        facing=facing,
        phase=float(rng.uniform(0, 1)),
        cycles=float(tempo),
        amplitude=float(rng.uniform(0.85, 1.1)),
        height=float(rng.uniform(0.6, 0.78)),
        x=float(rng.uniform(0.4, 0.6)),
        ground=float(rng.uniform(0.88, 0.95)),
        foreshorten=float(rng.uniform(0.8, 1.0)),
        swap_sides=bool(rng.random() < 0.5),
        colors=(
            SKINS[rng.integers(len(SKINS))],
            HAIRS[rng.integers(len(HAIRS))],
            _cloth(rng, split == "clothing"),
            _cloth(rng, split == "clothing"),
        ),
    )


def _scene(
    rng: np.random.Generator, split: str, index: int, action: int, correlation: float
) -> int:
    scenes = len(TRAIN_SCENES)
    if kind_of(split) in ("scuba", "scufo"):
        return NOISE_SCENE
    if split == "novel":
        return scenes + int(rng.integers(len(NOVEL_SCENES)))
    if split == "probe":
        return (index // len(ACTIONS)) % scenes
    other = (action + 1 + int(rng.integers(scenes - 1))) % scenes
    if kind_of(split) in ("swap", *SEVERAL):
        return other
    if correlation == 0:
        return int(rng.integers(scenes))
    return action if rng.random() < correlation else other


def _people(rng: np.random.Generator, split: str, index: int) -> tuple[Actor, ...]:
    if kind_of(split) not in SEVERAL:
        return (_actor(rng, split, index % len(ACTIONS)),)
    untrimmed = kind_of(split) == "untrimmed"
    count = int(rng.integers(2, 4 if untrimmed else 5))
    actions = rng.choice(len(ACTIONS), count, replace=False)
    spots = (np.arange(count) + 0.5 + rng.uniform(-0.12, 0.12, count)) / count
    scale = {2: 0.72, 3: 0.6, 4: 0.5}[count]
    people = [_actor(rng, split, int(a)) for a in actions]
    lengths = rng.uniform(0.3, 0.5, count) if untrimmed else np.ones(count)
    starts = rng.uniform(0, 1 - lengths) if untrimmed else np.zeros(count)
    return tuple(
        replace(p, x=float(x), height=p.height * scale, start=float(at), stop=float(at + length))
        for p, x, at, length in zip(people, spots, starts, lengths, strict=True)
    )


def check_sizes(*, frames: int, size: int, clips: int = 1) -> None:
    """Refuse what cannot be drawn; the message names the setting.

    Raises:
        WhyactError: no frame, no clip, or less than `SMALLEST` pixels a side.
    """
    wanted = (
        ("frames a clip (data.clip.frames)", frames, 1),
        ("pixels a side (data.transform.size)", size, SMALLEST),
        ("clips a split (data.backdrop.clips, eval_clips)", clips, 1),
    )
    for name, value, least in wanted:
        if value < least:
            raise WhyactError(f"Backdrop needs at least {least} {name}, got {value}.")


def draw_factors(*, split: str, index: int, seed: int, correlation: float) -> Factors:
    """Draw one clip's factors; the same arguments always give the same factors.

    Every special split differs from ``iid`` in its own factor only; its scenes follow ``iid``
    (with the same correlation), except for ``swap``, ``novel``, ``scuba``, ``scufo``, ``probe``,
    ``multi`` and ``untrimmed`` (with their ``_train`` and ``_val``), which say so in their names or
    have uncorrelated scenes.

    Raises:
        WhyactError: an unknown split, a correlation outside [0, 1], or a negative seed.
    """
    if split not in SPLITS:
        raise WhyactError(f"Unknown Backdrop split '{split}'; choose from {list(SPLITS)}.")
    if not 0 <= correlation <= 1:
        raise WhyactError(f"Backdrop's correlation must be in [0, 1], got {correlation}.")
    if seed < 0:
        raise WhyactError(f"Backdrop's seed must be 0 or above, got {seed}.")
    # scufo is scuba with one frame tiled: the same clips, so that the two can be paired.
    rng = stream(seed, "scuba" if split == "scufo" else split, index)
    actors = _people(rng, split, index)
    wild, dark = split == "camera", split == "light"
    reach = rng.uniform(0.28, 0.45, 2) if wild else rng.uniform(0, 0.15, 2)
    pan = reach * rng.choice([-1, 1], 2)
    occluders = int(rng.integers(2, 4)) if split == "occluded" else int(rng.random() < 0.2)
    width = (0.07, 0.11) if split == "occluded" else (0.03, 0.05)
    sign = rng.choice([-1, 1])
    return Factors(
        actors=actors,
        scene=_scene(rng, split, index, actors[0].action, correlation),
        pan=(float(pan[0]), float(pan[1]) * 0.4),
        shake=0.02 if wild else float(rng.uniform(0, 0.004)),
        zoom=float(rng.choice([-0.25, 0.25])) if wild else float(rng.uniform(-0.06, 0.06)),
        gain=float(rng.choice([0.55, 1.45]) if dark else rng.uniform(0.85, 1.15)),
        gamma=float(rng.choice([0.75, 1.35]) if dark else rng.uniform(0.9, 1.1)),
        cast=(1.0, float(rng.uniform(0.95, 1.05)), float(rng.uniform(0.93, 1.07)))
        if not dark
        else (float(rng.uniform(0.7, 1.3)), 1.0, float(rng.uniform(0.7, 1.3))),
        gradient=float((rng.uniform(0.25, 0.45) if dark else 0.15 * rng.random()) * sign),
        flicker=0.08 if dark else float(rng.uniform(0, 0.015)),
        distractors=int(rng.integers(0, 3)),
        occluders=tuple(
            (float(rng.uniform(0.25, 0.75)), float(rng.uniform(*width))) for _ in range(occluders)
        ),
        style_seed=int(rng.integers(2**31)),
    )
