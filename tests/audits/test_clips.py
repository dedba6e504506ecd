"""Reading the clips of an audit."""

import pytest
import torch
from tests.audits.toys import FRAMES, SIZE, ToyClips

from whyact.audits.clips import collect, draw_donors
from whyact.types import Failure, WhyactError


@pytest.mark.parametrize("seed", range(5))
def test_a_donor_is_of_another_class_and_used_once(seed):
    labels = torch.tensor([0, 0, 0, 1, 1, 2, 2, 0])
    donor = draw_donors(labels, torch.Generator().manual_seed(seed))
    assert donor.tolist() != list(range(8)) and sorted(donor.tolist()) == list(range(8))
    assert bool((labels[donor] != labels).all())


@pytest.mark.parametrize("seed", range(5))
def test_clips_without_a_donor_are_counted(seed):
    # Three of one class and one of another: one of the three and the other can be exchanged.
    donor = draw_donors(torch.tensor([0, 0, 0, 1]), torch.Generator().manual_seed(seed))
    assert (donor < 0).sum() == 2 and donor[3] >= 0
    alone = draw_donors(torch.tensor([1, 1]), torch.Generator().manual_seed(seed))
    assert alone.tolist() == [-1, -1]


def test_given_masks_are_taken_and_motion_finds_the_others():
    given = collect(ToyClips(6), seed=0)
    assert set(given.masks_from) == {"given"} and given.mask.sum() == 6 * FRAMES * 36
    found = collect(ToyClips(6, masks=False), seed=0)
    assert set(found.masks_from) == {"motion"}
    assert (found.mask & given.mask).sum() > 0.9 * given.mask.sum()  # whole, with a rim
    assert found.mask.sum() < 4 * given.mask.sum()
    none = collect(ToyClips(6), masks="none", seed=0)
    assert set(none.masks_from) == {"none"} and not none.masked.any()


def test_a_segmentation_model_makes_the_masks():
    clips = collect(ToyClips(4), segmenter=lambda x: (x.amin(1, keepdim=True) > 0.9).float())
    assert set(clips.masks_from) == {"segmentation"} and clips.mask.sum() == 4 * FRAMES * 36
    with pytest.raises(WhyactError, match=r"Expected probabilities \(N, 1, H, W\) = \(6, 1, 24"):
        collect(ToyClips(4), segmenter=lambda x: x)


def test_clips_are_drawn_by_the_seed_and_failures_are_kept():
    class Damaged(ToyClips):
        def __getitem__(self, request):
            return Failure("clip1", "torn") if request[0] == 1 else super().__getitem__(request)

    first, again = (collect(ToyClips(20), clips=5, seed=3) for _ in range(2))
    assert first.ids == again.ids and len(first) == 5 == first.expected
    assert collect(ToyClips(20), clips=5, seed=4).ids != first.ids
    whole = collect(Damaged(4))
    assert (len(whole), whole.expected) == (3, 4) and whole.failures[0].reason == "torn"
    assert whole.video.shape == (3, 3, FRAMES, SIZE, SIZE)


def test_what_cannot_be_audited_is_told():
    class Broken(ToyClips):
        def __getitem__(self, request):
            return Failure("a", "torn")

    class Several(ToyClips):
        def __getitem__(self, request):
            clip = super().__getitem__(request)
            object.__setattr__(clip, "label", torch.ones(2))
            return clip

    with pytest.raises(WhyactError, match=r"None of 2 clips could be read, e.g. a: torn"):
        collect(Broken(2))
    with pytest.raises(WhyactError, match="clip0: an audit needs clips with exactly one label"):
        collect(Several(2))
    with pytest.raises(WhyactError, match="Unknown masks 'mask'; choose from"):
        collect(ToyClips(2), masks="mask")
