"""Which frames make a clip, by hand and as laws that hold for every video."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whyact.data.sampling import dense, resample, sample, segment
from whyact.types import WhyactError

LENGTHS = st.integers(1, 400)
FRAMES = st.integers(1, 40)
SEEDS = st.integers(0, 2**32 - 1)
RULES = st.sampled_from(["loop", "pad"])
SAMPLINGS = st.sampled_from(["dense", "segment"])


def at(rate: float, frames: int) -> np.ndarray:
    """Times of a video with a constant rate."""
    return np.arange(frames) / rate


@settings(deadline=None, max_examples=200)
@given(
    length=LENGTHS, frames=FRAMES, seed=SEEDS, short=RULES, sampling=SAMPLINGS,
    stride=st.floats(0.25, 9), rate=st.sampled_from([0.0, 3.0, 12.5, 25.0, 60.0]),
    jitter=st.floats(0, 0.9), view=st.integers(0, 4), random=st.booleans(),
)  # fmt: skip
def test_a_clip_never_leaves_the_video_and_the_seed_decides(
    length, frames, seed, short, sampling, stride, rate, jitter, view, random
) -> None:
    def draw() -> np.ndarray:
        rng = np.random.default_rng(seed) if random else None
        return sample(
            at(25, length), frames=frames, sampling=sampling, stride=stride, frame_rate=rate,
            tempo_jitter=jitter, short=short, rng=rng, view=view, views=5,
        )  # fmt: skip

    picked = draw()
    assert picked.shape == (frames,) and np.issubdtype(picked.dtype, np.integer)
    assert picked.min() >= 0 and picked.max() < length
    assert np.array_equal(picked, draw())
    if sampling == "segment" or short == "pad":
        assert (np.diff(picked) >= 0).all()


@settings(deadline=None, max_examples=100)
@given(length=LENGTHS, frames=FRAMES, seed=SEEDS)
def test_segments_hold_one_frame_each(length, frames, seed) -> None:
    for rng in (None, np.random.default_rng(seed)):
        picked = segment(length, frames, rng=rng)
        edges = np.arange(frames + 1) * length / frames
        # A frame is the interval [i, i + 1); it must meet its part [edge, next edge).
        assert (picked + 1 > edges[:-1]).all() and (picked < edges[1:]).all()


@settings(deadline=None, max_examples=100)
@given(rate=st.floats(1, 120), frames=LENGTHS, offset=st.floats(0, 1e-9))
def test_a_video_at_the_common_rate_is_left_alone(rate, frames, offset) -> None:
    assert resample(at(rate, frames) + offset, rate).tolist() == list(range(frames))


@pytest.mark.parametrize("rate", [24, 25, 30, 60])
def test_time_stamps_rounded_to_milliseconds_lose_no_frame(rate) -> None:
    assert resample(at(rate, 300).round(3), rate).tolist() == list(range(300))


@settings(deadline=None, max_examples=60)
@given(length=st.integers(8, 60), views=st.integers(2, 6))
def test_views_cover_the_video_from_end_to_end(length, views) -> None:
    picked = [dense(length, 8, stride=1, view=v, views=views) for v in range(views)]
    assert picked[0][0] == 0 and picked[-1][-1] == length - 1
    starts = [p[0] for p in picked]
    assert starts == sorted(starts) and np.ptp(np.diff(starts)) <= 1


def test_every_place_of_the_video_is_drawn() -> None:
    rng = np.random.default_rng(0)
    starts = {int(dense(12, 4, stride=2, rng=rng)[0]) for _ in range(200)}
    assert starts == set(range(6))  # the clip spans 7 frames
    seen = {int(i) for _ in range(200) for i in segment(20, 4, rng=rng)}
    assert seen == set(range(20))


def test_segments_by_hand() -> None:
    assert segment(8, 4).tolist() == [1, 3, 5, 7]
    assert segment(10, 4).tolist() == [1, 3, 6, 8]  # middles 1.25, 3.75, 6.25, 8.75
    assert segment(2, 4).tolist() == [0, 0, 1, 1]  # filled in place
    times = at(25, 12)
    views = [
        sample(times, frames=2, sampling="segment", view=v, views=3).tolist() for v in range(3)
    ]
    assert views == [[1, 7], [3, 9], [5, 11]]  # at 1/6, 3/6 and 5/6 of both parts of six frames


def test_dense_by_hand() -> None:
    assert dense(10, 4, stride=2).tolist() == [1, 3, 5, 7]  # room 3, begins at 1.5
    assert dense(10, 4, stride=1.5, view=0, views=2).tolist() == [0, 1, 3, 4]
    assert dense(10, 4, stride=1.5, view=1, views=2).tolist() == [4, 6, 7, 9]
    assert dense(5, 8, stride=1, short="loop").tolist() == [0, 1, 2, 3, 4, 0, 1, 2]
    assert dense(5, 8, stride=1, short="pad").tolist() == [0, 1, 2, 3, 4, 4, 4, 4]
    assert dense(5, 4, stride=2, short="loop").tolist() == [0, 2, 4, 1]
    assert dense(1, 3, stride=4, short="loop").tolist() == [0, 0, 0]


def test_a_common_rate_by_hand() -> None:
    assert resample(at(25, 10), 12.5).tolist() == [0, 2, 4, 6, 8]
    assert resample(at(10, 4), 20).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert resample(at(10, 4), 0).tolist() == [0, 1, 2, 3]
    assert resample([0.0], 30).tolist() == [0]
    # What is on screen at 0, 0.25, 0.5, 0.75, 1.0 and 1.25 s; the last frame stays 1/3 s.
    assert resample([0.0, 0.1, 0.6, 1.0], 4).tolist() == [0, 1, 1, 2, 3, 3]
    # Strides count frames of the common rate: 30 fps brought to 15, then every second of those.
    picked = sample(at(30, 40), frames=4, sampling="dense", stride=2, frame_rate=15)
    assert picked.tolist() == [2 * i for i in (6, 8, 10, 12)]


def test_two_rates_of_one_scene_give_the_same_moments() -> None:
    slow, fast = at(15, 45), at(60, 180)
    settings = {"frames": 6, "sampling": "dense", "stride": 3, "frame_rate": 15}
    for view in range(3):
        a = slow[sample(slow, **settings, view=view, views=3)]
        b = fast[sample(fast, **settings, view=view, views=3)]
        np.testing.assert_allclose(a, b, atol=1e-9)


def test_tempo_jitter_changes_the_stride_within_its_bounds() -> None:
    spans = []
    for seed in range(200):
        picked = sample(
            at(25, 200), frames=11, sampling="dense", stride=10, tempo_jitter=0.5,
            rng=np.random.default_rng(seed),
        )  # fmt: skip
        spans.append(picked[-1] - picked[0])
    assert 50 <= min(spans) < 60 and 140 < max(spans) <= 150
    still = sample(at(25, 200), frames=11, sampling="dense", stride=10, tempo_jitter=0.5)
    assert still[-1] - still[0] == 100  # tests do not jitter


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"frames": 0}, r"data.clip.frames must be at least 1, got 0"),
        ({"sampling": "sparse"}, r"data.clip.sampling is 'sparse'; choose 'dense' or 'segment'"),
        ({"short": "stretch"}, r"data.clip.short is 'stretch'; choose 'loop' or 'pad'"),
        ({"stride": 0}, r"stride above 0, got 0.0 and 0"),
        ({"tempo_jitter": 1.0}, r"tempo_jitter must be in \[0, 1\)"),
    ],
)
def test_wrong_settings_are_named(wrong, message) -> None:
    with pytest.raises(WhyactError, match=message):
        sample(at(25, 9), **{"frames": 4, "sampling": "dense", "tempo_jitter": 0.0, **wrong})
