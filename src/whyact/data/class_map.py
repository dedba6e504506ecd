"""Evaluation on another data set: its classes, as the model's."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from whyact.data.listing import read_rows
from whyact.data.protocol import ClipDataset
from whyact.types import Clip, Failure, WhyactError


def read_class_map(path: str | Path) -> dict[str, str]:
    """A table ``class of the data,class of the model``, one pair a row.

    Several classes of the data may mean one class of the model. Classes that are not listed, or
    that have nothing beside them, are not mapped.

    Raises:
        WhyactError: another layout, or a class that is listed twice.
    """
    file = Path(path)
    if not file.is_file():
        raise WhyactError(f"{file}: no such class map.")
    found: dict[str, str] = {}
    for number, line in read_rows(file):
        row = next(csv.reader([line], skipinitialspace=True))
        if len(row) != 2 or not row[0].strip():
            raise WhyactError(
                f"{file}, row {number}: expected 'class of the data,class of the model', got {row}."
            )
        name, target = row[0].strip(), row[1].strip()
        if name in found:
            raise WhyactError(f"{file}, row {number}: '{name}' is mapped twice.")
        found[name] = target
    return {name: target for name, target in found.items() if target}


class MappedDataset:
    """The clips of a data set whose class the model knows under another name.

    Args:
        source: single-label clips in evaluation. table: from `read_class_map`.
        model_classes: names, in the model's order.

    Attributes:
        classes: those of the model that the table names, in the model's order.
        columns: their places in the model's logits.
        left_out: number of clips whose class is not mapped.

    Raises:
        WhyactError: a name that neither side has, several labels, or nothing mapped.
    """

    def __init__(
        self, source: ClipDataset, *, table: Mapping[str, str], model_classes: Sequence[str]
    ) -> None:
        for name, target in table.items():
            if name not in source.classes:
                raise WhyactError(f"The class map names '{name}', no class of the data set.")
            if target not in model_classes:
                raise WhyactError(f"The class map names '{target}', no class of the model.")
        if any(not isinstance(label, int) for label in source.labels):
            raise WhyactError("A class map needs a data set with a single label a clip.")
        self.columns = [i for i, name in enumerate(model_classes) if name in table.values()]
        self.classes = tuple(model_classes[i] for i in self.columns)
        place = {name: i for i, name in enumerate(self.classes)}
        self._label = {
            i: place[table[name]] for i, name in enumerate(source.classes) if name in table
        }
        self.rows = [i for i, label in enumerate(source.labels) if label in self._label]
        if not self.rows:
            raise WhyactError("The class map maps none of the classes that the clips have.")
        self.source, self.scenes, self.views = source, source.scenes, source.views
        self.labels = [self._label[source.labels[i]] for i in self.rows]  # type: ignore[index]
        self.groups = [source.groups[i] for i in self.rows]
        self.ids = [source.ids[i] for i in self.rows]
        self.left_out = len(source) - len(self.rows)
        self.mapped = len(self._label)

    @property
    def fingerprint(self) -> str:
        """Of the source."""
        return self.source.fingerprint

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, request: tuple[int, int]) -> Clip | Failure:
        """As the source's, with the label of the model."""
        index, turn = request
        item = self.source[self.rows[index], turn]
        if isinstance(item, Failure):
            return item
        return replace(item, label=self.labels[index], class_order=self._order(item.class_order))

    def _order(self, order: Tensor | None) -> Tensor | None:
        """How a mirrored view's logits are to be read, for the model's classes."""
        if order is None:
            return None
        made = torch.arange(len(self.classes))
        for here, place in self._label.items():
            there = self._label.get(int(order[here]))
            if there is not None:  # else what it looks like mirrored is no class of the model
                made[place] = there
        return made
