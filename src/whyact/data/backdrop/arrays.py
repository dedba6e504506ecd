"""Backdrop's clips, read from the arrays of `whyact.data.backdrop.generation`."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from whyact.data.backdrop.actions import ACTIONS, FLIP_PAIRS
from whyact.data.backdrop.factors import SEVERAL, kind_of
from whyact.data.backdrop.generation import SEPARATED, add_foreground, generate_split
from whyact.data.backdrop.scenes import SCENES, TRAIN_SCENES
from whyact.data.backdrop.watermark import check_watermark, stamp, watermark_code, watermark_mask
from whyact.types import Clip, Interval

CROSSED = len(ACTIONS) * len(TRAIN_SCENES)


class BackdropDataset:
    """A generated split as a `whyact.data.protocol.ClipDataset`.

    Args:
        folder: as `generate_split` returned it.
        flip: probability of a horizontal flip, drawn from (seed, round, index); a flip swaps the
            labels of `FLIP_PAIRS`.
        seed: of the flips.
        separated: clips bring what `add_foreground` made.
        watermark: the planted shortcut, see `whyact.data.backdrop.watermark`; it covers actors, and
            is neither in the foreground nor in the background that `add_foreground` made.
        boxes: clips bring the true boxes of their actors.
    """

    classes: tuple[str, ...] = ACTIONS
    scenes: tuple[str, ...] = SCENES
    views = 1

    def __init__(
        self, *, folder: Path, flip: float = 0.0, seed: int = 0, separated: bool = False,
        watermark: str = "none", boxes: bool = False,
    ) -> None:  # fmt: skip
        check_watermark(watermark)
        self.boxes = boxes
        self.folder, self.flip, self.seed, self.watermark = folder, flip, seed, watermark
        self.separated = separated
        self._open()
        lines = (folder / "factors.jsonl").read_text().splitlines()
        self.factors: list[dict[str, Any]] = [json.loads(line) for line in lines]
        swap = {ACTIONS.index(a): ACTIONS.index(b) for a, b in FLIP_PAIRS}
        self.swap = {**swap, **{b: a for a, b in swap.items()}}
        self.split = json.loads((folder / "settings.json").read_text())["split"]
        self.several = kind_of(self.split) in SEVERAL
        self.ids: Sequence[str] = [f"{self.split}/{i:06d}" for i in range(len(self))]
        self.groups = self.ids

    def _open(self) -> None:
        self.video: NDArray[np.uint8] = self._array("video")
        self.mask: NDArray[np.uint8] = self._array("mask")
        names = SEPARATED.items() if self.separated else ()
        self.extra: dict[str, NDArray[np.uint8]] = {kind: self._array(name) for kind, name in names}

    def _array(self, name: str) -> NDArray[np.uint8]:
        return np.load(self.folder / f"{name}.npy", mmap_mode="r")

    def __getstate__(self) -> dict[str, Any]:
        """Without the arrays: pickled for a loader's process, they would be copied whole."""
        return {k: v for k, v in vars(self).items() if k not in ("video", "mask", "extra")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._open()

    @cached_property
    def labels(self) -> Sequence[int | tuple[int, ...]]:
        """Action indices; tuples where clips hold several (`SEVERAL`)."""
        several = [tuple(a["action"] for a in f["actors"]) for f in self.factors]
        return several if self.several else [a[0] for a in several]

    @cached_property
    def nuisance(self) -> Sequence[int]:
        """Scene of every clip."""
        return [f["scene"] for f in self.factors]

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the raw arrays, and the watermark that is stamped on them."""
        raw = (self.folder / "sha256").read_text()
        return raw if self.watermark == "none" else f"{raw} {self.watermark}"

    def __len__(self) -> int:
        return len(self.video)

    def __getitem__(self, request: tuple[int, int]) -> Clip:
        """The clip asked for; its mask is the actors' (bit 0 to 3)."""
        index, turn = request
        video = torch.from_numpy(self.video[index].copy()).permute(3, 0, 1, 2)
        mask = torch.from_numpy((self.mask[index] & 15) > 0)
        extra = {k: torch.from_numpy(v[index].copy()) for k, v in self.extra.items()}
        if extra:
            extra["background"] = extra["background"].permute(3, 0, 1, 2)
        boxes = self._boxes(index) if self.boxes else None
        label = self.labels[index]
        labels = label if isinstance(label, tuple) else (label,)
        if self.flip and np.random.default_rng([self.seed, turn, index]).random() < self.flip:
            video, mask = video.flip(-1), mask.flip(-1)
            extra = {k: v.flip(-1) for k, v in extra.items()}
            labels = tuple(self.swap.get(i, i) for i in labels)
            if boxes is not None:
                boxes[..., [0, 2]] = 1 - boxes[..., [2, 0]]
        if self.watermark != "none":
            video = stamp(video, watermark_code(self.watermark, label=labels[0], index=index))
            mask &= ~watermark_mask((mask.shape[0], mask.shape[1], mask.shape[2]))
        target: int | torch.Tensor = labels[0]
        if self.several:
            target = torch.zeros(len(ACTIONS)).index_fill_(0, torch.tensor(labels), 1.0)
        return Clip(
            video=video,
            label=target,
            id=self.ids[index],
            nuisance=self.nuisance[index],
            mask=mask,
            boxes=boxes,
            **extra,
        )

    def _boxes(self, index: int) -> torch.Tensor:
        """(T, actors, 5), see `whyact.types.Batch.boxes`; all are persons."""
        rows = np.array(self.factors[index]["boxes"], dtype=np.float32)  # None becomes NaN
        corners = torch.from_numpy(rows).transpose(0, 1) / self.video.shape[2]
        return torch.cat([corners, corners[..., :1] * 0], -1)

    def intervals(self, index: int) -> tuple[Interval, ...]:
        """When each actor acts, as shares of the clip: whole frames, the last one included."""
        frames = self.video.shape[1]
        return tuple(
            Interval(
                a["action"],
                math.ceil(a["start"] * (frames - 1)) / frames,
                (math.floor(a["stop"] * (frames - 1)) + 1) / frames,
            )
            for a in self.factors[index]["actors"]
        )

    def actor_masks(self, index: int) -> torch.Tensor:
        """(actors, T, H, W) bool, each actor in the order of `labels` (not flipped)."""
        bits = torch.from_numpy(self.mask[index].copy())
        return torch.stack([(bits >> i & 1) > 0 for i in range(len(self.factors[index]["actors"]))])

    def limb_mask(self, index: int) -> torch.Tensor:
        """(T, H, W) bool, the limbs that make the action (not flipped)."""
        return torch.from_numpy((self.mask[index] >> 4) > 0)


def split_size(split: str, clips: int, eval_clips: int) -> int:
    """How many clips a split has, see `load_backdrop`."""
    if split.endswith("train"):
        return clips
    if split == "probe":  # whole rounds of all pairs, as probes need more clips than scores do
        return CROSSED * max(2, eval_clips // 30)
    return eval_clips


def load_backdrop(
    *, root: str, split: str, clips: int, eval_clips: int, correlation: float, seed: int,
    frames: int, size: int, train: bool, flip: float = 0.5, augment_seed: int = 0,
    foreground: bool = False, workers: int = 2, watermark: str = "none", boxes: bool = False,
) -> BackdropDataset:  # fmt: skip
    """Load a split, generating it first if need be.

    Args:
        root: cache folder.
        clips: of ``train`` and the other training splits. eval_clips: of all others; ``probe`` has
            a round of all pairs of action and scene for every 30 of them, and at least two.
        train: apply random flips.
        foreground: clips bring their label-free foreground and background.
        augment_seed: of the flips. watermark, boxes: see `BackdropDataset`. The others: see
            `generate_split`.
    """
    count = split_size(split, clips, eval_clips)
    folder = generate_split(
        root=Path(root), split=split, clips=count, seed=seed, frames=frames, size=size,
        correlation=correlation, workers=workers,
    )  # fmt: skip
    if foreground:
        add_foreground(folder, workers)
    return BackdropDataset(
        folder=folder, flip=flip if train else 0.0, seed=augment_seed, separated=foreground,
        watermark=watermark, boxes=boxes,
    )  # fmt: skip
