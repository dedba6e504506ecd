"""Finding clips, and one pipeline for evaluation and prediction."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from tests.tasks.tiny import tiny_config

from whyact.data.builders import listed_clips
from whyact.data.listing import Listing, Record
from whyact.ops.encode import write_video
from whyact.tasks.inputs import clips_of, find_clips
from whyact.training.predictions import predict_dataset
from whyact.types import Clip, WhyactError


def video(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 255, (6, 32, 48, 3), generator=generator, dtype=torch.uint8)
    return write_video(path, frames, 10)


def frames(folder: Path) -> None:
    folder.mkdir(parents=True)
    for i in range(3):
        Image.new("RGB", (32, 32), (80 * i, 0, 0)).save(folder / f"{i:05d}.jpg")


def test_a_folder_means_the_videos_and_frame_folders_in_it(tmp_path: Path) -> None:
    video(tmp_path / "a" / "one.mp4")
    video(tmp_path / "a" / "two.mp4")
    Image.new("RGB", (8, 8)).save(tmp_path / "a" / "poster.jpg")
    frames(tmp_path / "b" / "three")
    (tmp_path / "b" / "notes.txt").write_text("no clip")
    expected = [tmp_path / "a" / "one.mp4", tmp_path / "a" / "two.mp4", tmp_path / "b" / "three"]
    assert find_clips([str(tmp_path)]) == expected
    assert find_clips([f"{tmp_path}/*"]) == expected
    assert find_clips([f"{tmp_path}/**/*.mp4", str(tmp_path / "a")]) == expected[:2]
    assert find_clips([str(tmp_path / "b" / "notes.txt")]) == [tmp_path / "b" / "notes.txt"]


def test_nothing_found_names_what_was_given(tmp_path: Path) -> None:
    with pytest.raises(WhyactError, match=r"nowhere.*: no video found there"):
        find_clips([str(tmp_path / "nowhere*")])


def test_files_are_read_as_evaluation_reads_them(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, tmp_path).data
    config.protocol = "2x3"
    path = video(tmp_path / "left" / "x.mp4")
    ours = clips_of(config, [path], ("left", "right"))
    theirs = listed_clips(config, Listing(("left", "right"), (Record(path, "x", 0, "x"),)))
    assert ours.views == theirs.views == 6
    for view in range(6):
        a, b = ours[(0, view)], theirs[(0, view)]
        assert isinstance(a, Clip) and isinstance(b, Clip) and torch.equal(a.video, b.video)


class Side(torch.nn.Module):
    """Says "left" with the mean brightness of the left half, "right" with that of the right."""

    def forward(self, clips: torch.Tensor):
        width = clips.shape[-1] // 2
        halves = clips[..., :width].mean((1, 2, 3, 4)), clips[..., width:].mean((1, 2, 3, 4))
        return type("Output", (), {"logits": torch.stack(halves, 1)})


def test_a_mirrored_crop_speaks_of_the_other_side(tmp_path: Path) -> None:
    """Averaged as they come, five crops and their five mirror images would always tie."""
    (tmp_path / "x").mkdir()
    for i in range(4):
        picture = Image.new("RGB", (40, 40))
        picture.paste((255, 255, 255), (0, 0, 20, 40))
        picture.save(tmp_path / "x" / f"{i:05d}.png")
    config = tiny_config(tmp_path, tmp_path).data
    config.protocol = "1x10"
    clips = clips_of(config, [tmp_path / "x"], ("left", "right"))
    assert clips.views == 10
    found = predict_dataset(Side(), clips, device=torch.device("cpu"))
    left, right = found.logits[0].tolist()
    assert left > right + 0.5
