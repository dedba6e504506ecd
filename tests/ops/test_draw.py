"""Random numbers of a clip belong to its pixels."""

import torch

from whyact.ops.draw import clip_generators, clip_rand


def test_numbers_depend_on_the_clip_and_the_seed_only() -> None:
    clips = torch.rand(3, 3, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    together = clip_rand(clip_generators(clips), (5,), clips)
    alone = clip_rand(clip_generators(clips[1:2]), (5,), clips)
    assert torch.equal(together[1:2], alone)
    assert not torch.equal(together[0], together[1])
    assert not torch.equal(clip_rand(clip_generators(clips, 1), (5,), clips), together)
    normal = clip_rand(clip_generators(clips), (4000,), clips, normal=True)
    assert normal.mean().abs() < 0.05 and (normal.std() - 1).abs() < 0.05
