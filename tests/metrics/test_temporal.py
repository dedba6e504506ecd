"""Detection in time against answers derived by hand."""

import pytest
import torch

from whyact.metrics.temporal import (
    average_precision,
    detection_map,
    frame_labels,
    frame_map,
    temporal_iou,
)
from whyact.types import Interval, WhyactError


def at(start: float, stop: float, score: float = 1.0, action: int = 0) -> Interval:
    return Interval(action, start, stop, score)


def test_temporal_iou() -> None:
    assert temporal_iou(at(0, 4), at(2, 6)) == pytest.approx(2 / 6)
    assert temporal_iou(at(0, 4), at(1, 2)) == pytest.approx(1 / 4)
    assert temporal_iou(at(0, 2), at(2, 4)) == 0 and temporal_iou(at(1, 1), at(1, 1)) == 0


def test_average_precision_of_a_ranking_worked_out_by_hand() -> None:
    truth = [[at(0, 10), at(20, 30)], [at(0, 10)]]
    found = [
        [at(0, 10, 0.9), at(1, 9, 0.8), at(20, 30, 0.4)],  # right, again the first: wrong, right
        [at(8, 20, 0.7)],  # IoU 2 / 20: wrong at 0.5
    ]
    # Hits by rank: 1, 0, 0, 1; precision at the hits 1 and 2/4, three true intervals.
    assert average_precision(truth, found, 0, 0.5) == pytest.approx((1 + 2 / 4) / 3)
    # At IoU 0.1 the third is right too: 1, 2/3 -> interpolated 3/4, 3/4.
    assert average_precision(truth, found, 0, 0.1) == pytest.approx((1 + 3 / 4 + 3 / 4) / 3)


def test_a_detection_counts_in_its_own_clip_and_for_its_own_action_only() -> None:
    truth = [[at(0, 10)], [at(0, 10, action=1)]]
    assert average_precision(truth, [[], [at(0, 10)]], 0, 0.5) == 0
    assert average_precision(truth, [[at(0, 10)], []], 0, 0.5) == 1
    assert average_precision(truth, [[at(0, 10)], []], 1, 0.5) == 0
    assert average_precision(truth, [[at(0, 10)], []], 2, 0.5) is None


def test_the_mean_is_over_actions_that_occur_and_over_thresholds() -> None:
    truth = [[at(0, 10), at(0, 10, action=2)]]
    found = [[at(0, 10), at(0, 4, action=2), at(0, 9, action=7)]]  # IoU 1 and 0.4
    scores = detection_map(truth, found, (0.3, 0.5))
    assert scores == {"map@0.3": 1.0, "map@0.5": 0.5, "map": 0.75}
    assert detection_map([[]], [[]], (0.5,)) == {"map@0.5": None, "map": None}


def test_frames_have_the_labels_of_their_intervals() -> None:
    labels = frame_labels([at(1, 3), at(2, 4, action=1)], 4, 2)
    assert labels.tolist() == [[0, 0], [1, 0], [1, 1], [0, 1]]


def test_halves_of_frames_are_rounded_alike() -> None:
    """A frame belongs to the interval that its middle lies in, or starts it."""
    for start in (0.5, 1.5, 2.5):
        assert frame_labels([at(start, start + 1)], 5, 1).sum() == 1
    assert frame_labels([at(0.4, 1.6)], 3, 1).flatten().tolist() == [1, 1, 0]


def test_frame_map_ranks_the_frames_of_all_clips_together() -> None:
    truth = [[at(0, 1)], [at(1, 2)]]
    evidence = [torch.tensor([[0.9, 5.0], [0.2, 5.0]]), torch.tensor([[0.5, 5.0], [0.4, 5.0]])]
    # Class 0 by falling evidence: right, wrong, right, wrong. Class 1 never occurs.
    assert frame_map(evidence, truth) == pytest.approx((1 + 2 / 3) / 2)
    assert frame_map([], []) is None


def test_lists_of_different_clips_are_refused() -> None:
    with pytest.raises(WhyactError, match="got 1 and 2"):
        average_precision([[]], [[], []], 0, 0.5)
