"""A written file must be readable, of the right size and rate, and say what was wrong if not."""

from pathlib import Path

import av
import numpy as np
import pytest
import torch

from whyact.ops.encode import EncodeError, write_video


def read(path: Path) -> tuple[np.ndarray, av.VideoStream]:
    with av.open(str(path)) as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
        return np.stack(frames), container.streams.video[0]


def flat_frames(height: int, width: int) -> torch.Tensor:
    """Five frames, each of one grey level, so that chroma loss cannot change them."""
    levels = torch.tensor([20, 60, 100, 140, 180], dtype=torch.uint8)
    return levels.view(5, 1, 1, 1).expand(5, height, width, 3)


@pytest.mark.parametrize("channels_first", [False, True])
def test_round_trip(tmp_path: Path, channels_first: bool) -> None:
    frames = flat_frames(32, 48)
    given = frames.permute(3, 0, 1, 2) if channels_first else frames
    path = write_video(tmp_path / "new" / "a.mp4", given, 12.5)
    decoded, stream = read(path)
    assert decoded.shape == (5, 32, 48, 3)
    assert np.abs(decoded.astype(int) - frames.numpy().astype(int)).max() <= 3
    assert float(stream.average_rate) == 12.5
    assert stream.codec_context.name == "h264"
    assert stream.codec_context.pix_fmt == "yuv420p"


def test_odd_sides_are_padded_to_even(tmp_path: Path) -> None:
    decoded, _ = read(write_video(tmp_path / "a.mp4", flat_frames(33, 47), 10))
    assert decoded.shape == (5, 34, 48, 3)
    assert abs(int(decoded[2, 33, 47, 0]) - 100) <= 3  # repeats the edge, isn't black


def test_index_stands_before_the_pixels(tmp_path: Path) -> None:
    data = write_video(tmp_path / "a.mp4", flat_frames(32, 32), 10).read_bytes()
    assert 0 < data.find(b"moov") < data.find(b"mdat")


def test_three_frames_three_wide_are_read_as_channels_last(tmp_path: Path) -> None:
    decoded, _ = read(write_video(tmp_path / "a.mp4", np.zeros((3, 16, 16, 3), np.uint8), 10))
    assert decoded.shape == (3, 16, 16, 3)


@pytest.mark.parametrize(
    ("frames", "rate", "name", "codec", "text"),
    [
        (torch.zeros(2, 8, 8, 3), 10, "a.mp4", "h264", "must be uint8"),
        (torch.zeros(2, 8, 8, dtype=torch.uint8), 10, "a.mp4", "h264", r"shape is \(2, 8, 8\)"),
        (torch.zeros(0, 8, 8, 3, dtype=torch.uint8), 10, "a.mp4", "h264", "at least one frame"),
        (flat_frames(16, 16), 0, "a.mp4", "h264", "rate must be above 0"),
        (flat_frames(16, 16), 10, "a.nonsense", "h264", "could not write"),
        (flat_frames(16, 16), 10, "a.mp4", "nonsense", "codec 'nonsense'"),
        (flat_frames(16, 16), 10, "a.mp4", "aac", "does not make video"),
    ],
)
def test_errors_name_the_file_and_the_reason(
    tmp_path: Path, frames: torch.Tensor, rate: float, name: str, codec: str, text: str
) -> None:
    with pytest.raises(EncodeError, match=text) as caught:
        write_video(tmp_path / name, frames, rate, codec)
    assert name in str(caught.value)
