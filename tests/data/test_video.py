"""Frames come out exact to the frame, or with an error that names file and reason."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import torch
from media import STEP, decode_all, picture, write_audio, write_video
from PIL import Image

from whyact.data import probing, pyav_backend, torchcodec_backend, video
from whyact.data.video import VideoError, decoder_version, indices_at, probe, read_frames
from whyact.types import WhyactError

SPARSE = {"x264-params": "keyint=250:scenecut=0:bframes=3"}
FORMATS = {
    "h264.mp4": {"codec": "libx264", "options": {"x264-params": "keyint=10:bframes=2"}},
    "sparse.mkv": {"codec": "libx264", "options": SPARSE},
    "open_gop.mp4": {
        "codec": "libx264",
        "options": {"x264-params": "keyint=12:open-gop=1:bframes=3:scenecut=0"},
    },
    "stream.ts": {"codec": "libx264", "options": SPARSE},
    "mpeg4.avi": {"codec": "mpeg4"},
    "bframes.avi": {"codec": "mpeg4", "options": {"bf": "2", "g": "12"}},
    "mjpeg.avi": {"codec": "mjpeg", "pixels": "yuvj420p"},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"g": "8", "auto-alt-ref": "1"}},
    "vp8.webm": {"codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "16"}},
    "grey.mkv": {"codec": "ffv1", "pixels": "gray"},
    "alpha.mov": {"codec": "qtrle", "pixels": "argb"},
    "odd.mkv": {"codec": "ffv1", "size": (45, 31), "pixels": "yuv444p"},
    "mpeg1.mpg": {"codec": "mpeg1video"},
}
WANTED = [31, 3, 17, 3, 39, 0]


@pytest.mark.parametrize("name", FORMATS)
def test_frames_equal_those_of_a_full_decode(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / name, **FORMATS[name])
    everything = decode_all(path)
    assert len(everything) == 40  # so that an index means the picture of that number
    frames, times = read_frames(path, WANTED)
    width, height = FORMATS[name].get("size", (48, 32))
    assert frames.shape == (3, len(WANTED), height, width) and frames.dtype == torch.uint8
    assert np.array_equal(frames.permute(1, 2, 3, 0).numpy(), everything[WANTED])
    torch.testing.assert_close(
        times, torch.tensor(WANTED, dtype=torch.float64) / 25, atol=1e-3, rtol=0
    )


@pytest.mark.parametrize("name", ["h264.mp4", "open_gop.mp4", "bframes.avi", "vp9.webm"])
def test_every_single_frame_can_be_read_alone(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / name, **FORMATS[name])
    for i in range(40):
        red = read_frames(path, [i])[0][0, 0, 16:, 20:].float().mean()
        assert abs(red - (20 + STEP * i)) < STEP / 2


def test_only_what_is_needed_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(
        tmp_path / "keys.mp4", frames=40, options={"x264-params": "keyint=10:scenecut=0:bframes=0"}
    )
    info, decoded = probe(path), []
    original = video.decode

    def counted(*arguments):
        for frame in original(*arguments):
            decoded.append(round(float(frame.pts * frame.time_base) * 25))
            yield frame

    monkeypatch.setattr(video, "decode", counted)
    assert info.keyframes.tolist() == [0, 10, 20, 30]
    read_frames(path, [12, 14])
    assert decoded == [10, 11, 12, 13, 14]
    decoded.clear()
    read_frames(path, [1, 38])  # far apart: what lies between is skipped
    assert decoded == [0, 1, *range(30, 39)]


@pytest.mark.parametrize("name", ["h264.mp4", "open_gop.mp4", "vp9.webm"])
def test_a_first_read_opens_the_file_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = write_video(tmp_path / name, **FORMATS[name])
    other = write_video(tmp_path / f"other-{name}", **FORMATS[name])
    files, original = [], video.opened
    for module in (video, probing):
        monkeypatch.setattr(module, "opened", lambda p: files.append(Path(p).name) or original(p))
    first = read_frames(path, WANTED)[0]
    assert files == [name]
    assert torch.equal(read_frames(path, WANTED)[0], first)  # opened anew: the first was closed
    assert files == [name, name]
    probe(other)
    assert torch.equal(read_frames(path, WANTED)[0], first)  # another film is left open
    assert torch.equal(read_frames(other, WANTED)[0], first)
    assert files == [name, name, other.name, name]


def test_a_film_left_open_is_not_read_after_it_was_replaced(tmp_path: Path) -> None:
    path, other = write_video(tmp_path / "a.mp4", frames=12), tmp_path / "b.mp4"
    write_video(other, frames=40)
    later = read_frames(other, [5])[0]
    probe(path)
    other.replace(path)
    assert torch.equal(read_frames(path, [5])[0], later) and probe(path).frames == 40


def test_a_forked_process_opens_the_film_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, files, original = write_video(tmp_path / "a.mp4"), [], video.opened
    probe(path)
    for module in (video, probing):
        monkeypatch.setattr(module, "opened", lambda p: files.append(p) or original(p))
    monkeypatch.setattr("whyact.data.pyav_backend.os.getpid", lambda: -1)
    read_frames(path, [5])
    assert len(files) == 1


def test_variable_frame_rate_keeps_its_times(tmp_path: Path) -> None:
    stamps = [0, 40, 80, 500, 540, 2000, 2040, 2080, 2120, 2500]
    path = write_video(tmp_path / "vfr.mkv", frames=10, stamps=stamps)
    info = probe(path)
    np.testing.assert_allclose(info.times * 1000, stamps, atol=1)
    frames, times = read_frames(path, seconds=[0.0, 0.49, 0.51, 1.9, 2.05, 99.0])
    assert indices_at(info, [0.0, 0.49, 0.51, 1.9, 2.05, 99.0]) == [0, 2, 3, 4, 6, 9]
    reds = frames[0, :, 16:, 20:].float().mean((1, 2))
    expected = torch.tensor([20.0 + STEP * i for i in (0, 2, 3, 4, 6, 9)])
    torch.testing.assert_close(reds, expected, atol=2.0, rtol=0)
    torch.testing.assert_close(times[3], torch.tensor(0.54, dtype=torch.float64), atol=1e-3, rtol=0)
    assert info.frames == 10 and info.duration == pytest.approx(2.5 * 10 / 9)
    assert info.rate == pytest.approx(3.6)


def test_times_begin_at_zero_where_the_container_begins_later(tmp_path: Path) -> None:
    path = write_video(tmp_path / "late.mkv", frames=5, stamps=[3000, 3040, 3080, 3120, 3160])
    info = probe(path)
    assert info.start == pytest.approx(3.0, abs=1e-3)
    np.testing.assert_allclose(info.times, np.arange(5) / 25, atol=1e-3)
    assert read_frames(path, [4])[0][0, 0, 20, 30] == pytest.approx(20 + 4 * STEP, abs=2)


@pytest.mark.parametrize(
    ("rotation", "corner"), [(90, "bottom left"), (180, "bottom right"), (270, "top right")]
)
def test_rotation_is_applied(tmp_path: Path, rotation: int, corner: str) -> None:
    # The picture is white at the top left; turned counter-clockwise that goes to ``corner``.
    path = write_video(tmp_path / "turned.mp4", frames=3, rotation=rotation)
    info, (frames, _) = probe(path), read_frames(path, [1])
    height, width = (48, 32) if rotation != 180 else (32, 48)
    assert frames.shape == (3, 1, height, width)
    assert (info.width, info.height, info.rotation) == (width, height, rotation)
    row = 1 if corner.startswith("top") else -2
    column = 1 if corner.endswith("left") else -2
    assert frames[:, 0, row, column].min() > 240
    assert frames[0, 0, -1 - row, -1 - column] < 60


def test_colours_are_right(tmp_path: Path) -> None:
    path = write_video(tmp_path / "c.mp4", frames=3)
    assert (
        torch.tensor(picture(1)[20, 30])
        .int()
        .sub(read_frames(path, [1])[0][:, 0, 20, 30].int())
        .abs()
        .max()
        <= 3
    )


@pytest.mark.parametrize("pattern", ["img_{:05}.jpg", "{:05}.jpg", "frame{}.png"])
def test_frame_folders(tmp_path: Path, pattern: str) -> None:
    for i in range(12):
        Image.fromarray(picture(i)).save(tmp_path / pattern.format(i + 1), quality=95)
    Image.new("L", (8, 8)).save(tmp_path / "flow_x_00001.jpg")
    (tmp_path / "notes.txt").write_text("not a frame")
    frames, times = read_frames(tmp_path, [10, 1])
    assert frames[0, :, 20, 30].tolist() == pytest.approx([20 + 10 * STEP, 20 + STEP], abs=2)
    assert times.tolist() == pytest.approx([10 / 12, 1 / 12])
    assert probe(tmp_path).frames == 12 and probe(tmp_path).codec == "images"


def test_frame_folders_with_damage_name_the_image(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="holds no images"):
        probe(tmp_path)
    Image.new("L", (8, 8)).save(tmp_path / "00001.jpg")
    (tmp_path / "00002.jpg").write_bytes(b"no image")
    Image.new("RGB", (8, 6)).save(tmp_path / "00003.jpg")
    with pytest.raises(VideoError, match=r"00002.jpg: not a readable image"):
        read_frames(tmp_path, [0, 1])
    with pytest.raises(VideoError, match=r"00003.jpg: is 8 x 6 pixels, .* are 8 x 8"):
        read_frames(tmp_path, [0, 2])


def cut(path: Path, share: float) -> Path:
    short = path.with_name(f"cut_{path.name}")
    data = path.read_bytes()
    short.write_bytes(data[: int(len(data) * share)])
    return short


@pytest.mark.parametrize(
    ("name", "container"),
    [
        ("h264.mp4", None),
        ("h264.mp4", {"movflags": "faststart"}),
        ("sparse.mkv", None),
        ("vp9.webm", None),
        ("mpeg4.avi", None),
        ("mjpeg.avi", None),
    ],
)
@pytest.mark.parametrize("share", [0.4, 0.95])
def test_a_truncated_file_is_an_error(
    tmp_path: Path, name: str, container: dict[str, str] | None, share: float
) -> None:
    whole = write_video(tmp_path / name, container=container, **FORMATS[name])
    with pytest.raises(VideoError, match=r"cut_.*(truncated|not a readable video)") as caught:
        probe(cut(whole, share))
    assert caught.value.path.name == f"cut_{name}" and "truncated" in caught.value.reason


def damaged(folder: Path) -> dict[str, tuple[Path, str]]:
    """Files that cannot be read, and what the error says of each."""
    files = {
        "empty": (folder / "empty.mp4", r"the file is empty \(0 bytes\)"),
        "text": (folder / "text.mp4", "not a readable video"),
        "notes": (folder / "notes.txt", "not a readable video|a text, picture or playlist"),
        "missing": (folder / "missing.mp4", "no such file"),
        "audio": (folder / "sound.mp4", r"no video stream in it \(only audio\)"),
        "picture": (folder / "picture.jpg", "a text, picture or playlist"),
        "disguised": (folder / "picture.mp4", "a text, picture or playlist"),
        "noise": (folder / "noise.avi", "not a readable video"),
    }
    files["empty"][0].touch()
    files["text"][0].write_text("This is no video.\n" * 50)
    files["notes"][0].write_text("This is no video.\n" * 50)
    write_audio(files["audio"][0])
    for name in ("picture", "disguised"):
        Image.new("RGB", (32, 32)).save(files[name][0], format="JPEG")
    noise = np.random.default_rng(0).integers(0, 256, 5000, dtype=np.uint8)
    files["noise"][0].write_bytes(noise.tobytes())
    return files


@pytest.mark.parametrize(
    "kind", ["empty", "text", "notes", "missing", "audio", "picture", "disguised", "noise"]
)
def test_what_is_no_video_is_an_error_that_names_file_and_reason(tmp_path: Path, kind: str) -> None:
    path, reason = damaged(tmp_path)[kind]
    with pytest.raises(VideoError, match=reason) as caught:
        read_frames(path, [0])
    assert str(path) in str(caught.value) and isinstance(caught.value, WhyactError)


@pytest.mark.parametrize("name", ["none.mkv", "none.mp4", "none.avi"])
def test_a_container_without_frames_is_an_error(tmp_path: Path, name: str) -> None:
    with av.open(str(tmp_path / name), "w") as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        out.start_encoding()
    with pytest.raises(VideoError, match=rf"{name}: (no frame|no video|not a readable video)"):
        probe(tmp_path / name)


def test_damage_in_the_middle_is_an_error(tmp_path: Path) -> None:
    path = write_video(tmp_path / "hurt.mp4", **FORMATS["h264.mp4"])
    with av.open(str(path)) as opened:
        packets = [(p.pos, p.size) for p in opened.demux(video=0) if p.size and p.pos]
    data = bytearray(path.read_bytes())
    for position, size in packets[8:30]:
        data[position : position + size] = b"\xff" * size
    path.write_bytes(data)
    with pytest.raises(VideoError, match=r"hurt\.mp4: damaged or truncated"):
        read_frames(path, range(40))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_forbidden_file_is_an_error(tmp_path: Path) -> None:
    path = write_video(tmp_path / "mine.mp4", frames=2)
    path.chmod(0)
    with pytest.raises(VideoError, match="permission denied"):
        probe(path)


def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(VideoError, match="neither a file nor a folder"):
        probe(tmp_path / "pipe.mp4")


@pytest.mark.parametrize(
    "name", ["a b.mp4", "quote'\".mp4", "comma,.mp4", "動画 é.mp4", "12:30.mp4"]
)
def test_difficult_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    write_video(tmp_path / "plain.mp4", frames=3).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)  # a relative "12:30.mp4" looks like a protocol to FFmpeg
    assert read_frames(name, [2])[0].shape == (3, 1, 32, 48)


def test_a_song_with_a_cover_is_audio(tmp_path: Path) -> None:
    path = tmp_path / "song.mkv"
    with av.open(str(path), "w") as out:
        cover = out.add_stream("mjpeg", rate=1)
        cover.width = cover.height = 16
        cover.pix_fmt = "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        out.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8))))
        out.mux(cover.encode())
    with av.open(str(path)) as opened:
        flags = opened.streams.video[0].disposition
    if not flags & av.stream.Disposition.attached_pic:
        pytest.skip("this FFmpeg does not store the disposition in Matroska")
    with pytest.raises(VideoError, match="no video stream"):
        probe(path)


def test_indices_outside_the_video_are_named(tmp_path: Path) -> None:
    path = write_video(tmp_path / "short.mp4", frames=3)
    with pytest.raises(WhyactError, match="frame 3 is outside the video, which has frames 0 to 2"):
        read_frames(path, [0, 3])
    with pytest.raises(WhyactError, match="no frame was asked for"):
        read_frames(path, [])
    with pytest.raises(WhyactError, match="either the indices or the seconds"):
        read_frames(path, [0], seconds=[0.0])


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", frames=3)
    assert probe(path).frames == 3
    write_video(path, frames=7)
    assert probe(path).frames == 7


def test_errors_cross_processes() -> None:
    error = pickle.loads(pickle.dumps(VideoError("a b.mp4", "is empty.")))
    assert str(error) == "a b.mp4: is empty." and error.reason == "is empty."


def test_the_decoder_is_named_with_its_version() -> None:
    version = decoder_version()
    assert version.startswith(("PyAV ", "torchcodec ")) and any(c.isdigit() for c in version)
    assert pyav_backend.pyav_version() == f"PyAV {av.__version__} (FFmpeg {av.ffmpeg_version_info})"


@pytest.mark.parametrize("late", [0, 1])
def test_torchcodec_is_used_only_where_it_picks_the_same_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: int
) -> None:
    asked = []

    class VideoDecoder:
        """Stands in for torchcodec's; right, or one frame late."""

        def __init__(self, path: str, *, dimension_order: str, seek_mode: str) -> None:
            assert (dimension_order, seek_mode) == ("NCHW", "exact")
            self.frames = decode_all(Path(path))

        def get_frames_at(self, indices: list[int]) -> SimpleNamespace:
            asked.append(indices)
            picked = self.frames[[i - late for i in indices]]
            return SimpleNamespace(data=torch.from_numpy(picked).permute(0, 3, 1, 2))

    decoders = SimpleNamespace(VideoDecoder=VideoDecoder)
    package = SimpleNamespace(__version__="9.9", decoders=decoders)
    monkeypatch.setitem(sys.modules, "torchcodec", package)
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", decoders)
    torchcodec_backend.agrees_with.cache_clear()
    try:
        assert video.torchcodec_agrees() is (late == 0)
        assert decoder_version().startswith("PyAV" if late else "torchcodec 9.9")
        path = write_video(tmp_path / "v.mp4")
        frames, _ = read_frames(path, [9, 2, 9])
        assert ([2, 9] in asked) is (late == 0)
        assert np.array_equal(frames.permute(1, 2, 3, 0).numpy(), decode_all(path)[[9, 2, 9]])
    finally:
        torchcodec_backend.agrees_with.cache_clear()


def test_real_clips_are_read_whole(shared_data: Path) -> None:
    files = [*sorted(shared_data.glob("clips/*.mp4"))]
    files += sorted(shared_data.glob("ut_interaction_set1/*.avi"))[::6]
    assert files
    for file in files:
        everything = decode_all(file)
        assert probe(file).frames == len(everything)
        wanted = sorted({0, len(everything) // 3, len(everything) // 2, len(everything) - 1})
        frames, times = read_frames(file, wanted)
        assert np.array_equal(frames.permute(1, 2, 3, 0).numpy(), everything[wanted])
        assert times[0] == 0 and (times.diff() > 0).all()
