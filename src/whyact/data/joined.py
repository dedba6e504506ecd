"""Clips joined in time or side by side: several actions, each with its interval and its place."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from whyact.data.boxes import through
from whyact.data.protocol import ClipDataset
from whyact.types import Clip, Failure, Interval, WhyactError

AXES = {"time": -3, "width": -1}
"""Axis of (..., T, H, W) that clips are joined along, by ``data.join_axis``."""


class JoinedDataset:
    """Makes each clip of ``count`` clips of another set, with different actions.

    They come end to end (``axis`` time), or side by side in a picture that is as many times as wide
    (width). Item i holds clip i of the source and others that are drawn from (seed, epoch, id of
    clip i), in a drawn order; in evaluation they are always the same. All clips of the source are
    equally long and large.

    Args:
        source: with one label a clip and one view in evaluation. count: clips to join, at least 2.
        train: draw others in every epoch. seed: of the draw. axis: see above.
        within: join clips of one group only (`ClipDataset.groups`), such as one sequence. What an
            item is made of does then not depend on which other groups the source holds.

    Raises:
        WhyactError: clips with several labels or views, or too few actions to join.
    """

    scenes: tuple[str, ...] = ()
    views = 1

    def __init__(
        self, *, source: ClipDataset, count: int, train: bool, seed: int, axis: str = "time",
        within: bool = False,
    ) -> None:  # fmt: skip
        labels = source.labels
        if any(not isinstance(label, int) for label in labels):
            raise WhyactError("data.join joins clips with one action each; set it to 1 here.")
        if source.views != 1:
            raise WhyactError("data.join takes one view a clip; set data.protocol to 1x1.")
        if axis not in AXES:
            raise WhyactError(f"data.join_axis is '{axis}'; choose from {list(AXES)}.")
        self.source, self.count, self.train, self.seed = source, count, train, seed
        self.axis, self.within = axis, within
        self.classes = source.classes
        self.single: list[int] = [label for label in labels if isinstance(label, int)]
        self.groups, self.names = source.groups, list(source.ids)
        self.pools: dict[str, list[int]] = {}
        for index in range(len(source)):
            self.pools.setdefault(self._pool(index), []).append(index)
        for name, pool in self.pools.items():
            actions = len({self.single[i] for i in pool})
            if actions < count:
                raise WhyactError(
                    f"data.join {count} needs as many different actions in {name}; there are "
                    f"{actions}."
                )

    def _pool(self, index: int) -> str:
        """Name of those that clip ``index`` may be joined with."""
        return f"group '{self.groups[index]}'" if self.within else "the split"

    @cached_property
    def ids(self) -> Sequence[str]:
        """Those of the joined clips, with a plus between them."""
        return ["+".join(self.names[i] for i in self.members(n)) for n in range(len(self))]

    @cached_property
    def labels(self) -> Sequence[int | tuple[int, ...]]:
        """Actions in the order of their appearance."""
        return [tuple(self.single[i] for i in self.members(n)) for n in range(len(self))]

    @property
    def fingerprint(self) -> str:
        """Of the source and of what is joined."""
        own = (self.count, self.seed, self.axis, self.within)
        key = "\0".join([self.source.fingerprint, *map(str, own)])
        return hashlib.sha256(key.encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.source)

    def members(self, index: int, turn: int = 0) -> list[int]:
        """Clips of the source that an item is made of, in order."""
        # By the clip's name, so that it is joined alike in every split that holds its group.
        place = zlib.crc32(self.names[index].encode())
        rng = np.random.default_rng([self.seed, turn if self.train else 0, place])
        chosen = [index]
        for other in rng.permutation(self.pools[self._pool(index)]).tolist():
            if len(chosen) < self.count and self.single[other] not in (
                self.single[i] for i in chosen
            ):
                chosen.append(other)
        return [chosen[i] for i in rng.permutation(self.count)]

    def intervals(self, index: int) -> tuple[Interval, ...]:
        """When each action happens, as shares of the clip; side by side, in all of it."""
        actions = [self.single[i] for i in self.members(index)]
        if self.axis == "width":
            return tuple(Interval(action, 0.0, 1.0) for action in actions)
        return tuple(
            Interval(action, place / self.count, (place + 1) / self.count)
            for place, action in enumerate(actions)
        )

    def actor_masks(self, index: int) -> Tensor:
        """(count, T, H, W) bool, the part of the joined clip that each action is in."""
        clip = self.source[(index, 0)]
        if isinstance(clip, Failure):
            raise WhyactError(f"{clip.id}: {clip.reason}")
        own = torch.eye(self.count, dtype=torch.bool)[:, :, None, None, None]
        parts = own.expand(-1, -1, *clip.video.shape[1:]).unbind(1)
        return torch.cat(parts, AXES[self.axis])

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
        axis = AXES[self.axis]
        return Clip(
            video=torch.cat([p.video for p in parts], axis),
            label=label,
            id="+".join(p.id for p in parts),
            mask=_joined([p.mask for p in parts], axis),
            foreground=_joined([p.foreground for p in parts], axis),
            background=_joined([p.background for p in parts], axis),
            motion=_joined([p.motion for p in parts], axis),
            boxes=_joined_boxes([p.boxes for p in parts], self.axis),
        )


def _joined(parts: Sequence[Tensor | None], axis: int) -> Tensor | None:
    """Parts along an axis of (..., T, H, W); None where one is missing."""
    known = [p for p in parts if p is not None]
    return torch.cat(known, axis) if len(known) == len(parts) else None


def _joined_boxes(parts: Sequence[Tensor | None], axis: str) -> Tensor | None:
    """Boxes (T, O, 5) of the parts in the joined clip, nobody of one in another's slot."""
    known = [p for p in parts if p is not None]
    if len(known) < len(parts):
        return None
    if axis == "width":  # part i is what is seen through a window that begins i widths to the left
        wide = len(known)
        return torch.cat([through(b, (-i, 0, wide - i, 1)) for i, b in enumerate(known)], 1)
    slots = torch.cat(
        [b.new_full((len(b), sum(p.shape[1] for p in known), 5), torch.nan) for b in known]
    )
    frame = slot = 0
    for part in known:
        slots[frame : frame + len(part), slot : slot + part.shape[1]] = part
        frame, slot = frame + len(part), slot + part.shape[1]
    return slots
