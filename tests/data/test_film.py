"""Films in memory: the same frames as from a file, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.data.media import write_video
from torch import Tensor

from whyact.data.film import Limits, read_film
from whyact.data.video import read_frames
from whyact.types import WhyactError


def whole(frames: Tensor) -> Tensor:
    return frames


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.mov", "libx264"), ("a.mkv", "mpeg4"), ("a.webm", "libvpx-vp9"),
     ("a.avi", "mpeg4")],
)  # fmt: skip
def test_frames_and_times_are_those_of_the_file(tmp_path: Path, name: str, codec: str) -> None:
    path = write_video(tmp_path / name, codec=codec)
    film = read_film(path.read_bytes(), name, whole, Limits())
    video, times = read_frames(path, range(40))
    assert film.name == name and film.seconds == pytest.approx(39 / 25)
    assert torch.equal(film.frames, video)
    assert torch.allclose(film.times, times, atol=1e-3)


def test_turned_films_and_uneven_times(tmp_path: Path) -> None:
    stamps = [0, 40, 400, 1000]
    path = write_video(tmp_path / "a.mp4", frames=4, stamps=stamps, rotation=90)
    film = read_film(path.read_bytes(), "a", whole, Limits())
    assert torch.equal(film.frames, read_frames(path, range(4))[0])
    assert film.frames.shape == (3, 4, 48, 32)
    assert film.times.tolist() == pytest.approx([s / 1000 for s in stamps])


def test_frames_are_made_small_as_they_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whyact.data.film._FULL_SIZE", 15 * 48 * 32 + 1)
    seen: list[int] = []

    def half(frames: Tensor) -> Tensor:
        seen.append(frames.shape[1])
        return frames[:, :, ::2, ::2]

    path = write_video(tmp_path / "a.mp4")
    film = read_film(path.read_bytes(), "a", half, Limits())
    assert film.frames.shape == (3, 40, 16, 24) and seen == [16, 16, 8]


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        (Limits(megabytes=1e-4), "a: 0 MB; at most 0.0001 MB"),
        (Limits(seconds=0.5), "a: 2 s long; at most"),
        (Limits(seconds=1.5), "a: more than 1.5 s"),  # the header may round by a second
        (Limits(frames=39), "a: more than 39 frames"),
        (Limits(side=47), "a: 48 x 32 pixels"),
        (Limits(patience=-1), "a: decoding took more than"),
    ],
)
def test_every_limit_holds(tmp_path: Path, limits: Limits, text: str) -> None:
    data = write_video(tmp_path / "a.mp4").read_bytes()
    with pytest.raises(WhyactError, match=text):
        read_film(data, "a", whole, limits)


def test_a_header_that_lies_of_the_size_is_found_out(tmp_path: Path) -> None:
    """The frames are 480 wide whatever the container says: the decoder itself refuses them."""
    data = write_video(tmp_path / "a.avi", codec="mjpeg", pixels="yuvj420p", frames=2).read_bytes()
    large = write_video(
        tmp_path / "b.avi", codec="mjpeg", pixels="yuvj420p", frames=2, size=(480, 320)
    ).read_bytes()
    head = large.index(b"strf") + 12
    small = data.index(b"strf") + 12
    lying = large[:head] + data[small : small + 8] + large[head + 8 :]
    with pytest.raises(WhyactError, match="a: "):
        read_film(lying, "a", whole, Limits(side=100))
