"""Backdrop is written to disk once: memory-mapped arrays, checked by a hash."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track

from whyact.data.backdrop.actions import ACTIONS
from whyact.data.backdrop.factors import check_sizes, draw_factors
from whyact.data.backdrop.render import BackdropSample, generate_clip, split_frames
from whyact.data.backdrop.scenes import SCENES
from whyact.ops.motion import foreground
from whyact.ops.paste import remove_actor, rim
from whyact.processes import in_processes

BACKDROP_VERSION = "1.3"
"""Raised with every change of the content; caches of another version are never read."""
CHUNK = 50
SEPARATED = {"background": "background-2", "foreground": "foreground-2"}
"""Files of `add_foreground`; their number is raised where they come out otherwise than before. The
file that is looked for comes last, so a half-made pair is made again."""


def _generate_chunk(start: int, stop: int, folder: str, settings: dict[str, Any]) -> list[str]:
    """Fill rows [start, stop) of the arrays; returns the factors as JSON lines."""
    videos = np.load(Path(folder) / "video.npy", mmap_mode="r+")
    masks = np.load(Path(folder) / "mask.npy", mmap_mode="r+")
    rows = []
    for index in range(start, stop):
        sample = generate_clip(index=index, **settings)
        videos[index], masks[index] = sample.video, sample.mask
        rows.append(json.dumps(describe(sample)))
    return rows


def describe(sample: BackdropSample) -> dict[str, Any]:
    """The factors of a clip as JSON values, with names beside the indices."""
    factors = asdict(sample.factors)
    for actor in factors["actors"]:
        actor["name"] = ACTIONS[actor["action"]]
    scene = sample.factors.scene
    factors["scene_name"] = SCENES[scene] if scene >= 0 else "noise"
    boxes = sample.boxes.astype(object)
    boxes[np.isnan(sample.boxes)] = None
    return {**factors, "boxes": boxes.tolist()}


def generate_split(
    *, root: Path, split: str, clips: int, seed: int, frames: int, size: int, correlation: float,
    workers: int = 2,
) -> Path:  # fmt: skip
    """Generate a split, unless it is there, and return its folder.

    The folder's name is a hash of the version and all arguments. It appears only when complete, so
    an interrupted run leaves nothing half-made.

    Args:
        root: cache folder. split, seed, frames, size, correlation: see `generate_clip`.
        clips: how many. workers: processes.

    Raises:
        WhyactError: an unknown split, or sizes that cannot be drawn.
    """
    check_sizes(frames=frames, size=size, clips=clips)
    draw_factors(split=split, index=0, seed=seed, correlation=correlation)
    settings: dict[str, Any] = {
        "split": split, "seed": seed, "frames": frames, "size": size, "correlation": correlation,
    }  # fmt: skip
    key = json.dumps({**settings, "clips": clips, "version": BACKDROP_VERSION}, sort_keys=True)
    folder = root / "backdrop" / f"{split}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = tempfile.mkdtemp(dir=folder.parent, prefix=".making-")
    try:
        shape = (clips, split_frames(split, frames), size, size)
        for name, full in (("video", (*shape, 3)), ("mask", shape)):
            np.lib.format.open_memmap(f"{scratch}/{name}.npy", "w+", np.uint8, full).flush()
        starts = range(0, clips, CHUNK)
        job = partial(_fill, folder=scratch, settings=settings, clips=clips)
        parts = in_processes(job, starts, workers=workers)
        chunks = list(track(parts, f"Backdrop {split}", total=len(starts)))
        rows = (row for chunk in chunks for row in chunk)
        (Path(scratch) / "factors.jsonl").write_text("\n".join(rows) + "\n")
        (Path(scratch) / "settings.json").write_text(key)
        (Path(scratch) / "sha256").write_text(_hash_arrays(Path(scratch)))
        try:
            Path(scratch).rename(folder)
        except OSError:  # another process was faster; its content is the same
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


def _fill(start: int, *, folder: str, settings: dict[str, Any], clips: int) -> list[str]:
    return _generate_chunk(start, min(start + CHUNK, clips), folder, settings)


def _hash_arrays(folder: Path) -> str:
    digest = hashlib.sha256()
    for name in ("video", "mask"):
        array = np.load(folder / f"{name}.npy", mmap_mode="r")
        digest.update(f"{name}{array.shape}".encode())
        for row in array:
            digest.update(np.ascontiguousarray(row).data)
    return digest.hexdigest()


def add_foreground(folder: Path, workers: int = 2) -> None:
    """Add the label-free foreground and the actor-free background of every clip, once.

    They depend on pixels only (`whyact.ops.motion`), so they are made beforehand, in parallel.
    """
    made = {name: folder / f"{name}.npy" for name in SEPARATED.values()}
    if made[SEPARATED["foreground"]].exists():
        return
    video = np.load(folder / "video.npy", mmap_mode="r")
    scratch = Path(tempfile.mkdtemp(dir=folder, prefix=".making-"))
    try:
        for name, shape in zip(SEPARATED.values(), (video.shape, video.shape[:-1]), strict=True):
            np.lib.format.open_memmap(scratch / f"{name}.npy", "w+", np.uint8, shape).flush()
        starts = range(0, len(video), CHUNK)
        job = partial(_separate, folder=str(folder), scratch=str(scratch))
        one_thread = partial(torch.set_num_threads, 1)
        parts = in_processes(job, starts, workers=workers, start=one_thread)
        for _ in track(parts, "Foreground", total=len(starts)):
            pass
        former = [f for kind in SEPARATED for f in folder.glob(f"{kind}*.npy")]
        for name, file in made.items():
            (scratch / f"{name}.npy").replace(file)
        for file in {*former} - {*made.values()}:
            file.unlink(missing_ok=True)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _separate(start: int, *, folder: str, scratch: str) -> None:
    rows = slice(start, start + CHUNK)
    video = np.load(f"{folder}/video.npy", mmap_mode="r")[rows]
    clips = torch.from_numpy(video.copy()).permute(0, 4, 1, 2, 3).float() / 255
    found = foreground(clips)
    empty = remove_actor(clips, (found > 0.5).float(), dilation=rim(clips))
    for name, value in zip(SEPARATED.values(), (empty.permute(0, 2, 3, 4, 1), found), strict=True):
        array = np.load(f"{scratch}/{name}.npy", mmap_mode="r+")
        array[rows] = (value * 255).round().byte().numpy()
