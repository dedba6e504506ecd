"""Work that is spread over new processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

from whyact.types import WhyactError

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_processes(
    work: Callable[[Item], Result], items: Sequence[Item], *, workers: int, chunk: int = 1,
    start: Callable[[], object] | None = None,
) -> Iterator[Result]:  # fmt: skip
    """``map(work, items)``, in order.

    Args:
        work: and items: are sent to the processes, so must be picklable.
        workers: processes; with one, or one item, this one does it.
        chunk: items that are sent together. start: called first in every process.

    Raises:
        WhyactError: a process ended; what ``work`` raises is raised as it is.
    """
    if workers <= 1 or len(items) < 2:
        yield from map(work, items)
        return
    # Threads, of FFmpeg and of torch, do not survive a fork.
    spawn = get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=start) as pool:
        try:
            yield from pool.map(work, items, chunksize=chunk)
        except BrokenProcessPool as error:
            raise WhyactError(
                "A process ended before its work was done. If you called this from a script, put "
                'the script\'s code under `if __name__ == "__main__":`, as every new process '
                "imports it; otherwise memory may be short, of which fewer workers need less."
            ) from error
