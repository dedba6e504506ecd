"""Jobs in processes of their own, several at a time, one device each where there are several."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

COMMAND = (sys.executable, "-m", "whyact.tasks.ablation.worker")
"""What is called with the file of a job."""
POLL = 0.5
"""Seconds between looks at the processes."""
ALLOCATOR = {
    "MALLOC_TRIM_THRESHOLD_": str(8 << 30), "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
}  # fmt: skip
"""glibc gives large blocks back to the system and takes them anew in every step otherwise, which
costs a tenth of the time of a training on a CPU. It reads these when a process starts."""


@dataclass(frozen=True)
class Job:
    """Something for `whyact.tasks.ablation.worker` to do.

    Attributes:
        name: for people. folder: of its log (``log.txt``) and its progress (``metrics.jsonl``).
        task: its JSON. epochs: lines of ``metrics.jsonl`` when it is done; 0 for a job without.
    """

    name: str
    folder: Path
    task: Mapping[str, Any]
    epochs: int = 0

    @property
    def log(self) -> Path:
        """What the job prints, appended to what earlier tries printed."""
        return self.folder / "log.txt"

    def done_epochs(self) -> int:
        """Epochs that are trained; those of all folds of a cross-validated run."""
        logs = (*self.folder.glob("metrics.jsonl"), *self.folder.glob("fold_*/metrics.jsonl"))
        return min(self.epochs, sum(len(log.read_text().splitlines()) for log in logs))


def run_jobs(
    jobs: Sequence[Job], *, workers: int = 1, devices: int = 0, title: str = "runs"
) -> dict[str, str]:
    """Run jobs; one that fails does not stop the others.

    Args:
        jobs: in the order in which they start.
        workers: processes at a time. Several have one CPU thread each; a single one as many as its
            own settings say.
        devices: GPUs; the processes share them in turn. title: of the progress bar.

    Returns:
        By the name of every job that failed: the last line that it printed, and where the rest is.
    """
    waiting, active = deque(jobs), dict[int, tuple[subprocess.Popen[bytes], Job, TaskID]]()
    failed: dict[str, str] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as bar:
        total = bar.add_task(title, total=len(jobs))
        try:
            while waiting or active:
                for slot in sorted(set(range(workers)) - set(active))[: len(waiting)]:
                    job = waiting.popleft()
                    process = _start(job, slot, workers, devices)
                    line = bar.add_task(f"  {job.name}", total=job.epochs or None)
                    active[slot] = (process, job, line)
                time.sleep(POLL)
                for slot, (process, job, line) in list(active.items()):
                    bar.update(line, completed=job.done_epochs())
                    if process.poll() is None:
                        continue
                    del active[slot]
                    bar.remove_task(line)
                    bar.advance(total)
                    if process.returncode:
                        failed[job.name] = _reason(job, process.returncode)
                        bar.console.print(f"{job.name} failed: {failed[job.name]}", markup=False)
        finally:
            for process, _, _ in active.values():
                process.terminate()
            for process, _, _ in active.values():
                process.wait()
    return failed


def _start(job: Job, slot: int, workers: int, devices: int) -> subprocess.Popen[bytes]:
    job.folder.mkdir(parents=True, exist_ok=True)
    file = job.folder / "job.json"
    file.write_text(json.dumps(dict(job.task), ensure_ascii=False), encoding="utf-8")
    environment = {**ALLOCATOR, **os.environ}
    if workers > 1:
        environment["OMP_NUM_THREADS"] = "1"
    if devices:
        environment["CUDA_VISIBLE_DEVICES"] = _visible(devices)[slot % devices]
    with job.log.open("ab") as log:
        return subprocess.Popen(
            [*COMMAND, str(file), str(os.getpid())], stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT, env=environment,
        )  # fmt: skip


def _visible(devices: int) -> list[str]:
    """Names of the GPUs that this process may use."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return given.split(",") if given else [str(i) for i in range(devices)]


def _reason(job: Job, code: int) -> str:
    lines = job.log.read_text(encoding="utf-8", errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    if code < 0:
        last = f"ended by signal {-code}{' (is memory short?)' if code == -9 else ''}"
    return f"{last or f'exit code {code}'} (log: {job.log})"
