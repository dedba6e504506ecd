"""What each split draws, counted over many clips that are never rendered."""

import math
from collections import Counter
from functools import cache
from itertools import pairwise

import pytest

from whyact.data.backdrop.actions import ACTIONS
from whyact.data.backdrop.factors import (
    NOISE_SCENE,
    SEVERAL,
    SPLITS,
    TEST_SPLITS,
    Factors,
    draw_factors,
    kind_of,
)
from whyact.data.backdrop.scenes import NOVEL_SCENES, TRAIN_SCENES
from whyact.types import WhyactError

MANY = 450  # 30 clips of each action
ONE_ACTOR = [s for s in SPLITS if kind_of(s) not in SEVERAL]
OTHER_SCENE = ["swap", *(s for s in SPLITS if kind_of(s) in SEVERAL)]
TIED = ("val", "iid", "camera", "light", "clothing", "occluded", "tempo")


@cache
def draw(
    split: str, count: int = MANY, correlation: float = 0.9, seed: int = 0
) -> tuple[Factors, ...]:
    return tuple(
        draw_factors(split=split, index=i, seed=seed, correlation=correlation) for i in range(count)
    )


def tied(clips: tuple[Factors, ...]) -> float:
    """Share of the clips whose scene is the one of their action."""
    return sum(f.scene == f.actors[0].action for f in clips) / len(clips)


# The share of 3000 clips has a standard deviation of at most 0.009.
@pytest.mark.parametrize(
    ("correlation", "share"), [(0.9, 0.9), (0.5, 0.5), (1.0, 1.0), (0.0, 1 / 15)]
)
def test_the_correlation_is_the_share_of_clips_in_the_scene_of_their_action(
    correlation, share
) -> None:
    assert tied(draw("train", 3000, correlation)) == pytest.approx(share, abs=0.03)


def test_every_action_is_tied_alike_and_strays_into_every_other_scene() -> None:
    for action in range(len(ACTIONS)):
        often, half = draw("train", 3000)[action::15], draw("train", 6000, 0.5)[action::15]
        assert tied(often) == pytest.approx(0.9, abs=0.08)
        assert {f.scene for f in half} == set(range(len(TRAIN_SCENES)))


@pytest.mark.parametrize("split", TIED)
def test_the_splits_of_one_nuisance_keep_the_correlation_of_training(split) -> None:
    assert tied(draw(split, 900)) == pytest.approx(0.9, abs=0.04)


@pytest.mark.parametrize("split", ONE_ACTOR)
def test_the_actions_come_in_turn(split) -> None:
    assert [f.actors[0].action for f in draw(split, 30)] == [*range(15), *range(15)]
    assert all(len(f.actors) == 1 for f in draw(split))


def test_the_probe_crosses_every_action_with_every_scene() -> None:
    pairs = Counter((f.actors[0].action, f.scene) for f in draw("probe"))
    assert len(pairs) == 15 * 15 and set(pairs.values()) == {2}


@pytest.mark.parametrize("split", OTHER_SCENE)
@pytest.mark.parametrize("correlation", [0.9, 0.0])
def test_swapped_scenes_are_every_one_but_the_action_s_own(split, correlation) -> None:
    clips = draw(split, correlation=correlation)
    assert tied(clips) == 0
    assert {f.scene for f in clips} == set(range(15))
    shift = Counter((f.scene - f.actors[0].action) % 15 for f in clips)
    assert set(shift) == set(range(1, 15)) and max(shift.values()) < 2 * MANY / 14


def test_novel_scenes_are_in_no_other_split() -> None:
    novel = set(range(len(TRAIN_SCENES), len(TRAIN_SCENES) + len(NOVEL_SCENES)))
    assert {f.scene for f in draw("novel")} == novel
    for split in SPLITS:
        if split != "novel":
            assert novel.isdisjoint(f.scene for f in draw(split))


def test_scuba_has_no_scene_and_scufo_is_drawn_like_it() -> None:
    assert {f.scene for f in draw("scuba")} == {NOISE_SCENE}
    assert draw("scufo") == draw("scuba")
    assert all(f.scene != NOISE_SCENE for s in SPLITS if s[:2] != "sc" for f in draw(s))


def test_several_people_do_different_things_side_by_side() -> None:
    clips = draw("multi")
    counts = Counter(len(f.actors) for f in clips)
    assert set(counts) == {2, 3, 4} and min(counts.values()) > MANY / 3 - 50
    for f in clips:
        assert len({a.action for a in f.actors}) == len(f.actors)
        places = [a.x for a in f.actors]
        # n equal parts, each person at most 0.12 of a part from its middle.
        gap = (1 - 0.24) / len(places)
        assert all(b - a >= gap - 1e-9 for a, b in pairwise(places))
        assert places[0] > 0 and places[-1] < 1
        assert max(a.height for a in f.actors) < 0.78 * 0.73
    assert {a.action for f in clips for a in f.actors} == set(range(15))


def test_untrimmed_actions_cover_parts_of_the_clip() -> None:
    clips = draw("untrimmed")
    assert {len(f.actors) for f in clips} == {2, 3}
    assert all(len({a.action for a in f.actors}) == len(f.actors) for f in clips)
    spans = [(a.start, a.stop) for f in clips for a in f.actors]
    assert all(a >= 0 and b <= 1 and 0.3 - 1e-9 <= b - a <= 0.5 + 1e-9 for a, b in spans)
    assert min(a for a, _ in spans) < 0.05 and max(b for _, b in spans) > 0.95
    for split in SPLITS:
        if kind_of(split) != "untrimmed":
            assert {(a.start, a.stop) for f in draw(split) for a in f.actors} == {(0.0, 1.0)}


def outside_muted(color: tuple[int, ...]) -> int:
    """How far the most extreme channel lies outside of [40, 200)."""
    return max(max(40 - c, c - 199, 0) for c in color)


# name: the split that leaves the range, the values of a clip, the most in training, the least there
NUISANCES = {
    "pan": ("camera", lambda f: [abs(f.pan[0])], 0.15, 0.28),
    "tilt": ("camera", lambda f: [abs(f.pan[1])], 0.06, 0.112),
    "shake": ("camera", lambda f: [f.shake], 0.004, 0.02),
    "zoom": ("camera", lambda f: [abs(f.zoom)], 0.06, 0.25),
    "gain": ("light", lambda f: [abs(f.gain - 1)], 0.15, 0.45),
    "gamma": ("light", lambda f: [abs(f.gamma - 1)], 0.1, 0.25),
    "gradient": ("light", lambda f: [abs(f.gradient)], 0.15, 0.25),
    "flicker": ("light", lambda f: [f.flicker], 0.015, 0.08),
    "clothes": ("clothing", lambda f: [outside_muted(c) for c in f.actors[0].colors[2:]], 0, 40),
    "posts": ("occluded", lambda f: [len(f.occluders)], 1, 2),
    "post width": ("occluded", lambda f: [width for _, width in f.occluders], 0.05, 0.07),
    "tempo": ("tempo", lambda f: [abs(math.log(f.actors[0].cycles))], 0.183, 0.53),
}


@pytest.mark.parametrize("name", NUISANCES)
def test_a_nuisance_leaves_the_range_of_training_in_its_own_split_only(name) -> None:
    own, values, most, least = NUISANCES[name]
    for split in SPLITS:
        drawn = [v for f in draw(split) for v in values(f)]
        if split == own:
            assert min(drawn) >= least - 1e-9
        else:
            assert max(drawn) <= most + 1e-9, split


def test_a_nuisance_leaves_the_range_to_both_sides() -> None:
    camera, light, tempo = draw("camera"), draw("light"), draw("tempo")
    assert {(f.pan[0] > 0, f.pan[1] > 0, f.zoom > 0) for f in camera} == {
        (a, b, c) for a in (False, True) for b in (False, True) for c in (False, True)
    }
    assert {(f.gain, f.gamma) for f in light} == {
        (0.55, 0.75), (0.55, 1.35), (1.45, 0.75), (1.45, 1.35)
    }  # fmt: skip
    assert {f.gradient > 0 for f in light} == {False, True}
    assert {f.actors[0].cycles for f in tempo} == {0.55, 1.7}


@pytest.mark.parametrize("split", SPLITS)
def test_what_no_split_is_about_varies_in_all_of_them(split) -> None:
    actors = [a for f in draw(split) for a in f.actors]
    assert {f.distractors for f in draw(split)} == {0, 1, 2}
    assert {a.swap_sides for a in actors} == {False, True}
    assert len({a.colors[0] for a in actors}) == len({a.colors[1] for a in actors}) == 5
    for name, low, high in (("amplitude", 0.85, 1.1), ("phase", 0, 1), ("foreshorten", 0.8, 1)):
        drawn = [getattr(a, name) for a in actors]
        assert low <= min(drawn) < low + 0.02 and high - 0.02 < max(drawn) <= high


def test_pushing_faces_its_side_and_all_others_face_both() -> None:
    facing = {action: set() for action in ACTIONS}
    for f in draw("train"):
        facing[ACTIONS[f.actors[0].action]].add(f.actors[0].facing)
    assert facing.pop("push_left") == {-1} and facing.pop("push_right") == {1}
    assert all(sides == {-1, 1} for sides in facing.values())


def test_the_arguments_decide_and_no_two_clips_are_drawn_alike() -> None:
    draw.cache_clear()
    first = {split: draw(split, 20) for split in SPLITS}
    draw.cache_clear()
    assert {split: draw(split, 20) for split in SPLITS} == first
    seeds = [f.style_seed for split in SPLITS if split != "scufo" for f in first[split]]
    seeds += [f.style_seed for f in draw("train", 20, 0.9, 1)]
    assert len(set(seeds)) == len(seeds) == len(SPLITS) * 20


def test_the_correlation_changes_scenes_only() -> None:
    for low, high in zip(draw("train", 60, 0.3), draw("train", 60, 0.9), strict=True):
        assert low.actors == high.actors and low.pan == high.pan
        assert low.style_seed == high.style_seed and low.occluders == high.occluders


def test_test_splits_are_those_that_select_nothing() -> None:
    others = {
        "train",
        "val",
        "probe",
        "multi_train",
        "multi_val",
        "untrimmed_train",
        "untrimmed_val",
        "scufo_train",
        "scufo_val",
    }
    assert set(SPLITS) - set(TEST_SPLITS) == {"train", "val", "probe", *others}


def test_clips_to_train_on_several_actions_are_like_the_test_s_and_are_other_clips() -> None:
    assert [kind_of(s) for s in ("multi_train", "untrimmed_val", "val", "scuba")] == [
        "multi", "untrimmed", "val", "scuba"
    ]  # fmt: skip
    for split in ("multi_train", "multi_val"):
        assert {len(f.actors) for f in draw(split)} == {2, 3, 4}
        assert draw(split)[0] != draw("multi")[0]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"split": "test"},
            r"Unknown Backdrop split 'test'; choose from \['train', 'val', 'probe'",
        ),
        ({"correlation": 1.2}, r"correlation must be in \[0, 1\], got 1\.2"),
        ({"correlation": float("nan")}, r"correlation must be in \[0, 1\], got nan"),
        ({"seed": -1}, r"seed must be 0 or above, got -1"),
    ],
)
def test_wrong_arguments_are_named(wrong, message) -> None:
    with pytest.raises(WhyactError, match=message):
        draw_factors(**{"split": "train", "index": 0, "seed": 0, "correlation": 0.9, **wrong})
