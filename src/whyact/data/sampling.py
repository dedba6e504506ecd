"""Which frames make a clip. Pure functions of frame counts, times and a generator."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from whyact.types import WhyactError

Indices = NDArray[np.int64]
Times = Sequence[float] | NDArray[np.float64]
_ROUNDING = 6e-4  # seconds; some containers round time stamps to milliseconds


def resample(times: Times, rate: float) -> Indices:
    """Frames on screen at a common rate, by time stamp; all frames for rate 0.

    Args:
        times: (n,) of every frame, seconds. rate: frames a second.
    """
    n = len(times)
    if rate <= 0 or n == 1:
        return np.arange(n)
    end = times[-1] + times[-1] / (n - 1)
    ticks = np.arange(0, max(end - _ROUNDING, 1e-9), 1 / rate)
    return np.clip(np.searchsorted(times, ticks + _ROUNDING, side="right") - 1, 0, n - 1)


def _fit(steps: Indices, length: int, short: str) -> Indices:
    if short == "loop":
        return steps % length
    if short == "pad":
        return np.minimum(steps, length - 1)
    raise WhyactError(f"data.clip.short is '{short}'; choose 'loop' or 'pad'.")


def segment(
    length: int, frames: int, *, rng: np.random.Generator | None = None, short: str = "loop"
) -> Indices:
    """One frame from each of ``frames`` equal parts (TSN, Wang et al., ECCV 2016).

    Args:
        length: frames of the video. frames: T.
        rng: a random frame of each part; the middle one without.
        short: how a video with fewer frames than parts is filled, by repeating each frame in place
            (both ``loop`` and ``pad`` keep the order in time here).
    """
    where = rng.random(frames) if rng is not None else np.full(frames, 0.5)
    steps = (np.arange(frames) + where) * length / frames
    return _fit(np.minimum(steps.astype(np.int64), length - 1), length, short)


def dense(
    length: int, frames: int, *, stride: float, rng: np.random.Generator | None = None,
    view: int = 0, views: int = 1, short: str = "loop",
) -> Indices:  # fmt: skip
    """``frames`` frames, ``stride`` apart.

    Args:
        length: frames of the video. frames: T. stride: may be fractional.
        rng: a random start; without, clip ``view`` of ``views`` spread evenly over the video (the
            middle one for a single view).
        short: ``loop`` or ``pad`` when the video is shorter than the clip.
    """
    span = (frames - 1) * stride
    room = max(0.0, length - 1 - span)
    if rng is not None:
        start = float(rng.integers(int(room) + 1))
    else:
        start = room / 2 if views == 1 else room * view / (views - 1)
    steps = np.floor(start + np.arange(frames) * stride + 1e-9).astype(np.int64)
    return _fit(steps, length, short)


def sample(
    times: Times, *, frames: int, sampling: str, stride: float = 1, frame_rate: float = 0,
    tempo_jitter: float = 0, short: str = "loop", rng: np.random.Generator | None = None,
    view: int = 0, views: int = 1,
) -> Indices:  # fmt: skip
    """Pick the frames of a clip, as indices into the video's frames.

    Args:
        times: (n,) presentation times. frames: T.
        sampling: ``dense`` or ``segment``. stride, frame_rate, tempo_jitter, short: see
            `whyact.config.ClipConfig`.
        rng: training; None for the deterministic test clips.
        view, views: which of several test clips.

    Raises:
        WhyactError: an unknown sampling, or no frames asked for.
    """
    if frames < 1:
        raise WhyactError(f"data.clip.frames must be at least 1, got {frames}.")
    usable = resample(times, frame_rate)
    n = len(usable)
    if sampling == "segment":
        if views > 1:  # views are the same parts, read at different places inside each
            where = (np.arange(frames) + (view + 0.5) / views) * n / frames
            return usable[_fit(np.minimum(where.astype(np.int64), n - 1), n, short)]
        return usable[segment(n, frames, rng=rng, short=short)]
    if sampling != "dense":
        raise WhyactError(f"data.clip.sampling is '{sampling}'; choose 'dense' or 'segment'.")
    if not 0 <= tempo_jitter < 1 or stride <= 0:
        raise WhyactError(
            f"data.clip.tempo_jitter must be in [0, 1) and data.clip.stride above 0, got "
            f"{tempo_jitter} and {stride}."
        )
    if rng is not None and tempo_jitter:
        stride = stride * float(rng.uniform(1 - tempo_jitter, 1 + tempo_jitter))
    return usable[dense(n, frames, stride=stride, rng=rng, view=view, views=views, short=short)]
