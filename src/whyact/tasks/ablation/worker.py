"""A process for a run or a measurement: ``python -m whyact.tasks.ablation.worker JOB PARENT``.

PARENT is the number of the process that waits for it, without which it ends too. JOB is a JSON
file: ``{"kind": "run", …}`` with the arguments of `run`, or ``train``, ``latency``.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from whyact.config import Config, ModelConfig
from whyact.config_io import from_dict
from whyact.models.builders import build_model
from whyact.tasks.ablation import leaking
from whyact.tasks.ablation.costs import (
    MEMORY_BATCH,
    count_flops,
    forward_memory,
    interleaved,
    peak_memory,
)
from whyact.tasks.ablation.explained import explain_run, is_current
from whyact.tasks.ablation.matching import Sizes, count_parameters
from whyact.tasks.ablation.scores import score_run
from whyact.tasks.train import finished, train
from whyact.training.record import environment, write_json
from whyact.training.setup import make_accelerator
from whyact.types import WhyactError

Job = Callable[[], None]
COSTS, SCORED = "costs.json", "scored.json"
EXPLAINED, LEAKS = "explained.json", "leaks.json"
LATENCY = "latency.json"
"""Records beside a run's own, and of the whole grid."""


def run(
    config: Mapping[str, Any], sizes: Mapping[str, Any], explain: Mapping[str, Any] | None,
    probe: str, workers: int,
) -> None:  # fmt: skip
    """Train, evaluate, explain and weigh one variant with one seed; what is there is kept.

    Args:
        config: of the run, as a tree. sizes: `Sizes`. explain: arguments of `explain_run`, or None.
        probe: split whose codes are probed; empty for none. workers: runs at a time.
    """
    settings = from_dict(config)
    folder = Path(settings.output) / settings.name
    device = make_accelerator(settings.training).device
    costs = None if (folder / COSTS).is_file() else _costs(settings, Sizes(**sizes), device)
    trained = not finished(settings)
    if trained:
        for record in (SCORED, EXPLAINED, LEAKS):  # of weights that are gone
            (folder / record).unlink(missing_ok=True)
        train(settings, resume=True)
    if costs is not None:
        # A run that was trained before has no peak of its own in this process.
        costs["training_bytes"] = peak_memory(device) if trained else None
        costs["workers"] = workers
        write_json(folder / COSTS, costs)
    if not scored(folder, settings.data.test):
        write_json(folder / SCORED, score_run(folder, settings.data.test))
    if explain is not None and not explained(folder, explain):
        write_json(folder / EXPLAINED, explain_run(folder, **explain))
    if probe and not probed(folder, probe):
        write_json(folder / LEAKS, leaking.leak_run(folder, split=probe))


def scored(folder: Path, splits: Sequence[str]) -> bool:
    """Whether it is kept what the clips of these splits got."""
    file = folder / SCORED
    return file.is_file() and set(splits) <= set(json.loads(file.read_text(encoding="utf-8")))


def probed(folder: Path, split: str) -> bool:
    """Whether a run's codes were probed on that split."""
    file = folder / LEAKS
    return file.is_file() and leaking.is_current(json.loads(file.read_text("utf-8")), split)


def explained(folder: Path, explain: Mapping[str, Any]) -> dict[str, Any]:
    """The measured explanations of a run; empty where there are none, or of other clips."""
    file = folder / EXPLAINED
    if not file.is_file():
        return {}
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    same = is_current(found, explain["split"], explain["clips"])
    return found if same and (len(found["rows"]) > 1 or not explain["controls"]) else {}


def _costs(config: Config, sizes: Sizes, device: torch.device) -> dict[str, Any]:
    """What can be told before training, while this process is fresh."""
    frames, size = config.data.clip.frames, config.data.transform.size
    model = build_model(
        config.model, classes=sizes.classes, scenes=sizes.scenes, motion=sizes.motion
    )
    model.to(device).eval()
    clips = torch.zeros(MEMORY_BATCH, model.mean.shape[1], frames, size, size, device=device)
    return {
        "parameters": count_parameters(config.model, sizes),
        "flops": count_flops(config.model, sizes, frames, size),
        "inference_batch": MEMORY_BATCH,
        "inference_bytes": forward_memory(torch.no_grad()(lambda: model(clips)), device),
        "device": str(device),
    }


def latency(models: Mapping[str, Any], rounds: int, device: str, output: str) -> None:
    """Time forward passes of untrained models in turn, each on one clip.

    Args:
        models: by name: ``model`` (that part of a config), `Sizes` as ``sizes``, and the clip's
            ``shape`` (T, H, W). rounds: of `interleaved`.
        device: ``auto`` or ``cpu``. output: JSON file to write.
    """
    chosen = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
    wait = torch.cuda.synchronize if chosen == "cuda" else lambda: None
    torch.set_num_threads(1)

    def job(model: Mapping[str, Any], sizes: Mapping[str, Any], shape: Sequence[int]) -> Job:
        config: ModelConfig = from_dict({"model": model}).model
        network = build_model(config, **sizes).to(chosen).eval()
        clip = torch.zeros(1, network.mean.shape[1], *shape, device=chosen)

        @torch.no_grad()
        def forward() -> None:
            network(clip)
            wait()

        return forward

    seconds = interleaved({name: job(**one) for name, one in models.items()}, rounds)
    record = {"seconds": seconds, "rounds": rounds, "models": dict(models)}
    write_json(Path(output), record | environment(torch.device(chosen), []))


def train_only(config: Mapping[str, Any]) -> None:
    """Train and evaluate a config, given as a tree."""
    train(from_dict(config), resume=True)


KINDS: Mapping[str, Callable[..., None]] = {"run": run, "train": train_only, "latency": latency}


def _end_with(parent: int) -> None:
    """Leave when the process that started this one is gone, as nobody waits for the result."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def main(argv: Sequence[str]) -> int:
    """Do the job in a file; an error is the last line of what is printed."""
    # Its number is given: a parent that died before this line would not be known any more.
    threading.Thread(target=_end_with, args=(int(argv[1]),), daemon=True).start()
    job = json.loads(Path(argv[0]).read_text(encoding="utf-8"))
    try:
        KINDS[job.pop("kind")](**job)
    except WhyactError as error:
        print(f"{error}", file=sys.stderr)
        return 1
    except Exception:  # the log is for people; the parent shows its last line
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
