"""Memory of a timeline over videos of growing length: it must not grow with the video.

    python benchmarks/streaming.py --minutes 1 10 60 --output docs/results/streaming.json

Each length runs in a process of its own, on a generated film of repeating Backdrop clips, and
samples its resident memory while it streams. A timeline decodes 64 MB ahead: a film
must be longer than that (5,461 frames of 64×64), or its memory says nothing.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import av
import torch

from whyact.config import BackboneConfig, Config, ModelConfig, SpecificationConfig
from whyact.data.backdrop import ACTIONS
from whyact.data.backdrop.render import generate_clip
from whyact.models.builders import build_model
from whyact.training.checkpoint import save_checkpoint
from whyact.training.record import environment

RATE = 4


def write_film(file: Path, minutes: float, size: int) -> None:
    """A film that is written as it is drawn, so that writing needs no memory either."""
    parts = [generate_clip(split="untrimmed", index=i, frames=16, size=size) for i in range(8)]
    frames = [frame for part in parts for frame in part.video]
    with av.open(str(file), "w") as container:
        stream = container.add_stream("h264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = size, size, "yuv420p"
        for i in range(round(minutes * 60 * RATE)):
            picture = av.VideoFrame.from_ndarray(frames[i % len(frames)], format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def write_model(folder: Path, size: int) -> None:
    """An untrained model that can be asked; what it says does not matter here."""
    config = Config(model=ModelConfig(
        backbone=BackboneConfig(width=32), specification=SpecificationConfig(type="split")
    ))  # fmt: skip
    config.data.clip.frames, config.data.transform.size = 8, size
    config.data.transform.short_side = size
    config.objectives.binary_cross_entropy = 1.0
    model = build_model(config.model, classes=len(ACTIONS))
    save_checkpoint(
        folder, weights=model.state_dict(), config=config, classes=ACTIONS, scenes=(), state={}
    )


class Resident(threading.Thread):
    """Samples this process' resident memory, in megabytes, until it is stopped."""

    def __init__(self, pause: float) -> None:
        super().__init__(daemon=True)
        self.pause, self.samples, self.done = pause, list[float](), threading.Event()

    def run(self) -> None:
        """Sample."""
        page = resource.getpagesize() / 1e6
        while not self.done.wait(self.pause):
            self.samples.append(int(Path("/proc/self/statm").read_text().split()[1]) * page)

    def tenths(self) -> list[float]:
        """The highest of each tenth of the time; empty for fewer samples than ten."""
        n = len(self.samples)
        parts = [self.samples[n * i // 10 : n * (i + 1) // 10] for i in range(10)]
        return [round(max(part), 1) for part in parts] if n >= 10 else []


def one(minutes: float, size: int) -> None:
    """Measure one length in this process and print it as JSON."""
    from whyact.tasks.timeline import timeline

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_model(folder / "model", size)
        write_film(folder / "film.mp4", minutes, size)
        start = time.perf_counter()
        memory = Resident(0.2)
        memory.start()
        timeline(folder / "model", folder / "film.mp4", ["punch"], output=folder)
        print(json.dumps({
            "minutes": minutes,
            "seconds": time.perf_counter() - start,
            "resident_megabytes_by_tenth": memory.tenths(),
            "film_megabytes": (folder / "film.mp4").stat().st_size / 1e6,
            "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
        }))  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 10, 60])
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--output", type=Path, help="JSON record")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.alone:
        one(args.minutes[0], args.size)
        return
    rows = []
    for minutes in args.minutes:
        command = [sys.executable, __file__, "--alone", "--minutes", str(minutes)]
        made = subprocess.run(
            [*command, "--size", str(args.size)], check=True, capture_output=True, text=True
        )
        rows.append(json.loads(made.stdout.splitlines()[-1]))
        print(rows[-1])
    record = {"rows": rows, "size": args.size, **environment(torch.device("cpu"), [])}
    if args.output:
        args.output.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
