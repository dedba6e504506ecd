"""Motion fields by hand, and of a square that moves by a known step."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torchvision.models.optical_flow import raft_small

from whyact.ops.motion_field import (
    flow_field,
    frame_changes,
    mirror_flow,
    opencv_flow,
    raft_flow,
    to_bytes,
)
from whyact.types import WhyactError


def sliding(step: int, frames: int = 3, size: int = 48) -> Tensor:
    """A textured square that moves right by ``step`` pixels a frame."""
    texture = torch.randint(0, 255, (3, 20, 20), generator=torch.Generator().manual_seed(0))
    texture = torch.nn.functional.avg_pool2d(texture.float(), 3, 1, 1).byte()
    video = torch.full((3, frames, size, size), 90, dtype=torch.uint8)
    for t in range(frames):
        video[:, t, 14:34, 8 + step * t : 28 + step * t] = texture
    return video


def test_changes_by_hand() -> None:
    video = torch.zeros(3, 3, 1, 1)
    video[:, 1] = 1.0
    found = frame_changes(video)
    assert found.shape == (2, 3, 1, 1)
    assert found[0].flatten().tolist() == pytest.approx([0.5, 1.0, 0.0])  # since the frame before
    assert found[1].flatten().tolist() == pytest.approx([1.0, 0.0, 0.5])  # to the frame after
    batch = torch.rand(4, 3, 5, 6, 7)
    assert torch.allclose(frame_changes(batch)[2], frame_changes(batch[2]))


def test_mirrored_twice_is_nothing() -> None:
    field = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8)
    once = mirror_flow(field)
    assert torch.equal(mirror_flow(once), field)
    assert int(once[0, 0, 0, 0]) == 255 - int(field[0, 0, 0, 4])
    assert torch.equal(once[1], field[1].flip(-1))


@pytest.mark.parametrize("method", ["farneback", "dis"])
def test_opencv_finds_the_step(method: str) -> None:
    pytest.importorskip("cv2")
    flow = opencv_flow(method)
    moved = flow(sliding(2))
    assert moved.shape == (2, 2, 48, 48)
    inside = moved[:, 0, 20:28, 14:22]
    assert inside[0].median() == pytest.approx(2, abs=0.4)
    assert inside[1].median() == pytest.approx(0, abs=0.3)
    field = flow_field(sliding(2), flow, bound=4.0)
    assert field.dtype == torch.uint8 and field.shape == (2, 3, 48, 48)
    assert torch.equal(field[:, 2], field[:, 1])
    assert abs(int(field[0, 0, 24, 18]) - 191) < 15  # half of the bound to the right
    mirrored = flow_field(sliding(2).flip(-1), flow, bound=4.0)
    gap = (mirrored.float() - mirror_flow(field).float()).abs()
    assert gap[:, 0, 18:30, 22:34].median() <= 6


def test_a_single_frame_rests() -> None:
    assert (flow_field(sliding(1, frames=1), lambda v: v, 1.0) == 128).all()
    assert to_bytes(torch.tensor([-2.0, -1, 0, 1, 2])).tolist() == [0, 0, 128, 255, 255]


def test_raft_reads_weights_from_a_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save(raft_small(weights=None).state_dict(), tmp_path / "raft.pt")
    moved = raft_flow(str(tmp_path / "raft.pt"))(sliding(2, frames=2))
    assert moved.shape == (2, 1, 48, 48) and moved.isfinite().all()
    with pytest.raises(WhyactError, match=r"data\.motion\.weights: 'nowhere' is no file"):
        raft_flow("nowhere")
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(WhyactError, match=r"other\.pt: not the weights of torchvision's raft"):
        raft_flow(str(tmp_path / "other.pt"))
