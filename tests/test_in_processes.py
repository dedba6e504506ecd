"""Work in new processes: its order, its errors, and the script that forgot its guard."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from whyact.processes import in_processes
from whyact.types import WhyactError


def turned(number: int) -> tuple[int, int]:
    if number == 13:
        raise WhyactError("13 is no number")
    return -number, os.getpid()


def leave(number: int) -> None:
    os._exit(3)


def test_results_come_in_order_from_other_processes() -> None:
    numbers, places = zip(*in_processes(turned, range(5), workers=2), strict=True)
    assert numbers == (0, -1, -2, -3, -4) and os.getpid() not in places
    for items, workers in (([7], 2), ([7, 8], 1)):  # not worth a process
        assert {place for _, place in in_processes(turned, items, workers=workers)} == {os.getpid()}


def test_what_the_work_raises_is_raised() -> None:
    with pytest.raises(WhyactError, match="13 is no number"):
        list(in_processes(turned, [1, 13], workers=2))


def test_a_process_that_ends_is_no_endless_wait() -> None:
    with pytest.raises(WhyactError, match="A process ended before its work was done"):
        list(in_processes(leave, [1, 2], workers=2))


def test_a_script_without_a_guard_is_told_so(tmp_path) -> None:
    """multiprocessing's own pool would start new processes for ever."""
    script = tmp_path / "script.py"
    script.write_text(
        "from whyact.processes import in_processes\nlist(in_processes(abs, [1, 2], workers=2))\n"
    )
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode and 'if __name__ == "__main__"' in done.stderr.splitlines()[-1]
