"""The planted shortcut tells the action, or it does not."""

import pytest
import torch

from whyact.data.backdrop.actions import ACTIONS
from whyact.data.backdrop.watermark import (
    check_watermark,
    stamp,
    watermark_box,
    watermark_code,
    watermark_mask,
)
from whyact.types import WhyactError


def test_a_square_in_the_corner_and_nothing_else() -> None:
    video = torch.randint(0, 255, (3, 2, 32, 32), dtype=torch.uint8)
    made = stamp(video, 3)
    mask = watermark_mask((2, 32, 32))
    assert mask[0].sum() == 16 and mask[:, :4, :4].all()
    assert torch.equal(made[:, ~mask], video[:, ~mask])
    assert made[:, mask].unique(dim=1).shape == (3, 1)  # one colour
    rows, columns = watermark_box(64)
    assert (rows.stop, columns.stop) == (8, 8)


def test_every_action_has_its_own_colour() -> None:
    video = torch.zeros(3, 1, 16, 16, dtype=torch.uint8)
    colors = {tuple(stamp(video, k)[:, 0, 0, 0].tolist()) for k in range(len(ACTIONS))}
    assert len(colors) == len(ACTIONS)


def test_class_tells_and_random_does_not() -> None:
    assert watermark_code("class", label=7, index=3) == 7
    drawn = [watermark_code("random", label=7, index=i) for i in range(300)]
    assert len(set(drawn)) == len(ACTIONS)
    assert drawn == [watermark_code("random", label=1, index=i) for i in range(300)]
    with pytest.raises(WhyactError, match="no watermark 'logo'"):
        check_watermark("logo")
