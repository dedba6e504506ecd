"""The colours of a data set, for normalisation."""

from __future__ import annotations

import numpy as np
import torch

from whyact.data.protocol import ClipDataset
from whyact.types import Clip, WhyactError

Channels = tuple[float, float, float]


def channel_statistics(dataset: ClipDataset, *, clips: int = 256) -> tuple[Channels, Channels]:
    """Mean and standard deviation of red, green and blue in [0, 1] over all pixels.

    Args:
        dataset: training clips.
        clips: how many are read, evenly spread over the set; unreadable ones are left out.

    Raises:
        WhyactError: none of them could be read, or all pixels have the same colour.
    """
    chosen = np.unique(np.linspace(0, len(dataset) - 1, min(clips, len(dataset))).astype(int))
    total, squares, count = torch.zeros(3).double(), torch.zeros(3).double(), 0
    for index in chosen.tolist():
        clip = dataset[(index, 0)]
        if isinstance(clip, Clip):
            pixels = clip.video.flatten(1).double() / 255
            total += pixels.sum(1)
            squares += pixels.square().sum(1)
            count += pixels.shape[1]
    if count == 0:
        raise WhyactError("data.transform.normalize is measured, but no clip could be read.")
    mean = total / count
    std = (squares / count - mean.square()).clamp_min(0).sqrt()
    if bool((std < 1e-3).any()):
        raise WhyactError(
            f"The clips have no contrast (standard deviations {std.tolist()}), so colours can't be "
            "normalised by it; set data.transform.normalize to backbone."
        )
    m, s = mean.tolist(), std.tolist()
    return (m[0], m[1], m[2]), (s[0], s[1], s[2])
