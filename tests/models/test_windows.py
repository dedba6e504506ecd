"""Windows over long videos."""

import pytest
import torch
from torch import Tensor

from whyact.models.windows import video_evidence, window_starts
from whyact.types import WhyactError


def test_windows_cover_the_video_and_end_with_it() -> None:
    assert window_starts(10, 4, 2) == [0, 2, 4, 6]
    assert window_starts(9, 4, 4) == [0, 4, 5]
    assert window_starts(3, 4, 2) == [0] and window_starts(4, 4, 2) == [0]
    with pytest.raises(WhyactError, match="4 frames cannot move by 5"):
        window_starts(10, 4, 5)


def test_a_frame_gets_the_mean_of_the_windows_that_see_it() -> None:
    seen: list[tuple[int, int]] = []

    def read(start: int, stop: int) -> Tensor:
        seen.append((start, stop))
        return torch.arange(start, stop).float().view(1, -1, 1, 1).expand(3, -1, 2, 2)

    def score(clip: Tensor) -> Tensor:
        """Two time steps, each the mean of its half of the window; and the window's start."""
        frames = clip[0, :, 0, 0]
        halves = torch.stack([h.mean() for h in frames.chunk(2)])
        return torch.stack([halves, frames[:1].expand(2)], 1)

    found = video_evidence(score, read, length=8, window=4)
    assert seen == [(0, 4), (2, 6), (4, 8)]
    assert found[:, 0].tolist() == [0.5, 0.5, 2.5, 2.5, 4.5, 4.5, 6.5, 6.5]
    assert found[:, 1].tolist() == [0, 0, 1, 1, 3, 3, 4, 4]
