"""Tokens of a frozen backbone, computed once and memory-mapped."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track
from torch import Tensor, nn
from torch.nn import functional as F

from whyact.config import Config
from whyact.data.loader import load
from whyact.data.protocol import ClipDataset
from whyact.data.video import decoder_version
from whyact.models.recognizer import VideoModel
from whyact.ops.motion import foreground
from whyact.training.record import write_json
from whyact.types import ActionOutput, Batch, Clip, Failure, WhyactError


class TokenDecoder(nn.Module):
    """A model whose input are its backbone's tokens.

    Args:
        model: with the frozen backbone. grid: (h, w) of the tokens.
    """

    def __init__(self, model: VideoModel, grid: tuple[int, int]) -> None:
        super().__init__()
        self.model, self.grid = model, grid

    def forward(self, tokens: Tensor, specification: Tensor | None = None) -> ActionOutput:
        """Decode tokens (B, T', N, D); the specification is as of `VideoModel.decode`."""
        return self.model.decode(tokens.float(), self.grid, specification)


class TokenDataset:
    """A data set whose clips are tokens (T', N, D) instead of pixels.

    Args:
        source: the clips that the tokens were made from.
        file: of the tokens (views, n, T', N, D) float16; training takes a view drawn from (seed,
            epoch, index), evaluation the view asked for.
        labels: (views, n), or (views, n, Y) multi-hot, of every view (a flip may swap them); -1
            marks unreadable clips.
        orders: (views, Y), `Clip.class_order` of every test view.
        failures: reasons of unreadable clips, by name.
        nuisance: (n,) scene of every clip, -1 where unknown.
        foreground: (views, n, T', h, w) uint8, `Batch.foreground` times 255 on the token grid, or
            None where no objective asked for it.
        train: draw views. seed: of the draw.
        rows: where each clip of the source is in the arrays; in order if None.
    """

    def __init__(
        self, *, source: ClipDataset, file: Path, labels: Tensor, orders: Tensor,
        nuisance: Tensor, failures: Mapping[str, str], train: bool, seed: int,
        foreground: Tensor | None = None, rows: Sequence[int] | None = None,
    ) -> None:  # fmt: skip
        self.source, self.file, self.view_labels = source, file, labels
        self._open()
        self.orders, self.row_nuisance, self.foreground = orders, nuisance, foreground
        self.rows = range(len(source)) if rows is None else rows
        self.failures = failures
        self.train, self.seed = train, seed
        self.classes, self.scenes = source.classes, source.scenes
        self.labels, self.groups, self.ids = source.labels, source.groups, source.ids
        self.views = 1 if train else len(self.tokens)

    def _open(self) -> None:
        self.tokens = torch.from_numpy(np.load(self.file, mmap_mode="c"))

    def __getstate__(self) -> dict[str, Any]:
        """Without the tokens: pickled for a loader's process, all would go to shared memory."""
        return {k: v for k, v in vars(self).items() if k != "tokens"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._open()

    @property
    def fingerprint(self) -> str:
        """Of the source."""
        return self.source.fingerprint

    @property
    def nuisance(self) -> Sequence[int]:
        """Scene of every clip, -1 where unknown."""
        return [int(self.row_nuisance[row]) for row in self.rows]

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, request: tuple[int, int]) -> Clip | Failure:
        """The tokens of (index, epoch) in training, of (index, view) in evaluation."""
        index, view = request
        if self.train:
            rng = np.random.default_rng([self.seed, view, index])
            view = int(rng.integers(len(self.tokens)))
        row = self.rows[index]
        label = self.view_labels[view, row]
        if bool((label < 0).any()):
            name = self.ids[index]
            reason = self.failures.get(name, "one of its views could not be read")
            return Failure(name, f"{reason} So it was when {self.file.parent} was made: delete "
                           "that folder once the clip can be read.")  # fmt: skip
        return Clip(
            video=self.tokens[view, row],
            label=label.float() if label.ndim else int(label),
            id=self.ids[index],
            class_order=None if self.train else self.orders[view],
            nuisance=int(self.row_nuisance[row]),
            foreground=None if self.foreground is None else self.foreground[view, row],
        )

    def subset(self, source: ClipDataset) -> TokenDataset:
        """The tokens of another split of the same files; clips are found by their ids."""
        place = {name: row for name, row in zip(self.ids, self.rows, strict=True)}
        return TokenDataset(
            source=source, file=self.file, labels=self.view_labels, orders=self.orders,
            nuisance=self.row_nuisance, failures=self.failures, train=self.train, seed=self.seed,
            foreground=self.foreground, rows=[place[name] for name in source.ids],
        )  # fmt: skip


def _key(
    config: Config, source: ClipDataset, views: int, model: VideoModel, train: bool, moving: bool
) -> str:
    digest = hashlib.sha256()
    seen = {**model.backbone.state_dict(), "mean": model.mean, "std": model.std}
    for name, tensor in sorted(seen.items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    data = asdict(config.data)
    for unrelated in (
        "root", "annotations", "train", "val", "test", "folding", "fold", "fold_count",
        "fold_seed", "workers", "balance", "boxes",
    ):  # fmt: skip
        data.pop(unrelated)
    settings = {
        "data": data, "decoder": decoder_version(), "source": source.fingerprint, "train": train,
        "backbone": asdict(config.model.backbone), "weights": digest.hexdigest(), "views": views,
        "seed": config.seed if train else None, "foreground": moving, "form": 4,
    }  # fmt: skip
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


@torch.no_grad()
def cache_tokens(
    *, config: Config, source: ClipDataset, model: VideoModel, root: Path, train: bool,
    device: torch.device, moving: bool = False, batch_size: int = 4,
) -> tuple[TokenDataset, tuple[int, int]]:  # fmt: skip
    """Compute a data set's tokens, or find them under ``root``.

    The cache's name is a hash of the raw data, the sampling, the transforms, the backbone with its
    weights, the number of views and the seed: of everything that changes the tokens.

    Args:
        config: of the run; ``training.cache_tokens`` views of every training clip are made.
        source: clips. model: whose frozen backbone makes the tokens. root: folder of caches.
        train: random views. device: of the backbone.
        moving: keep the label-free foreground of every view too. batch_size: clips a forward pass.

    Returns:
        The tokens as a data set, and their grid.

    Raises:
        WhyactError: the backbone is not frozen, the model reads boxes, or no clip could be read.
    """
    if not model.frozen:
        raise WhyactError("training.cache_tokens needs model.backbone.frozen: true.")
    if config.model.spatial_graph.type == "boxes":
        raise WhyactError(
            "training.cache_tokens keeps no boxes, which model.spatial_graph.type boxes needs; set "
            "it to 0."
        )
    views = config.training.cache_tokens if train else source.views
    folder = root / "tokens" / _key(config, source, views, model, train, moving)
    if not folder.is_dir():
        requests = [
            [(i, view) for i in range(start, min(start + batch_size, len(source)))]
            for view in range(views)
            for start in range(0, len(source), batch_size)
        ]
        batches = load(source, requests, workers=config.data.workers)
        read = track(batches, "Backbone tokens", total=len(requests), transient=True)
        views_read = ((rows[0][1], batch) for rows, batch in zip(requests, read, strict=True))
        _fill(folder, source, model.eval(), views, device, moving, views_read)
    grid = json.loads((folder / "grid.json").read_text())
    labels = torch.from_numpy(np.load(folder / "labels.npy"))
    made = TokenDataset(
        source=source, file=folder / "tokens.npy", labels=labels, train=train, seed=config.seed,
        orders=torch.from_numpy(np.load(folder / "orders.npy")),
        nuisance=torch.from_numpy(np.load(folder / "nuisance.npy")),
        failures=json.loads((folder / "failures.json").read_text(encoding="utf-8")),
        foreground=torch.from_numpy(np.load(folder / "foreground.npy")) if moving else None,
    )  # fmt: skip
    return made, (grid[0], grid[1])


def _fill(
    folder: Path,
    source: ClipDataset,
    model: VideoModel,
    views: int,
    device: torch.device,
    moving: bool,
    batches: Iterable[tuple[int, Batch]],
) -> None:
    """Write the tokens of batches, each of one view, and what belongs to them."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".making-"))
    orders = np.tile(np.arange(len(source.classes)), (views, 1))
    nuisance = np.full(len(source), -1, np.int64)
    array: Any = None
    labels: Any = None
    actors: Any = None
    failures: dict[str, str] = {}
    grid = (0, 0)
    try:
        for view, read in batches:
            failures |= {f.id: f.reason for f in read.failures}
            if not len(read):
                continue
            assert read.index is not None
            batch, rows = read.to(device), read.index.numpy()
            tokens, grid = model.to(device).encode(batch.streams)
            if array is None:
                shape = (views, len(source), *tokens.shape[1:])
                array = np.lib.format.open_memmap(scratch / "tokens.npy", "w+", np.float16, shape)
                labels = np.full((*shape[:2], *batch.label.shape[1:]), -1, np.int64)
                actors = np.zeros((*shape[:3], *grid), np.uint8)
            if moving:
                found = foreground(batch.video)[:, None]
                cells = F.adaptive_avg_pool3d(found, actors.shape[2:])[:, 0]
                actors[view, rows] = (cells * 255).round().byte().cpu().numpy()
            array[view, rows], labels[view, rows] = tokens.half().cpu().numpy(), read.label.numpy()
            nuisance[rows] = read.nuisance.numpy()
            if read.class_order is not None:
                orders[view] = read.class_order[0].numpy()
        if array is None:
            raise WhyactError("training.cache_tokens: no clip could be read.")
        array.flush()
        np.save(scratch / "labels.npy", labels)
        np.save(scratch / "orders.npy", orders)
        np.save(scratch / "nuisance.npy", nuisance)
        if moving:
            np.save(scratch / "foreground.npy", actors)
        (scratch / "grid.json").write_text(json.dumps(grid))
        write_json(scratch / "failures.json", failures)
        with contextlib.suppress(OSError):  # another process was faster; its tokens are the same
            scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
