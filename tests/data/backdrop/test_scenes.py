"""The families of scenes as pictures."""

import numpy as np
import pytest

from whyact.data.backdrop.actions import ACTIONS
from whyact.data.backdrop.factors import SMALLEST
from whyact.data.backdrop.render import PLATE, SUPERSAMPLE
from whyact.data.backdrop.scenes import NOVEL_SCENES, SCENES, TRAIN_SCENES, paint, paint_noise

SIDE = 72
EVERY = range(len(SCENES))


def picture(scene: int, seed: int, side: int = SIDE) -> np.ndarray:
    return np.asarray(paint(scene, np.random.default_rng(seed), side)).astype(int)


def test_every_action_has_a_scene_and_names_are_unique() -> None:
    assert len(TRAIN_SCENES) == len(ACTIONS) and len(NOVEL_SCENES) >= 5
    assert len(set(SCENES)) == len(SCENES) == len(TRAIN_SCENES) + len(NOVEL_SCENES)
    assert len({painter for _, _, painter in TRAIN_SCENES + NOVEL_SCENES}) == len(SCENES)


@pytest.mark.parametrize("scene", EVERY)
def test_a_scene_varies_inside_its_family_and_the_seed_decides(scene) -> None:
    one = picture(scene, 0)
    assert one.shape == (SIDE, SIDE, 3)
    assert np.array_equal(one, picture(scene, 0))
    assert (np.abs(one - picture(scene, 1)).max(-1) > 8).mean() > 0.3
    assert one.std((0, 1)).min() > 3  # no empty wall


@pytest.mark.parametrize("scene", EVERY)
def test_the_smallest_clips_can_be_painted_everywhere(scene) -> None:
    side = int(SMALLEST * SUPERSAMPLE * PLATE)
    for seed in range(5):
        assert picture(scene, seed, side).shape == (side, side, 3)


def test_a_family_can_be_told_from_the_others_by_its_colours() -> None:
    def colours(scene: int, seed: int) -> np.ndarray:
        """Mean of every channel above the ground, and how much it varies."""
        wall = picture(scene, seed)[: SIDE // 2]
        return np.concatenate([wall.mean((0, 1)), wall.std((0, 1))])

    known = np.array([[colours(scene, seed) for seed in range(12)] for scene in EVERY])
    right = 0
    for scene in EVERY:
        for seed in range(12, 15):
            near = np.linalg.norm(known - colours(scene, seed), axis=-1).reshape(-1).argmin()
            right += near // 12 == scene
    assert right / (3 * len(SCENES)) > 0.5  # by chance 0.05


def test_noise_is_coloured_and_of_many_scales() -> None:
    noise = [np.asarray(paint_noise(np.random.default_rng(s), SIDE)).astype(int) for s in range(30)]
    assert all(n.shape == (SIDE, SIDE, 3) for n in noise)
    steps = [np.abs(np.diff(n, axis=1)).mean() for n in noise]
    assert max(steps) > 5 * min(steps)
    assert all(np.corrcoef(n[..., 0].ravel(), n[..., 1].ravel())[0, 1] < 0.9 for n in noise)
