"""The plate must be the background that was drawn."""

import itertools
import math

import pytest
import torch
from tests.ops.scenes import panned
from tests.ops.test_camera import PATH

from whyact.ops.plate import _median, _sorting_network, background_plate, pull_push


@pytest.mark.parametrize("size", range(1, 9))
def test_network_sorts(size: int) -> None:
    # A network that sorts all sequences of zeros and ones sorts everything (Knuth's 0-1 principle).
    for values in itertools.product([0, 1], repeat=size):
        row = list(values)
        for low, up in _sorting_network(size):
            row[low], row[up] = min(row[low], row[up]), max(row[low], row[up])
        assert row == sorted(values)


def test_median_of_what_is_seen() -> None:
    layers = torch.tensor([5.0, 1.0, 9.0, 3.0, 7.0]).view(1, 5, 1, 1, 1)
    cases = {
        (1, 1, 1, 1, 1): 5.0,
        (1, 1, 1, 0, 0): 5.0,
        (0, 1, 1, 1, 0): 3.0,
        (0, 0, 1, 0, 0): 9.0,
        (0, 0, 0, 1, 1): 7.0,
    }
    for seen, expected in cases.items():
        found = _median(layers, torch.tensor(seen).bool().view(1, 5, 1, 1, 1))
        assert found.item() == expected, seen
    assert not _median(layers, torch.zeros(1, 5, 1, 1, 1).bool()).isfinite().any()


@pytest.mark.parametrize("frames", [1, 2, 4, 5, 8])
def test_median_against_sorting(frames: int) -> None:
    """Of every choice of seen frames, an even number of frames too: the upper one of two."""
    values = torch.randn(frames, generator=torch.Generator().manual_seed(frames))
    for seen in itertools.product([False, True], repeat=frames):
        kept = sorted(values[torch.tensor(seen)].tolist())
        found = _median(
            values.view(1, -1, 1, 1, 1), torch.tensor(seen).view(1, frames, 1, 1, 1)
        ).item()
        assert found == kept[len(kept) // 2] if kept else not math.isfinite(found), seen


def test_plate_removes_a_moving_actor() -> None:
    video, behind, _ = panned(PATH, actor=10)
    plate = background_plate(video)
    assert (plate - behind).abs().mean() < 0.01
    # Most frames see the middle of the middle frame; a border that one frame saw keeps what it saw.
    assert (plate - behind)[:, :, 4, 10:-10, 10:-10].abs().max() < 0.05


def test_mask_removes_an_actor_who_stands_still() -> None:
    video, behind, _ = panned([(0, 0)] * 6)
    mask = torch.zeros(1, 6, 48, 48)
    mask[..., 20:26, 20:26] = 1
    covered = torch.where(mask[:, None] > 0, torch.ones(()), video)
    left_in = background_plate(covered)[..., 20:26, 20:26]
    taken_out = background_plate(covered, mask)[..., 20:26, 20:26]
    assert left_in.min() > 0.9
    assert (taken_out - behind[..., 20:26, 20:26]).abs().mean() < 0.1


def test_chunks_change_nothing() -> None:
    clips = torch.cat([panned(PATH, seed=s, actor=8)[0] for s in range(3)])
    many = clips.repeat(10, 1, 1, 1, 1)
    assert torch.allclose(background_plate(many)[:3], background_plate(clips), atol=1e-4)


def test_pull_push_fills_from_around() -> None:
    image = torch.full((1, 1, 9, 7), 0.3)
    known = torch.ones(1, 1, 9, 7).bool()
    known[..., 2:6, 2:5] = False
    image[..., 2:6, 2:5] = 77.0
    assert torch.allclose(pull_push(image, known), torch.tensor(0.3))
    image = torch.rand(1, 2, 8, 8)
    assert torch.equal(pull_push(image, torch.ones(1, 1, 8, 8).bool()), image)
