"""Test protocols by name: clips and crops of a video that are scored, and their pooling."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from whyact.types import WhyactError

CROPS = (1, 3, 10)


@dataclass(frozen=True)
class Views:
    """A test protocol.

    Attributes:
        clips: in time. crops: in space; 1 is the centre, 3 lie along the longer side, 10 are
            corners and centre with their flips.
        pooling: of the views' logits: ``mean`` or ``max``.
    """

    clips: int
    crops: int
    pooling: str = "mean"

    def __str__(self) -> str:
        return f"{self.clips}x{self.crops}" + ("-max" if self.pooling == "max" else "")

    @property
    def count(self) -> int:
        """Views of a video."""
        return self.clips * self.crops


PROTOCOLS: Mapping[str, Views] = {
    "kinetics-cnn": Views(10, 3),
    "kinetics-transformer-4x1": Views(4, 1),
    "kinetics-transformer-5x1": Views(5, 1),
    "kinetics-transformer-5x3": Views(5, 3),
    "tsn": Views(25, 10),
    "something-1x1": Views(1, 1),
    "something-1x3": Views(1, 3),
    "something-2x3": Views(2, 3),
    "ucf101": Views(10, 1),
    "charades": Views(10, 3, "max"),
}
"""What the published numbers of each set were measured with."""


def views_of(protocol: str) -> Views:
    """The protocol of a name, or of ``CLIPSxCROPS`` with ``-max`` for the maximum over views.

    Raises:
        WhyactError: an unknown name, or numbers that are not offered.
    """
    if protocol in PROTOCOLS:
        return PROTOCOLS[protocol]
    found = re.fullmatch(r"(\d+)x(\d+)(-max)?", protocol)
    if not found:
        raise WhyactError(
            f"data.protocol is '{protocol}'; write CLIPSxCROPS, such as 10x3, with -max for the "
            f"maximum over views, or choose from {', '.join(PROTOCOLS)}."
        )
    clips, crops = int(found[1]), int(found[2])
    if clips < 1 or crops not in CROPS:
        raise WhyactError(
            f"data.protocol is '{protocol}'; expected at least 1 clip, and crops from "
            f"{list(CROPS)}."
        )
    return Views(clips, crops, "max" if found[3] else "mean")
