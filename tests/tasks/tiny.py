"""A folder of small videos and the settings of a run over it that takes a second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from tests.data.media import write_video
from torch import Tensor

from whyact.config import Config
from whyact.config_io import from_dict, leaves, merge, nested
from whyact.training.checkpoint import save_checkpoint

CLASSES = ("left", "right")

TINY: dict[str, Any] = {
    "data.type": "folder",
    "data.test": ["test"],
    "data.clip.frames": 4,
    "data.transform": {"short_side": 36, "size": 32, "color_jitter": 0.0},
    "data.transform.flip": 0.0,  # it would swap what the labels say
    "model.backbone.width": 16,
    "model.spatial_graph.regions": 3,
    "model.dynamic_prompts": {"prompts": 2, "bank": 4},
    "training": {"epochs": 1, "batch_size": 3, "learning_rate": 0.003, "warmup_steps": 1},
    # Determinism is a switch of the whole process; one thread gives it here.
    "training.deterministic": False,
    "training.device": "cpu",
    "training.threads": 1,
}


def write_clip(path: Path, label: int, key: int, codec: str = "libx264") -> Path:
    """Noise of ten frames with a bright half that tells the label; ``key`` makes it unique."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(key)
    images = []
    for _ in range(10):
        image = rng.integers(0, 120, (40, 48, 3), dtype=np.uint8)
        image[:, 24 * label : 24 * label + 24] += 100
        images.append(image)
    return write_video(path, codec=codec, frames=10, images=images)


def write_folder(
    root: Path,
    splits: Sequence[str] = ("train", "val", "test"),
    classes: Sequence[str] = CLASSES,
    clips: int = 3,
) -> Path:
    """``<root>/<split>/<class>/<i>.mp4``, all different."""
    for s, split in enumerate(splits):
        for label, name in enumerate(classes):
            for i in range(clips):
                key = 100 * s + 10 * label + i + sum(map(ord, split))
                write_clip(root / split / name / f"{i}.mp4", label % 2, key)
    return root


def tiny_settings(root: Path, output: Path, **given: Any) -> dict[str, Any]:
    """Settings as a tree; ``given`` has ``__`` for the dots: ``training__epochs=2``."""
    over = {k.replace("__", "."): v for k, v in given.items()}
    places = {"data.root": str(root), "output": str(output)}
    return merge(nested({**TINY, **places}), nested(over))


def tiny_config(root: Path, output: Path, **given: Any) -> Config:
    return from_dict(tiny_settings(root, output, **given))


def tiny_flags(root: Path, output: Path, **given: Any) -> list[str]:
    """The same settings for the command line."""
    flags = []
    for name, value in leaves(tiny_settings(root, output, **given)):
        text = value if isinstance(value, str) else yaml.safe_dump(value, default_flow_style=True)
        flags += [f"--{name}", text.removesuffix("\n...\n").strip()]
    return flags


def tiny_file(path: Path, root: Path, output: Path, **given: Any) -> Path:
    """The same settings as a YAML file."""
    path.write_text(yaml.safe_dump(tiny_settings(root, output, **given)), encoding="utf-8")
    return path


def fake_checkpoint(folder: Path, config: Config) -> None:
    """A checkpoint that says what it was trained with and holds no model."""
    save_checkpoint(
        folder, weights={"nothing": torch.zeros(1)}, config=config, classes=CLASSES, scenes=(),
        state={},
    )  # fmt: skip


def same_weights(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    return set(first) == set(second) and all(torch.equal(v, second[k]) for k, v in first.items())
