"""Backdrop for people: video files with a table of factors, and contact sheets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from rich.progress import track

from whyact.data.backdrop.actions import ACTIONS
from whyact.data.backdrop.factors import SPLITS
from whyact.data.backdrop.generation import describe
from whyact.data.backdrop.render import PLATE, SUPERSAMPLE, generate_clip
from whyact.data.backdrop.scenes import SCENES, paint
from whyact.ops.encode import write_video

RATE = 8.0
LABEL = 84


def write_videos(
    out: Path, *, split: str, clips: int, seed: int, frames: int, size: int, correlation: float
) -> Path:
    """Write a split as ``<out>/<split>/<action>/<index>.mp4`` and ``<out>/<split>.parquet``.

    The table has a row a clip: path, action(s), scene, and all factors as JSON.
    """
    rows = []
    for index in track(range(clips), f"Write {split}"):
        sample = generate_clip(
            split=split, index=index, seed=seed, frames=frames, size=size, correlation=correlation
        )
        about = describe(sample)
        path = Path(split) / str(about["actors"][0]["name"]) / f"{index:06d}.mp4"
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        write_video(out / path, sample.video, RATE)
        rows.append(
            {
                "path": str(path),
                "actions": [a["name"] for a in about["actors"]],
                "scene": about["scene_name"],
                "factors": json.dumps(about),
            }
        )
    table = out / f"{split}.parquet"
    pq.write_table(pa.Table.from_pylist(rows), table)
    return table


def _sheet(rows: Sequence[tuple[str, Sequence[NDArray[np.uint8]]]], path: Path) -> None:
    height, width = rows[0][1][0].shape[:2]
    most = max(len(images) for _, images in rows)
    page = Image.new("RGB", (LABEL + most * width, len(rows) * height), "white")
    draw = ImageDraw.Draw(page)
    for r, (name, images) in enumerate(rows):
        draw.text((4, r * height + height // 2 - 6), name, fill="black", font_size=12)
        for c, image in enumerate(images):
            page.paste(Image.fromarray(image), (LABEL + c * width, r * height))
    path.parent.mkdir(parents=True, exist_ok=True)
    page.save(path)


def contact_sheets(out: Path, *, seed: int = 0, size: int = 112) -> list[Path]:
    """Write ``actions.png`` (8 frames each), ``scenes.png`` and ``splits.png``.

    Scenes are shown whole; a clip sees about half of one's width.
    """
    actions = [
        (name, list(generate_clip(split="swap", index=i, seed=seed, frames=8, size=size).video))
        for i, name in enumerate(ACTIONS)
    ]
    rng, plate = np.random.default_rng(seed), int(size * SUPERSAMPLE * PLATE)
    scenes = [
        (name, [np.asarray(paint(i, rng, plate).resize((size, size))) for _ in range(8)])
        for i, name in enumerate(SCENES)
    ]
    splits = []
    for split in SPLITS:
        clips = [
            generate_clip(split=split, index=i, seed=seed, frames=8, size=size) for i in range(8)
        ]
        splits.append((split, [c.video[len(c.video) // 2] for c in clips]))
    pages = {"actions": actions, "scenes": scenes, "splits": splits}
    for name, rows in pages.items():
        _sheet(rows, out / f"{name}.png")
    return [out / f"{name}.png" for name in pages]
