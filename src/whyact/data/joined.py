"""Clips joined in time: several actions one after the other, each with its interval."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from whyact.data.protocol import ClipDataset
from whyact.types import Clip, Failure, Interval, WhyactError


class JoinedDataset:
    """Makes each clip of ``count`` clips of another set, with different actions, end to end.

    Item i holds clip i of the source and others that are drawn from (seed, epoch, i), in a drawn
    order; in evaluation they are always the same. All clips of the source are equally long.

    Args:
        source: with one label a clip and one view in evaluation. count: clips to join, at least 2.
        train: draw others in every epoch. seed: of the draw.
    """

    scenes: tuple[str, ...] = ()
    views = 1

    def __init__(self, *, source: ClipDataset, count: int, train: bool, seed: int) -> None:
        labels = source.labels
        if any(not isinstance(label, int) for label in labels):
            raise WhyactError("data.join joins clips with one action each; set it to 1 here.")
        if source.views != 1:
            raise WhyactError("data.join takes one view a clip; set data.protocol to 1x1.")
        self.source, self.count, self.train, self.seed = source, count, train, seed
        self.classes = source.classes
        self.single: list[int] = [label for label in labels if isinstance(label, int)]
        if len(set(self.single)) < count:
            raise WhyactError(
                f"data.join {count} needs as many different actions in the split; there are "
                f"{len(set(self.single))}."
            )
        self.groups = source.groups

    @property
    def ids(self) -> Sequence[str]:
        """Those of the joined clips, with a plus between them."""
        return ["+".join(self.source.ids[i] for i in self.members(n)) for n in range(len(self))]

    @property
    def labels(self) -> Sequence[int | tuple[int, ...]]:
        """Actions in the order of their appearance."""
        return [tuple(self.single[i] for i in self.members(n)) for n in range(len(self))]

    @property
    def fingerprint(self) -> str:
        """Of the source and of what is joined."""
        key = f"{self.source.fingerprint}\0{self.count}\0{self.seed}"
        return hashlib.sha256(key.encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.source)

    def members(self, index: int, turn: int = 0) -> list[int]:
        """Clips of the source that an item is made of, in order."""
        rng = np.random.default_rng([self.seed, turn if self.train else 0, index])
        chosen = [index]
        for other in rng.permutation(len(self.source)).tolist():
            if len(chosen) < self.count and self.single[other] not in (
                self.single[i] for i in chosen
            ):
                chosen.append(other)
        return [chosen[i] for i in rng.permutation(self.count)]

    def intervals(self, index: int) -> tuple[Interval, ...]:
        """When each action happens, as shares of the clip."""
        actions = [self.single[i] for i in self.members(index)]
        return tuple(
            Interval(action, place / self.count, (place + 1) / self.count)
            for place, action in enumerate(actions)
        )

    def __getitem__(self, request: tuple[int, int]) -> Clip | Failure:
        """The joined clip of (index, epoch); a `Failure` where one of its clips cannot be read."""
        index, turn = request
        parts: list[Clip] = []
        for member in self.members(index, turn):
            part = self.source[(member, turn)]
            if isinstance(part, Failure):
                return part
            parts.append(part)
        label = torch.zeros(len(self.classes))
        label[[int(p.label) for p in parts]] = 1.0
        return Clip(
            video=torch.cat([p.video for p in parts], 1),
            label=label,
            id="+".join(p.id for p in parts),
            mask=_joined([p.mask for p in parts], 0),
            foreground=_joined([p.foreground for p in parts], 0),
            background=_joined([p.background for p in parts], 1),
            motion=_joined([p.motion for p in parts], 1),
        )


def _joined(parts: Sequence[Tensor | None], axis: int) -> Tensor | None:
    """Parts end to end along the frames; None where one is missing."""
    known = [p for p in parts if p is not None]
    return torch.cat(known, axis) if len(known) == len(parts) else None
