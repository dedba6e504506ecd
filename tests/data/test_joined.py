"""Clips joined in time, from a toy set whose every frame tells its clip."""

from dataclasses import replace

import pytest
import torch

from whyact.data.joined import JoinedDataset
from whyact.types import Clip, Failure, WhyactError


class Toy:
    """Clip i is three frames of the number i, with action i modulo 4."""

    classes, scenes, views, fingerprint = ("a", "b", "c", "d", "e"), (), 1, "toy"

    def __init__(self, count: int = 12, actions: int = 4, broken: int = -1) -> None:
        self.labels = [i % actions for i in range(count)]
        self.ids = [f"clip{i}" for i in range(count)]
        self.groups = [f"film{i // 4}" for i in range(count)]  # each holds every action once
        self.broken = broken

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, request: tuple[int, int]) -> Clip | Failure:
        i = request[0]
        if i == self.broken:
            return Failure(self.ids[i], "broken")
        video = torch.full((3, 3, 2, 2), i, dtype=torch.uint8)
        return Clip(video=video, label=self.labels[i], id=self.ids[i], mask=video[0] > 5)


def made(
    train: bool = False, seed: int = 0, axis: str = "time", within: bool = False, **toy: int
) -> JoinedDataset:
    return JoinedDataset(
        source=Toy(**toy), count=3, train=train, seed=seed, axis=axis, within=within
    )


def test_the_clip_its_labels_and_its_intervals_tell_the_same() -> None:
    dataset = made()
    for index in range(len(dataset)):
        clip = dataset[(index, 0)]
        assert isinstance(clip, Clip)
        order = clip.video[0, ::3, 0, 0].tolist()
        assert order == dataset.members(index) and index in order
        assert clip.video.shape == (3, 9, 2, 2) and clip.mask is not None
        assert torch.equal(clip.mask[:, 0, 0], clip.video[0, :, 0, 0] > 5)
        actions = [i % 4 for i in order]
        assert len(set(actions)) == 3 and dataset.labels[index] == tuple(actions)
        assert torch.nonzero(torch.as_tensor(clip.label)).flatten().tolist() == sorted(actions)
        spans = [(i.action, i.start, i.stop) for i in dataset.intervals(index)]
        assert spans == [(actions[0], 0, 1 / 3), (actions[1], 1 / 3, 2 / 3), (actions[2], 2 / 3, 1)]
        assert clip.id == dataset.ids[index] == "+".join(f"clip{i}" for i in order)


def test_side_by_side_every_action_has_its_part_of_the_picture_all_the_time() -> None:
    dataset = made(axis="width")
    for index in range(len(dataset)):
        clip = dataset[(index, 0)]
        assert isinstance(clip, Clip) and clip.video.shape == (3, 3, 2, 6)
        # Each picture is two pixels wide, so every second column tells the clip.
        order = clip.video[0, 0, 0, ::2].tolist()
        assert order == dataset.members(index)
        assert clip.mask is not None and torch.equal(clip.mask, clip.video[0] > 5)
        masks = dataset.actor_masks(index)
        assert masks.shape == (3, 3, 2, 6) and torch.equal(masks.sum(0), torch.ones(3, 2, 6))
        for place, member in enumerate(order):
            assert torch.equal(masks[place], clip.video[0] == member)
        spans = [(i.action, i.start, i.stop) for i in dataset.intervals(index)]
        assert spans == [(i % 4, 0, 1) for i in order]
    assert dataset.fingerprint != made().fingerprint


def test_end_to_end_the_part_of_an_action_is_a_third_of_the_frames() -> None:
    masks = made().actor_masks(0)
    assert masks.shape == (3, 9, 2, 2)
    assert [m[:, 0, 0].nonzero().flatten().tolist() for m in masks] == [
        [0, 1, 2], [3, 4, 5], [6, 7, 8]
    ]  # fmt: skip


def test_within_a_group_clips_are_joined_alike_whatever_else_there_is() -> None:
    whole, part = made(within=True), made(within=True, count=4)
    for index in range(12):
        assert {i // 4 for i in whole.members(index)} == {index // 4}
    assert whole.ids[:4] == part.ids and any(
        i // 4 != n // 4 for n in range(12) for i in made().members(n)
    )
    with pytest.raises(WhyactError, match="actions in group 'film2'; there are 2"):
        made(within=True, count=10)


def test_training_draws_others_in_every_epoch_and_evaluation_never() -> None:
    assert made(train=True).members(0, 1) != made(train=True).members(0, 2)
    assert made().members(0, 1) == made().members(0, 2) != made(seed=1).members(0, 1)
    assert made().fingerprint != made(seed=1).fingerprint


def test_a_clip_that_cannot_be_read_fails_all_that_hold_it() -> None:
    dataset = made(broken=4)
    for index in range(len(dataset)):
        assert isinstance(dataset[(index, 0)], Failure) == (4 in dataset.members(index))


def test_what_cannot_be_joined_is_refused() -> None:
    with pytest.raises(WhyactError, match="there are 2"):
        made(actions=2)
    with pytest.raises(WhyactError, match="join_axis is 'height'; choose"):
        made(axis="height")
    with pytest.raises(WhyactError, match="clip0: broken"):
        made(broken=0).actor_masks(0)
    several = Toy()
    several.labels = [(0, 1)] * 12  # type: ignore[list-item]
    with pytest.raises(WhyactError, match="one action each"):
        JoinedDataset(source=several, count=2, train=False, seed=0)
    views = Toy()
    views.views = 10
    with pytest.raises(WhyactError, match=r"data\.protocol to 1x1"):
        JoinedDataset(source=views, count=2, train=False, seed=0)


def test_boxes_are_joined_like_their_clips() -> None:
    class Boxed(Toy):
        """Clip i has a box at the left of all its frames, of class i."""

        def __getitem__(self, request: tuple[int, int]) -> Clip | Failure:
            clip = super().__getitem__(request)
            assert isinstance(clip, Clip)
            box = torch.tensor([0.0, 0.5, 0.6, 1.0, float(request[0])])
            return replace(clip, boxes=box.expand(3, 1, 5))

    wide = JoinedDataset(source=Boxed(), count=3, train=False, seed=0, axis="width")
    clip = wide[(0, 0)]
    assert isinstance(clip, Clip) and clip.boxes is not None
    kinds = [float(i) for i in wide.members(0)]
    expected = [[i / 3, 0.5, (i + 0.6) / 3, 1.0, kind] for i, kind in enumerate(kinds)]
    torch.testing.assert_close(clip.boxes, torch.tensor(expected).expand(3, 3, 5))
    long = JoinedDataset(source=Boxed(), count=3, train=False, seed=0)
    clip = long[(0, 0)]
    assert isinstance(clip, Clip) and clip.boxes is not None and clip.boxes.shape == (9, 3, 5)
    kinds = [float(i) for i in long.members(0)]
    for frame in range(9):
        slot = frame // 3
        assert clip.boxes[frame, slot].tolist() == pytest.approx([0.0, 0.5, 0.6, 1.0, kinds[slot]])
        assert clip.boxes[frame].isnan().all(-1).sum() == 2
    assert made()[(0, 0)].boxes is None  # type: ignore[union-attr]
