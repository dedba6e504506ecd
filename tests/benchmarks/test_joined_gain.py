"""The study of all pairs of real clips: which they are, and what is compared with what."""

import pytest
import torch
from joined_gain import EveryPair, gained
from joined_who import PROTOCOLS
from tests.data.test_joined import Toy

from whyact.types import Clip


def test_every_pair_of_a_group_in_both_orders() -> None:
    toy = Toy(count=8, actions=4)
    toy.labels[1] = 0  # the first film now shows action 0 twice
    dataset = EveryPair(toy)
    # Of the first film's 12 ordered pairs 2 show one action; the second film has all 12.
    assert len(dataset) == 10 + 12 == len(set(dataset.ids)) == len(dataset.groups)
    assert dataset.groups == ["film0"] * 10 + ["film1"] * 12
    for index, (left, right) in enumerate(dataset.pairs):
        assert left // 4 == right // 4 and dataset.members(index, turn=3) == [left, right]
        assert dataset.labels[index] == (toy.labels[left], toy.labels[right])
        clip = dataset[(index, 0)]
        assert isinstance(clip, Clip) and clip.video.shape == (3, 3, 2, 4)
        assert clip.video[0, 0, 0].tolist() == [left, left, right, right]
        assert set(torch.as_tensor(clip.label).nonzero().flatten().tolist()) == set(
            dataset.labels[index]  # type: ignore[arg-type]
        )


def test_all_protocols_are_compared_with_the_twin_s_one_pass() -> None:
    asked = {f"map of {p.name}": 0.5 + k / 10 for k, p in enumerate(PROTOCOLS)}
    found = gained(asked, {"map of no_prompt": 0.4, "map of label_free": 0.9})
    assert found["twin"] == 0.4 and found["asked map of label_free"] == 0.6
    gains = [found[f"asked over twin map of {p.name}"] for p in PROTOCOLS]
    assert gains == pytest.approx([0.1, 0.2, 0.3, 0.4])
