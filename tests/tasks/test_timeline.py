"""A timeline of a film whose every frame is known, by a model that sees brightness alone."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.toys import toy_output
from torch import Tensor

from whyact.cli import main
from whyact.config import Config
from whyact.models.recognizer import VideoModel
from whyact.nn.backbone import BlindBackbone
from whyact.ops.encode import write_video
from whyact.tasks import timeline as task
from whyact.training.checkpoint import LoadedModel

CLASSES = ("bright", "dark", "neither")


class _Brightness(VideoModel):
    """A bright frame has the logits (9, 0, 0), a dark one (0, 9, 0)."""

    def __init__(self) -> None:
        super().__init__(backbone=BlindBackbone(width=4))

    def encode(self, video: Tensor) -> tuple[Tensor, tuple[int, int]]:
        return video.mean((1, 3, 4))[..., None, None], (2, 2)

    def decode(self, tokens, grid, specification=None, boxes=None):  # type: ignore[no-untyped-def]
        bright = (tokens[:, :, :, 0] > 0.5).float()
        logits = 9 * torch.stack([bright, 1 - bright, 0 * bright], -1)
        return toy_output(
            1, frames=logits.shape[1], regions=1, bias=torch.zeros(3),
            contributions=logits / logits.shape[1],
        )  # fmt: skip


@pytest.fixture
def film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four seconds at 8 frames a second; frames 6 to 17 are bright. Windows are of one second."""
    video = np.zeros((32, 32, 32, 3), dtype=np.uint8)
    video[6:18] = 255
    write_video(tmp_path / "film.mp4", video, 8.0)
    config = Config()
    config.data.clip.frames, config.data.transform.size = 8, 32
    loaded = LoadedModel(_Brightness().eval(), config, CLASSES, (), tmp_path)
    monkeypatch.setattr(task, "load_model", lambda *_: loaded)
    return tmp_path / "film.mp4"


def test_an_interval_that_crosses_windows_is_one(film: Path) -> None:
    made = task.timeline("", film, CLASSES, window=1.0, output=film.parent)
    (bright,) = made.intervals["bright"]
    # Evidence is 6 in bright frames; half of its logarithm is reached one frame before and after.
    assert (bright.start, bright.stop) == (5 / 8, 19 / 8)
    # Frame 8 is seen by windows of 6 and of 8 bright frames.
    both = torch.tensor([[6.75, 2.25, 0], [9, 0, 0]]).softmax(-1)[:, 0].mean()
    assert bright.score == pytest.approx(float(both), abs=1e-4)
    # Outside it, evidence for the bright frames' action is -3, which does not lower the bar.
    assert [(i.start, i.stop) for i in made.intervals["dark"]] == [(0, 7 / 8), (17 / 8, 4)]
    assert made.intervals["neither"] == []


def test_no_interval_ends_after_the_film(film: Path) -> None:
    """31 frames at 8 a second are 3.875 s, and 33 steps of 0.95 / 8 s are 3.919 s."""
    video = np.zeros((31, 32, 32, 3), dtype=np.uint8)
    video[20:] = 255
    write_video(film, video, 8.0)
    made = task.timeline("", film, ["bright"], window=0.95, output=film.parent)
    assert made.intervals["bright"][-1].stop <= 31 / 8


def test_bars_and_least_scores_are_heeded(film: Path) -> None:
    options = {"window": 1.0, "output": film.parent}
    high = task.timeline("", film, ["bright"], threshold=5.0, **options).intervals["bright"]
    # Smoothed it is 3 in the first and the last bright frame, of one piece with the 6 between.
    assert [(i.start, i.stop) for i in high] == [(6 / 8, 18 / 8)]
    # It is 0 one frame before and after, and -3 elsewhere.
    low = task.timeline("", film, ["bright"], threshold=-0.5, **options)
    assert [(i.start, i.stop) for i in low.intervals["bright"]] == [(5 / 8, 19 / 8)]
    assert "counts as 0" not in low.page.read_text()
    (zero,) = task.timeline("", film, ["bright"], threshold=0.0, **options).intervals["bright"]
    assert 5 / 8 <= zero.start <= 6 / 8 and 18 / 8 <= zero.stop <= 19 / 8
    assert task.timeline("", film, ["bright"], threshold=6.5, **options).intervals["bright"] == []
    all_ = task.timeline("", film, ["neither"], least_score=0.0, **options).intervals["neither"]
    assert [(i.start, i.stop) for i in all_] == [(0, 4)]


def test_the_page_says_what_is_drawn(film: Path) -> None:
    text = task.timeline("", film, CLASSES, window=1.0, output=film.parent).page.read_text()
    assert "evidence (logits)" in text and "less the mean over all actions" in text
    assert "counts as 0 where anything speaks for it" in text
    assert "less than 50% are left out" in text and "0:00.6 – 0:02.4 (99%)" in text
    assert "not found; its probability is nowhere above 0%" in text
    assert text.count("data:image/jpeg") == 3


def test_videos_of_one_name_have_pages_of_their_own(film: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / film.name
    other.parent.mkdir()
    shutil.copy(film, other)
    out = tmp_path / "out"
    words = ["explain", "runs/x", str(film), str(other), "--timeline", "--action", "bright"]
    assert main([*words, "--window", "1", "--output", str(out)]) == 0
    assert sorted(p.name for p in out.glob("*.html")) == [
        "film-2-timeline.html", "film-timeline.html"
    ]  # fmt: skip
