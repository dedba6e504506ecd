"""What a data set is to the rest of the package."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Protocol

from whyact.types import Clip, Failure


class ClipDataset(Protocol):
    """Clips with labels, read by position.

    An item is asked for with ``(index, round)``: in training the round is the epoch, in evaluation
    the number of the view. All randomness of an item is a function of (seed, round, index), so the
    same batches come from any number of loader processes.

    Attributes:
        classes: action names, in label order. scenes: nuisance names, empty where unlabelled.
        labels: of every clip; an index, or indices for multi-label sets.
        groups: of every clip (actor, sequence, source video), for folds; the name where unknown.
        ids: names of the clips.
        views: views of each clip in evaluation; 1 in training.
        fingerprint: SHA-256 over the raw data; of films and frames what `whyact.data.content`
            covers.

    A set that is stored in shards also has ``blocks``, the number of every clip's shard; one that
    knows scenes without reading clips has ``nuisance``, the scene of each.
    """

    @property
    def classes(self) -> tuple[str, ...]:
        """See above."""
        ...

    @property
    def scenes(self) -> tuple[str, ...]:
        """See above."""
        ...

    @property
    def labels(self) -> Sequence[int | tuple[int, ...]]:
        """See above."""
        ...

    @property
    def groups(self) -> Sequence[str]:
        """See above."""
        ...

    @property
    def ids(self) -> Sequence[str]:
        """See above."""
        ...

    @property
    def views(self) -> int:
        """See above."""
        ...

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the raw data."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, request: tuple[int, int]) -> Clip | Failure: ...


def label_map_hash(classes: Sequence[str]) -> str:
    """Hash of the class names in their order, stored in checkpoints to refuse another label map."""
    return hashlib.sha256("\n".join(classes).encode()).hexdigest()
