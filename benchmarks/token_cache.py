"""An epoch on cached EfficientNet-Lite0 tokens against one that decodes and runs the backbone.

    python benchmarks/token_cache.py --output docs/results/token_cache.json

Trains the full model on generated films at 320 x 240, 16 frames of 224 x 224, with the frozen
backbone, and takes the middle epochs, in which nothing is validated.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import statistics
import tempfile
from pathlib import Path

import torch
from loading import make_films

from whyact.config_io import load_config
from whyact.tasks.train import train
from whyact.training.record import environment

FLAGS = [
    "--data.type=folder", "--data.test=[test]", "--data.clip.frames=16", "--training.device=cpu",
    "--data.transform.short_side=224", "--data.transform.size=224", "--model.dropout=0.3",
    "--model.backbone.type=efficientnet_lite0", "--model.backbone.weights=default",
    "--model.backbone.frozen=true", "--model.backbone.motion=difference", "--training.threads=1",
    "--objectives.deep_supervision=0.3", "--training.warmup_steps=1", "--training.batch_size=8",
    "--training.eval_every=0", "--training.checkpoint_steps=0",
]  # fmt: skip


def epochs(root: Path, out: Path, name: str, count: int, cache: int) -> list[float]:
    """Seconds of the middle epochs of a run."""
    flags = [*FLAGS, f"--data.root={root}", f"--output={out}", f"--name={name}"]
    flags += [f"--training.epochs={count}", f"--training.cache_tokens={cache}"]
    run = train(load_config([], flags)).folder
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    ends = [row["seconds"] for row in rows]
    return [b - a for a, b in itertools.pairwise(ends[:-1])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--output", default="docs/results/token_cache.json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "films"
        films = make_films(Path(folder), args.clips + 4)
        for n, film in enumerate(films):
            split = "train" if n < args.clips else "val" if n < args.clips + 2 else "test"
            target = root / split / f"class {n % 2}"
            target.mkdir(parents=True, exist_ok=True)
            shutil.move(film, target / film.name)
        seconds = {
            "decode and backbone": epochs(root, Path(folder), "pixels", 4, 0),
            "cached tokens": epochs(root, Path(folder), "tokens", 12, 2),
        }
    pixels, tokens = (statistics.median(times) for times in seconds.values())
    record = {
        "what": f"{args.clips} training clips, one thread, no loader processes",
        "times_faster": pixels / tokens, "seconds_an_epoch": seconds,
        **environment(torch.device("cpu"), []),
    }  # fmt: skip
    Path(args.output).write_text(json.dumps(record, indent=1))
    print(f"an epoch: {pixels:.2f} s, on cached tokens {tokens:.2f} s: {pixels / tokens:.1f} times")


if __name__ == "__main__":
    main()
