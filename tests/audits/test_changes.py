"""What each change leaves of a clip."""

import pytest
import torch
from tests.audits.toys import ToyClips

from whyact.audits.changes import CHANGES, Scene
from whyact.audits.clips import collect
from whyact.ops.fill import IMAGENET_MEAN
from whyact.ops.warp import dilate


@pytest.fixture(scope="module")
def scene() -> Scene:
    clips = collect(ToyClips(8))
    rows = torch.arange(8)
    return Scene(*clips.floats(rows), *clips.floats(clips.donor), seeds=rows)


@pytest.fixture(scope="module")
def far(scene: Scene) -> torch.Tensor:
    """(B, 1, T, H, W): pixels that no seam of either actor reaches."""
    near = dilate(torch.maximum(scene.masks, scene.donor_masks), 4)
    return (near == 0)[:, None].expand_as(scene.clips)


def inside(scene: Scene) -> torch.Tensor:
    """Pixels of the actors that no softened edge reaches."""
    core = 1 - dilate(1 - scene.masks, 1)
    return (core > 0)[:, None].expand_as(scene.clips)


@pytest.mark.parametrize("name", ["human_only", "own_background", "swapped", "scuba"])
def test_the_actor_stays(scene, name):
    made = CHANGES[name].make(scene)
    torch.testing.assert_close(made[inside(scene)], scene.clips[inside(scene)])


def test_what_is_around_the_actor(scene, far):
    made = {name: CHANGES[name].make(scene) for name in CHANGES}
    mean = torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1, 1).expand_as(scene.clips)
    torch.testing.assert_close(made["human_only"][far], mean[far])
    torch.testing.assert_close(made["background_only"][far], scene.clips[far])
    # The toy camera stands still, so the plate is the background but for rounding.
    torch.testing.assert_close(made["own_background"][far], scene.clips[far], atol=0.02, rtol=0)
    torch.testing.assert_close(made["swapped"][far], scene.donors[far], atol=0.02, rtol=0)
    stripes = made["scuba"][:, :, :, :1, :1]
    assert len(stripes.flatten(1).unique(dim=0)) == 8  # other stripes for every clip


def test_the_actor_is_gone(scene):
    left = CHANGES["background_only"].make(scene)[inside(scene)]
    assert scene.clips[inside(scene)].min() == 1 and left.max() < 0.75


def test_changes_of_time(scene):
    shuffled = CHANGES["shuffled"].make(scene)
    for before, after in zip(scene.clips, shuffled, strict=True):
        order = [
            next(i for i in range(6) if torch.equal(before[:, i], after[:, t])) for t in range(6)
        ]
        assert sorted(order) == list(range(6))
        assert order not in (list(range(6)), list(range(6))[::-1])
    torch.testing.assert_close(shuffled, CHANGES["shuffled"].make(scene))  # seeded
    assert torch.equal(CHANGES["reversed"].make(scene)[:, :, 0], scene.clips[:, :, -1])
    static, scufo = CHANGES["static"].make(scene), CHANGES["scufo"].make(scene)
    assert torch.equal(static, scene.clips[:, :, 3:4].expand_as(static))
    assert torch.equal(scufo, CHANGES["scuba"].make(scene)[:, :, 3:4].expand_as(scufo))


def test_a_shuffle_is_never_the_clip_or_its_reverse():
    count = torch.arange(20)
    three = torch.arange(3.0).view(1, 1, 3, 1, 1).expand(20, 3, 3, 4, 4)
    mask = torch.zeros(20, 3, 4, 4)
    made = CHANGES["shuffled"].make(Scene(three, mask, three, mask, seeds=count))
    orders = {tuple(clip[0, :, 0, 0].int().tolist()) for clip in made}
    assert orders == {(0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1)}
