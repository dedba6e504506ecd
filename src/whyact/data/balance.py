"""Group-balanced sampling: rare pairs of action and nuisance as often as common ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from whyact.config import BalanceConfig
from whyact.data.protocol import ClipDataset
from whyact.data.tables import read_table
from whyact.types import WhyactError


def balance_weights(config: BalanceConfig, dataset: ClipDataset) -> Tensor | None:
    """How much more often than others each training clip is drawn, (n,), or None where all alike.

    A group is a label with a value of the column. Every group is drawn as often as any other, and
    its clips alike.

    Source: RWG of Idrissi et al., Simple Data Balancing Achieves Competitive Worst-Group-Accuracy
    (CLeaR 2022). It needs the labels, and a nuisance for every clip: a label of the scene, or, as
    in GEORGE (Sohoni et al., NeurIPS 2020), a cluster of what a first model's code holds, which
    ``whyact codes --clusters`` writes. Deviation from GEORGE: clusters of the nuisance code over
    all actions together, and sampling in place of a worst-group loss.

    Args:
        config: ``data.balance``. dataset: training clips.

    Raises:
        WhyactError: a table that cannot be read, or that lacks the column or a clip.
    """
    if not config.column:
        return None
    values = _of_table(config, dataset.ids) if config.table else _own(config, dataset)
    labels = [tuple(sorted(set(x))) if isinstance(x, tuple) else x for x in dataset.labels]
    groups = list(zip(labels, values, strict=True))
    return group_weights(groups)


def group_weights(groups: Sequence[Hashable]) -> Tensor:
    """(n,) float64, ``1 / size`` of each clip's group."""
    sizes = Counter(groups)
    return torch.tensor([1 / sizes[g] for g in groups], dtype=torch.float64)


def _own(config: BalanceConfig, dataset: ClipDataset) -> Sequence[Hashable]:
    values: Sequence[int] = getattr(dataset, "nuisance", ())
    if config.column != "scene" or not values or min(values) < 0:
        raise WhyactError(
            f"data.balance.column is '{config.column}', but this data set does not know it of "
            "every clip. Name a table with columns id and that one in data.balance.table; whyact "
            "codes writes one with scene and cluster."
        )
    return values


def _of_table(config: BalanceConfig, ids: Sequence[str]) -> Sequence[Hashable]:
    path = Path(config.table)
    table = read_table(path, sorted({"id", config.column}), "data.balance.table")
    names = [str(name) for name in table["id"].to_pylist()]
    found = dict(zip(names, table[config.column].to_pylist(), strict=True))
    lost = [name for name in ids if name not in found]
    if lost:
        raise WhyactError(
            f"data.balance.table {path} lacks {len(lost)} of {len(ids)} training clips, such as "
            f"{lost[0]!r}; make it of the split that data.train names."
        )
    return [found[name] for name in ids]
