"""What a model costs: floating-point operations, memory, time."""

from __future__ import annotations

import contextlib
import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from whyact.config import ModelConfig
from whyact.tasks.ablation.matching import Sizes, shadow_model

MEMORY_BATCH = 8
"""Clips of the forward pass whose memory is measured."""


def count_flops(config: ModelConfig, sizes: Sizes, frames: int, size: int) -> int:
    """Floating-point operations of a forward pass of one clip, as PyTorch's counter has them.

    It counts matrix products and convolutions, a multiplication and an addition each as one.

    Args:
        config: of the model. sizes: of its data. frames: T. size: H and W.
    """
    model = shadow_model(config, sizes)
    clip = torch.zeros(1, model.mean.shape[1], frames, size, size, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(clip)
    return int(counter.get_total_flops())


def peak_memory(device: torch.device) -> int | None:
    """Bytes: on a GPU what torch has allocated at most; else this process's peak resident set.

    The latter is read from ``/proc``, since ``getrusage`` also tells of the parent process that was
    there before ``exec``. None on systems without it.
    """
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    lines = status.read_text().splitlines()
    peaks = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return 1024 * int(peaks[0]) if peaks else None


def forward_memory(job: Callable[[], object], device: torch.device) -> int | None:
    """Bytes by which a call raises `peak_memory`; only a fresh process tells the truth."""
    gc.collect()
    _forget_peak()
    before = peak_memory(device)
    job()
    after = peak_memory(device)
    return None if before is None or after is None else after - before


def _forget_peak() -> None:
    """Let the peak be what is resident now: one that has passed would hide what a call adds."""
    with contextlib.suppress(OSError):  # not Linux, or not allowed
        Path("/proc/self/clear_refs").write_text("5")


def interleaved(
    jobs: Mapping[str, Callable[[], object]], rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:  # fmt: skip
    """Seconds of every job in every round; each is run once beforehand.

    Rounds take the jobs in turn, so that a slow minute of the machine hits all of them alike.
    """
    for job in jobs.values():
        job()
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            start = clock()
            job()
            seconds[name].append(clock() - start)
    return seconds


def ratio(above: Sequence[float], below: Sequence[float]) -> dict[str, float]:
    """Median and quartiles over the rounds of the ratio of two jobs of `interleaved`.

    Both jobs of a round meet the same machine, which the medians of each do not.
    """
    each = sorted(a / b for a, b in zip(above, below, strict=True))
    return {
        "median": statistics.median(each),
        "lower_quartile": each[len(each) // 4],
        "upper_quartile": each[3 * len(each) // 4],
    }
