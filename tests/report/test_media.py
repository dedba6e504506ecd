"""Pictures and arrays as text: there and back."""

import base64

import numpy as np
import pytest
import torch

from whyact.report.media import frames_of_sprite, jpeg_uri, pack, sprite, unpack
from whyact.types import WhyactError


def test_frames_come_back_in_their_order() -> None:
    grey = np.arange(5, dtype=np.uint8) * 50
    frames = np.broadcast_to(grey[:, None, None, None], (5, 16, 24, 3)).copy()
    made = sprite(frames)
    assert (made["count"], made["columns"], made["width"], made["height"]) == (5, 3, 24, 16)
    back = frames_of_sprite(made)
    assert back.shape == frames.shape
    assert np.abs(back.astype(int) - frames).max() <= 3


def test_a_picture_that_does_not_fit() -> None:
    made = sprite(np.zeros((2, 8, 8, 3), np.uint8))
    with pytest.raises(WhyactError, match="2 x 1 frames of 9 x 8 pixels, got 16 x 8"):
        frames_of_sprite(made | {"width": 9})
    with pytest.raises(WhyactError, match="no JPEG picture"):
        frames_of_sprite(made | {"uri": "data:image/jpeg;base64,AAAA"})
    assert jpeg_uri(np.zeros((8, 8, 3), np.uint8)).startswith("data:image/jpeg;base64,/9j/")


def test_numbers_as_bytes() -> None:
    made = pack(torch.tensor([[0.0, 1.0], [2.0, 4.0]]))
    assert list(base64.b64decode(made["data"])) == [0, 64, 128, 255] and made["top"] == 4
    assert torch.allclose(unpack(made), torch.tensor([[0.0, 1.0], [2.0, 4.0]]), atol=4 / 510)
    assert unpack(pack(torch.zeros(2, 3))).tolist() == [[0.0] * 3] * 2
    assert unpack(pack(torch.empty(0, 4))).shape == (0, 4)
    with pytest.raises(WhyactError, match=r"Expected 4 bytes for the shape \[4\], got 6"):
        unpack(pack(torch.ones(6)) | {"shape": [4]})
