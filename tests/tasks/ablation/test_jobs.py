"""Processes: what runs at a time, what a failure leaves, what is cleaned up."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from whyact.config import Config
from whyact.tasks.ablation import jobs as module
from whyact.tasks.ablation import worker
from whyact.tasks.ablation.jobs import Job, run_jobs
from whyact.types import WhyactError


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch):
    """Run this Python text, with the job as ``job``, instead of the worker."""
    monkeypatch.setattr(module, "POLL", 0.02)

    def use(text: str) -> None:
        read = "import json, os, sys, time; job = json.load(open(sys.argv[1]))\n"
        monkeypatch.setattr(module, "COMMAND", (sys.executable, "-c", read + text))

    return use


def job(folder: Path, name: str, **task: Any) -> Job:
    return Job(name, folder / name, task)


def test_a_failure_is_told_with_its_log_and_stops_no_other(tmp_path, script):
    script("""if job["fail"]: print("first"); sys.exit("Lower the rate.")
open(job["file"], "w").write(os.environ.get("OMP_NUM_THREADS", "none"))""")
    tasks = [
        job(tmp_path, name, fail=name == "b", file=str(tmp_path / f"{name}.done"))
        for name in ("a", "b", "c")
    ]
    failed = run_jobs(tasks, workers=2)
    log = tmp_path / "b" / "log.txt"
    assert failed == {"b": f"Lower the rate. (log: {log})"}
    assert log.read_text() == "first\nLower the rate.\n"
    assert [(tmp_path / f"{n}.done").is_file() for n in "abc"] == [True, False, True]
    assert (tmp_path / "a.done").read_text() == "1"  # one thread each where there are several


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_run_side_by_side_and_no_more(tmp_path, script, workers):
    """Each job waits until as many are there as there are workers."""
    script("""mine = job["busy"] + "/" + str(os.getpid())
open(mine, "w").close(); start = time.time()
while len(os.listdir(job["busy"])) < job["workers"] and time.time() < start + 60: time.sleep(0.01)
time.sleep(0.1); print(len(os.listdir(job["busy"]))); time.sleep(0.1); os.remove(mine)""")
    busy = tmp_path / "busy"
    busy.mkdir()
    tasks = [job(tmp_path, n, busy=str(busy), workers=workers) for n in "ab"]
    assert run_jobs(tasks, workers=workers) == {}
    seen = [int((tmp_path / n / "log.txt").read_text()) for n in "ab"]
    assert seen == [workers] * 2


def test_each_worker_has_its_gpu(tmp_path, script, monkeypatch):
    script("""print(os.environ["CUDA_VISIBLE_DEVICES"])""")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert run_jobs([job(tmp_path, n) for n in "abc"], workers=3, devices=2) == {}
    assert [(tmp_path / n / "log.txt").read_text().strip() for n in "abc"] == ["0", "1", "0"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-x")
    run_jobs([job(tmp_path, n) for n in "de"], workers=2, devices=2)
    assert [(tmp_path / n / "log.txt").read_text().strip() for n in "de"] == ["5", "GPU-x"]


def test_a_killed_process_is_a_failure(tmp_path, script):
    script("os.kill(os.getpid(), 9)")
    failed = run_jobs([job(tmp_path, "a")])
    assert failed["a"].startswith("ended by signal 9 (is memory short?)")


def test_an_interrupt_ends_the_processes(tmp_path, script, monkeypatch):
    script("""open(job["file"], "w").write(str(os.getpid())); time.sleep(60)""")
    file = tmp_path / "pid"
    waited = time.sleep

    def interrupted(seconds: float) -> None:
        waited(seconds)
        if file.is_file() and file.read_text():
            raise KeyboardInterrupt

    monkeypatch.setattr(module.time, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_jobs([job(tmp_path, "a", file=str(file))])
    assert not Path("/proc", file.read_text()).exists()


def test_epochs_are_counted_over_folds(tmp_path):
    one = Job("a", tmp_path, {}, epochs=5)
    assert one.done_epochs() == 0
    for fold, lines in enumerate((2, 1)):
        (tmp_path / f"fold_{fold}").mkdir()
        (tmp_path / f"fold_{fold}" / "metrics.jsonl").write_text("{}\n" * lines)
    assert one.done_epochs() == 3
    (tmp_path / "metrics.jsonl").write_text("{}\n" * 9)
    assert one.done_epochs() == 5


def test_the_job_is_kept(tmp_path, script):
    script("pass")
    run_jobs([job(tmp_path, "a", kind="run", text="ü")])
    assert json.loads((tmp_path / "a" / "job.json").read_text("utf-8")) == {
        "kind": "run", "text": "ü"
    }  # fmt: skip


def test_what_was_measured_of_weights_that_are_gone_goes_too(tmp_path, monkeypatch):
    """A run whose result was removed is trained again; its old records must not outlive that."""
    kept = [worker.SCORED, worker.EXPLAINED, worker.LEAKS]
    config = Config(name="run", output=str(tmp_path))
    (tmp_path / "run").mkdir()
    for name in (*kept, worker.COSTS):
        (tmp_path / "run" / name).write_text("{}")

    def train(*_, **__):
        assert not any((tmp_path / "run" / name).exists() for name in kept)
        raise WhyactError("as far as this test goes")

    monkeypatch.setattr(worker, "train", train)
    with pytest.raises(WhyactError, match="as far as this test goes"):
        worker.run(asdict(config), {}, None, "", 1)
