"""Published numbers to print beside a user's own, from the model zoos of the tools themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Reference:
    """One published number.

    Attributes:
        model: its name. measure: ``top1`` or ``map``. value: a share in [0, 1].
    """

    model: str
    measure: str
    value: float


def _top1(**models: float) -> tuple[Reference, ...]:
    return tuple(
        Reference(name, "top1", round(percent / 100, 6)) for name, percent in models.items()
    )


REFERENCES: Mapping[str, tuple[Reference, ...]] = {
    "kinetics400": _top1(**{
        "I3D-R50 8x8": 73.5, "R(2+1)D-34": 75.46, "SlowFast-R50 8x8": 77.0, "UniFormer-B": 82.0,
        "VideoMAE-B": 80.9,
    }),
    "kinetics600": _top1(**{"UniFormer-B": 84.0}),
    "something_v1": _top1(**{"UniFormer-B": 59.1}),
    "something_v2": _top1(**{
        "TSM-R50": 62.72, "MViTv2-S": 68.2, "VideoMAE-B": 70.6, "V-JEPA 2 g-384": 77.3,
    }),
    "ucf101": _top1(**{"C3D": 83.08}),
    "charades": (Reference("SlowFast-R50", "map", 0.389),),
}  # fmt: skip
"""By ``data.type``; on the validation lists of Kinetics and Something-Something, else on test."""

_SPLIT = {"ucf101": "test", "charades": "test"}


def references(kind: str, split: str) -> tuple[Reference, ...]:
    """The numbers published for a split of a set; empty where there are none."""
    return REFERENCES.get(kind, ()) if split == _SPLIT.get(kind, "validation") else ()
