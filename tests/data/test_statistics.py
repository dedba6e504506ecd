"""Colour statistics by hand, and their way into a model."""

import pytest
import torch

from whyact.data.statistics import channel_statistics
from whyact.types import Clip, Failure, WhyactError


class Flat:
    """Clips of one colour each; index 1 cannot be read."""

    classes, scenes, views, fingerprint = ("a",), (), 1, "flat"

    def __init__(self, levels: list[int]) -> None:
        self.levels = levels
        self.ids = self.groups = [str(i) for i in range(len(levels))]
        self.labels = [0] * len(levels)

    def __len__(self) -> int:
        return len(self.levels)

    def __getitem__(self, request: tuple[int, int]) -> Clip | Failure:
        index, _ = request
        if index == 1:
            return Failure("1", "broken")
        video = torch.full((3, 2, 4, 4), self.levels[index], dtype=torch.uint8)
        video[2] = 255 - video[2]
        return Clip(video=video, label=0, id=str(index))


def test_mean_and_deviation_by_hand_without_what_cannot_be_read() -> None:
    mean, std = channel_statistics(Flat([0, 200, 255]))
    assert mean == pytest.approx((0.5, 0.5, 0.5))
    assert std == pytest.approx((0.5, 0.5, 0.5))
    mean, _ = channel_statistics(Flat([51, 0, 51, 153]))
    assert mean == pytest.approx((1 / 3, 1 / 3, 2 / 3))


def test_a_share_of_the_clips_is_spread_over_the_set() -> None:
    mean, _ = channel_statistics(Flat([0, *[51] * 98, 255]), clips=2)
    assert mean[0] == pytest.approx(0.5)


def test_what_cannot_be_measured_is_said() -> None:
    with pytest.raises(WhyactError, match="no contrast"):
        channel_statistics(Flat([51]))
    with pytest.raises(WhyactError, match="no clip could be read"):
        channel_statistics(
            type("Broken", (Flat,), {"__getitem__": lambda s, r: Failure("", "")})([1])
        )
