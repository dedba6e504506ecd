"""A confusion matrix as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

NAMED = 60
"""Up to this many classes, the axes carry their names."""


def draw_confusion(file: Path, matrix: Tensor, classes: Sequence[str]) -> Path:
    """Draw counts as shares of the true class.

    Args:
        file: PNG to write. matrix: (Y, Y) counts, rows are true classes. classes: Y names.
    """
    shares = matrix.double() / matrix.sum(1, keepdim=True).clamp(min=1)
    count = len(classes)
    side = min(20.0, 4 + 0.22 * count) if count <= NAMED else 10.0
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(torch.as_tensor(shares).numpy(), vmin=0, vmax=1, cmap="Blues")
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if count <= NAMED:
        axes.set_xticks(range(count), classes, rotation=90, parse_math=False)
        axes.set_yticks(range(count), classes, parse_math=False)
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    figure.savefig(file, dpi=110)
    return file
