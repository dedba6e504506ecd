"""Intervals over clips and seeds, by hand and on drawn data whose truth is known."""

from __future__ import annotations

import math

import pytest
import torch

from whyact.metrics.bootstrap import draws_of_means, draws_of_measures
from whyact.metrics.seeds import (
    Resamples,
    contrast,
    log_odds,
    resample_detections,
    resample_map,
    resample_values,
    top_hits,
)
from whyact.types import Interval, WhyactError


def fixed(values: list[float], seeds: tuple[int, ...] = (0, 1, 2), draws: int = 400) -> Resamples:
    """A measure that is the same on whatever clips."""
    each = torch.tensor(values, dtype=torch.float64)
    return Resamples(seeds, each, each[:, None].expand(-1, draws), 10)


def test_mean_and_deviation_by_hand():
    values = torch.tensor([[1.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0]])
    found = contrast([(1.0, resample_values(values, [0, 1, 2]))])
    assert found.mean == pytest.approx(0.5) and found.std == pytest.approx(0.25)
    assert (found.seeds, found.clips) == (3, 4)
    assert found.low < 0.5 < found.high


def test_one_seed_less_than_there_are_is_drawn():
    """Means of three of (0, 1, 2, 3): a sum of 0 has the chance 1/64, of at most 1 it has 4/64.

    So 2.5 % lie below a mean of 1/3, and as many above 8/3; four draws would give 2/4 and 10/4.
    """
    found = contrast([(1.0, fixed([0.0, 1.0, 2.0, 3.0], (0, 1, 2, 3), draws=20_000))])
    assert (found.low, found.high) == pytest.approx((1 / 3, 8 / 3))


def test_equal_shifts_of_every_clip_have_no_uncertainty():
    """A difference that is the same for every clip and seed, whatever their own spread."""
    values = torch.rand(3, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    one, other = (resample_values(v, [0, 1, 2]) for v in (values, values + 0.25))
    found = contrast([(1.0, other), (-1.0, one)])
    numbers = (found.mean, found.low, found.high)
    assert numbers == pytest.approx((0.25, 0.25, 0.25))
    assert found.std == pytest.approx(0.0, abs=1e-12)
    alone = contrast([(1.0, other)])
    assert alone.high - alone.low > 0.05


def test_only_shared_seeds_are_paired():
    found = contrast([(1.0, fixed([1.0, 5.0], (0, 7))), (-1.0, fixed([2.0, 0.5], (7, 0)))])
    # Seed 0: 1 - 0.5, seed 7: 5 - 2.
    assert found.mean == pytest.approx((0.5 + 3.0) / 2) and found.seeds == 2
    found = contrast([(1.0, fixed([1.0, 5.0], (0, 7))), (-1.0, fixed([2.0], (7,)))])
    assert (found.mean, found.std, found.seeds) == (3.0, None, 1)
    nothing = contrast([(1.0, fixed([1.0], (0,))), (-1.0, fixed([2.0], (7,)))])
    assert (nothing.mean, nothing.low, nothing.seeds) == (None, None, 0)


def test_clips_without_a_value_are_left_out():
    nan = math.nan
    values = torch.tensor([[1.0, nan, 0.0, nan], [nan, nan, nan, nan]])
    found = resample_values(values, [0, 1], draws=64)
    assert float(found.values[0]) == 0.5 and bool(found.values[1].isnan())
    first = found.draws[0]
    assert set(first[~first.isnan()].tolist()) <= {0.0, 1.0, 0.5, 1 / 3, 2 / 3, 0.25, 0.75}
    assert contrast([(1.0, found)]).mean is None


def test_the_draws_are_those_of_the_measures():
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(40, 7, generator=generator)
    labels = torch.randint(7, (40,), generator=generator)
    known = draws_of_measures(logits, labels, draws=120, seed=5)
    for name, hits in top_hits(logits[None], labels).items():
        found = resample_values(hits, [0], draws=120, seed=5)
        torch.testing.assert_close(found.draws[0], known[name])
    assert (
        draws_of_means(torch.ones(2, 3, dtype=torch.float64), draws=5).tolist() == [[1.0] * 5] * 2
    )


def test_log_odds_are_of_the_clips_and_of_every_draw():
    """Of 10 clips none, half and all are odds of 0.5 to 10.5, 5.5 to 5.5 and 10.5 to 0.5."""
    shares = torch.tensor([[0.0, 0.5, 1.0], [1.0, 1.0, 0.5]], dtype=torch.float64)
    found = log_odds(Resamples((0, 1), shares[:, 1], shares, 10))
    most = math.log(21)
    expected = torch.tensor([[-most, 0, most], [most, most, 0]], dtype=torch.float64)
    torch.testing.assert_close(found.values, expected[:, 1])
    torch.testing.assert_close(found.draws, expected)


def test_several_labels_are_scored_by_their_precision():
    labels = torch.tensor([[1, 0], [0, 1], [1, 1], [0, 0]])
    perfect = labels.float() * 2 - 1
    # Both classes rank their clips third and fourth of four: precisions 1/3 and 2/4.
    reverse = torch.tensor([[0.1, 0.9], [0.9, 0.1], [0.2, 0.2], [0.8, 0.8]])
    found = resample_map(torch.stack([perfect, reverse]), labels, [0, 1], draws=20)
    assert found.draws.shape == (2, 20) and found.values.tolist() == pytest.approx(
        [1.0, (1 / 3 + 2 / 4) / 2]
    )


def test_detections_resample_whole_clips():
    """Right detections first: average precision is the share of clips found, in every resample."""
    truth = [[Interval(0, 2.0, 6.0)]] * 3
    right, wrong = Interval(0, 2.0, 5.0, 0.9), Interval(0, 5.0, 9.0, 0.1)  # IoU 3/4 and 1/7
    found = [[[right], [right], [wrong]], [[right]] * 3]
    drawn = resample_detections(truth, found, [0, 1], draws=300)
    hits = resample_values(torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]), [0, 1], draws=300)
    assert drawn.values.tolist() == pytest.approx([2 / 3, 1.0])
    assert torch.allclose(drawn.draws, hits.draws)
    strict = resample_detections(truth, found, [0, 1], threshold=0.8, draws=5)
    assert strict.values.tolist() == [0.0, 0.0]


def test_coverage_over_clips_and_seeds():
    """With noise in seeds and clips the interval holds the truth about as often as it says."""
    generator = torch.Generator().manual_seed(0)
    held = 0
    for _ in range(200):
        seeds = 0.1 * torch.randn(8, 1, generator=generator)
        clips = 0.5 * torch.randn(1, 60, generator=generator)
        values = seeds + clips + 0.2 * torch.randn(8, 60, generator=generator)
        found = contrast([(1.0, resample_values(values, range(8), draws=300))])
        held += found.low <= 0 <= found.high
    assert 0.88 <= held / 200 <= 0.99


def test_other_numbers_of_draws_are_refused():
    with pytest.raises(WhyactError, match="same number of draws"):
        contrast([(1.0, fixed([1.0], (0,), 10)), (-1.0, fixed([1.0], (0,), 20))])
