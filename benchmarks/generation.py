"""How fast Backdrop is generated, in clips a second on all the workers given.

python benchmarks/generation.py --output docs/results/generation.json
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch

from whyact.data.backdrop.generation import BACKDROP_VERSION, generate_split
from whyact.training.record import environment


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--output", type=Path, help="JSON record")
    args = parser.parse_args()
    speeds = {}
    for frames, size in ((8, 64), (16, 112)):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            generate_split(
                root=Path(folder), split="train", clips=args.clips, seed=0, frames=frames,
                size=size, correlation=0.9, workers=args.workers,
            )  # fmt: skip
            speeds[f"{frames}x{size}x{size}"] = args.clips / (time.perf_counter() - start)
    record = {
        "clips_per_second": speeds, "clips": args.clips, "workers": args.workers,
        "backdrop": BACKDROP_VERSION, **environment(torch.device("cpu"), []),
    }  # fmt: skip
    for name, value in speeds.items():
        print(f"{name}: {value:.0f} clips a second")
    if args.output:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        args.output.write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
