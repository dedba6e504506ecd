"""What an explanation page and a question to the live page cost, with the model of backdrop.yaml.

    python benchmarks/pages.py --output docs/results/pages.json

Weights are random and a square moves before noise: neither changes the time. CPU seconds are of all
threads together, and hold on a busy machine, where wall seconds do not.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from whyact.config_io import load_config
from whyact.data.film import Film
from whyact.models.builders import build_model
from whyact.report.explanation_page import clip_data
from whyact.tasks.explain import explain_to
from whyact.tasks.what_if import Box, Changes, what_if
from whyact.training.checkpoint import LoadedModel
from whyact.types import Clip

QUESTIONS = {
    "box": Changes(boxes=(Box(0.2, 0.2, 0.5, 0.8, 0, 15),)),
    "background": Changes(background="scuba"),
    "prompt": Changes(prompts_off=frozenset({0})),
    "trim": Changes(trim=(0.0, 0.4)),
}


def timed(work: Callable[[], Any]) -> dict[str, float]:
    """Wall and CPU seconds of the fastest of three."""
    found = []
    for _ in range(3):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        found.append((time.perf_counter() - wall, time.process_time() - cpu))
    best = min(found, key=lambda f: f[1])
    return {"wall": round(best[0], 2), "cpu": round(best[1], 2)}


def loaded(size: int) -> tuple[LoadedModel, Clip]:
    """The model, and 16 frames of noise before which a square moves."""
    flags = ["--data.transform.size", str(size), "--data.transform.short_side", str(size)]
    config = load_config(["configs/backdrop.yaml"], flags)
    classes = tuple(f"class {i}" for i in range(15))
    model = build_model(config.model, classes=len(classes), scenes=0, seed=0).eval()
    video = torch.randint(0, 60, (3, 1, size, size), dtype=torch.uint8).repeat(1, 16, 1, 1)
    side = size // 4
    for t in range(16):
        left = t * (size - side) // 16
        video[:, t, side : 3 * side, left : left + side] = 230
    return LoadedModel(model, config, classes, (), Path()), Clip(video, 0, "clip")


def keep(path: Path, made: dict[str, Any]) -> None:
    """Write what was measured so far."""
    path.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", default="docs/results/pages.json")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    made: dict[str, Any] = {
        "cpu": platform.processor() or platform.machine(), "cores": os.cpu_count(),
        "threads": args.threads, "load_before": round(os.getloadavg()[0], 1),
        "torch": torch.__version__,
    }  # fmt: skip
    model, clip = loaded(112)
    film = Film("clip", clip.video, torch.arange(16, dtype=torch.float64) / 16)
    made["question_112"] = {
        name: timed(lambda c=changes: clip_data(what_if(model, film, c)))
        for name, changes in QUESTIONS.items()
    }
    keep(Path(args.output), made)
    model, clip = loaded(224)
    with TemporaryDirectory() as folder:

        def page() -> None:
            explain_to(Path(folder), "clip", clip, model, source="clip", html=True)

        wall, cpu = time.perf_counter(), time.process_time()
        page()
        made["page_224"] = {
            "wall": round(time.perf_counter() - wall, 1),
            "cpu": round(time.process_time() - cpu, 1),
            "megabytes": round((Path(folder) / "clip.html").stat().st_size / 1e6, 2),
        }
    made["load_after"] = round(os.getloadavg()[0], 1)
    keep(Path(args.output), made)
    print(json.dumps(made, indent=1))


if __name__ == "__main__":
    main()
