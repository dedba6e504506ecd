"""Clips a second on two cores, from H.264 at 320 x 240: whyact, the bare decoder, pytorchvideo.

    python benchmarks/loading.py --output docs/results/loading.json

All jobs read 16 frames spread over the same films in two loader processes, and take turns, so that
a slow minute of the machine hits all of them alike. ``bare`` decodes with PyAV the frames that
whyact picked, and does nothing else; whyact's centre crop is a view of the same pixels, so both
hand over as many bytes. ``pytorchvideo`` follows its documentation and is left out where it is not
installed. Films are read once before the first round, so that the disk plays no part. Seven rounds
of twelve films take about three minutes on two idle cores.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from whyact.data.listing import Listing, Record
from whyact.data.probing import _probe
from whyact.data.transforms import TestTransform, TrainTransform
from whyact.data.video import decoder_version
from whyact.data.video_dataset import VideoDataset, pick_frames
from whyact.ops.encode import write_video
from whyact.training.record import environment

FRAMES, RATE, SECONDS, SIZE = 16, 25, 10, (240, 320)
PICK = {"frames": FRAMES, "sampling": "segment", "stride": 1, "frame_rate": 0, "short": "loop"}


def make_films(folder: Path, count: int) -> list[Path]:
    """Films of moving texture and noise, ten seconds each, with the encoder's usual keyframes."""
    files = []
    for n in range(count):
        rng = np.random.default_rng(n)
        wide = torch.from_numpy(rng.integers(0, 256, (1, 3, 40, 120)).astype(np.float32))
        wide = torch.nn.functional.interpolate(wide, scale_factor=8, mode="bicubic")[0]
        frames = torch.stack([wide[:, : SIZE[0], 2 * t : 2 * t + SIZE[1]] for t in range(250)])
        grain = torch.from_numpy(rng.normal(0, 4, frames.shape).astype(np.float32))
        frames = (frames + grain).clamp(0, 255).byte().permute(0, 2, 3, 1)
        files.append(folder / f"{n}.mp4")
        write_video(files[-1], frames, RATE)
    return files


class Bare(Dataset):
    """The given frames by PyAV, and nothing else."""

    def __init__(self, files: list[Path]) -> None:
        self.files, self.wanted = files, [pick_frames(f, **PICK) for f in files]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> torch.Tensor:
        wanted, found = set(self.wanted[i]), []
        with av.open(str(self.files[i])) as container:
            stream = container.streams.video[0]
            stream.thread_type = "NONE"
            for k, frame in enumerate(container.decode(stream)):
                if k in wanted:
                    found.append(torch.from_numpy(frame.to_ndarray(format="rgb24")))
                if len(found) == len(wanted):
                    break
        return torch.stack(found)


class Whyact(Dataset):
    """A `VideoDataset`; ``first`` forgets what it knows of a film, as in the first epoch."""

    def __init__(
        self, files: list[Path], *, first: bool, size: int = 0, train: bool = True
    ) -> None:
        records = tuple(Record(f, f.name, 0, f.name) for f in files)
        side, cut = (256, 224) if size else (SIZE[0], SIZE[0])
        training = TrainTransform(short_side=side, size=cut, crop="center", flip=0)
        if size:
            training = TrainTransform(short_side=side, size=cut, flip=0.5, color_jitter=0.2)
        self.data = VideoDataset(
            listing=Listing(("x",), records), frames=FRAMES, sampling="segment",
            train_transform=training if train else None,
            test_transform=TestTransform(short_side=side, size=cut),
        )  # fmt: skip
        self.first = first

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, i: int) -> torch.Tensor:
        if self.first:
            _probe.cache_clear()
        return self.data[i, 0].video  # type: ignore[union-attr]


class PyTorchVideo(Dataset):
    """``EncodedVideo.get_clip`` and a uniform subsample, as in pytorchvideo's documentation."""

    def __init__(self, files: list[Path]) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> torch.Tensor:
        from pytorchvideo.data.encoded_video import EncodedVideo

        video = EncodedVideo.from_path(str(self.files[i]), decode_audio=False)
        clip = video.get_clip(0, video.duration)["video"]
        video.close()
        places = torch.linspace(0, clip.shape[1] - 1, FRAMES).long()
        return torch.index_select(clip, 1, places)


def _pass(loader: DataLoader) -> float:
    start = time.perf_counter()
    for _ in loader:
        pass
    return time.perf_counter() - start


def measure(files: list[Path], rounds: int, workers: int) -> dict[str, list[float]]:
    """Seconds of every pass over the films, by job."""
    jobs: dict[str, Dataset] = {
        "bare": Bare(files),
        "whyact": Whyact(files, first=False, train=False),
        "whyact, first epoch": Whyact(files, first=True, train=False),
        "whyact, with training augmentation": Whyact(files, first=False, size=224),
    }
    if find_spec("pytorchvideo"):
        jobs["pytorchvideo"] = PyTorchVideo(files)
    loaders = {
        name: DataLoader(job, batch_size=None, num_workers=workers, persistent_workers=workers > 0,
                         multiprocessing_context="spawn" if workers else None)
        for name, job in jobs.items()
    }  # fmt: skip
    for loader in loaders.values():
        _pass(loader)
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, loader in loaders.items():
            seconds[name].append(_pass(loader))
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--output", default="docs/results/loading.json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = make_films(Path(folder), args.clips)
        seconds = measure(files, args.rounds, args.workers)
    bare = statistics.median(seconds["bare"])
    rows: dict[str, Any] = {
        name: {
            "clips_a_second": args.clips / statistics.median(times),
            "of_bare": bare / statistics.median(times),
            "seconds": times,
        }
        for name, times in seconds.items()
    }
    record = {
        "what": f"{args.clips} films, {SECONDS} s, {RATE} frames a second, 320x240 H.264, "
        f"{FRAMES} frames each, {args.workers} loader processes, one thread each",
        "decoder": decoder_version(), "jobs": rows, **environment(torch.device("cpu"), []),
    }  # fmt: skip
    Path(args.output).parent.mkdir(parents=True, exist_ok=True)
    Path(args.output).write_text(json.dumps(record, indent=1))
    for name, row in rows.items():
        print(f"{name}: {row['clips_a_second']:.1f} clips a second, {row['of_bare']:.2f} of bare")


if __name__ == "__main__":
    main()
