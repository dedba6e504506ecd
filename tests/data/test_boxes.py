"""The table of boxes: rows, slots, nearest frames, and what crops do to a box."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tests.data.media import write_video
from torch import Tensor

from whyact.data.boxes import BoxTable, linked, through
from whyact.data.listing import Listing, Record
from whyact.data.transforms import TestTransform, TrainTransform
from whyact.data.video_dataset import VideoDataset
from whyact.types import Clip, Failure, WhyactError

HEAD = "video,frame,x0,y0,x1,y1,class,score\n"


def table(path: Path, *rows: str, head: str = HEAD, **given: float) -> BoxTable:
    path.write_text(head + "\n".join(rows) + "\n")
    return BoxTable(path=path, **given)  # type: ignore[arg-type]


def assert_close(found: Tensor, expected: list) -> None:
    torch.testing.assert_close(found, torch.tensor(expected), equal_nan=True, atol=1e-6, rtol=0)


def test_a_box_through_a_window_and_a_mirror() -> None:
    box = torch.tensor([0.25, 0.5, 0.5, 1.0, 3.0])
    # The window is the left half and the lower three quarters.
    assert_close(through(box, (0, 0.25, 0.5, 1)), [0.5, 1 / 3, 1.0, 1.0, 3.0])
    assert_close(through(box, (0.5, 0.25, 0, 1)), [0.0, 1 / 3, 0.5, 1.0, 3.0])
    assert_close(through(box, (0.375, 0, 1, 1)), [0.0, 0.5, 0.2, 1.0, 3.0])
    assert through(box, (0.5, 0, 1, 1)).isnan().all()  # touches it only
    assert through(torch.full((5,), torch.nan), (0, 0, 1, 1)).isnan().all()


def lit(video: Tensor) -> list[float]:
    """Left, top, right, bottom of what is bright in a picture, in shares of it."""
    bright = video[0, 0] > 127
    rows, columns = bright.any(1).nonzero(), bright.any(0).nonzero()
    h, w = bright.shape
    return [float(v) for v in (columns[0] / w, rows[0] / h, (columns[-1] + 1) / w,
                               (rows[-1] + 1) / h)]  # fmt: skip


def white(h: int, w: int, box: list[float]) -> tuple[Tensor, Tensor]:
    """A clip of one frame, white in the box and black elsewhere; and the box."""
    video = torch.zeros(3, 1, h, w, dtype=torch.uint8)
    x0, y0, x1, y1 = box
    video[..., round(y0 * h) : round(y1 * h), round(x0 * w) : round(x1 * w)] = 255
    return video, torch.tensor([[[*box, 0.0]]])


@pytest.mark.parametrize("crop", ["random_resized", "random", "center"])
def test_a_box_stays_on_its_pixels_in_training(crop: str) -> None:
    transform = TrainTransform(short_side=120, size=100, crop=crop, min_area=0.3, color_jitter=0.0)
    for seed in range(6):
        video, boxes = white(80, 120, [0.25, 0.25, 0.75, 0.875])
        made, _, _, _, moved = transform.geometry(
            video, None, None, 0, np.random.default_rng(seed), boxes
        )
        assert moved is not None
        assert moved[0, 0, :4].tolist() == pytest.approx(lit(made), abs=0.03)


def test_a_crop_and_a_flip_by_hand() -> None:
    # 40 x 80 is scaled to 20 x 40; of 40 columns the middle 20, 10 to 30, are kept, and mirrored.
    transform = TrainTransform(short_side=20, size=20, crop="center", flip=1.0, color_jitter=0.0)
    video, boxes = white(40, 80, [0.5, 0.25, 0.625, 1.0])  # columns 20 to 25 of 40
    made, _, _, _, moved = transform.geometry(video, None, None, 0, np.random.default_rng(0), boxes)
    assert moved is not None
    assert_close(moved, [[[0.25, 0.25, 0.5, 1.0, 0.0]]])
    assert lit(made) == pytest.approx([0.25, 0.25, 0.5, 1.0], abs=0.051)


@pytest.mark.parametrize(("crops", "stretch"), [(1, False), (3, False), (10, False), (1, True)])
def test_a_box_stays_on_its_pixels_in_every_test_view(crops: int, stretch: bool) -> None:
    transform = TestTransform(short_side=50, size=40 if not stretch else 50, crops=crops,
                              stretch=stretch)  # fmt: skip
    video, boxes = white(100, 160, [0.25, 0.25, 0.75, 0.75])
    for crop in range(crops):
        made, _ = transform(video, None, crop=crop)
        moved = transform.boxes(boxes, 100, 160, crop)
        assert moved[0, 0, :4].tolist() == pytest.approx(lit(made), abs=0.03)


def test_slots_follow_overlap_within_a_class() -> None:
    left, right = [0.0, 0.0, 0.4, 1.0, 0.0], [0.6, 0.0, 1.0, 1.0, 0.0]
    ball = [0.4, 0.4, 0.5, 0.5, 2.0]
    moved = [0.1, 0.0, 0.5, 1.0, 0.0]  # 0.3 of 0.5 in common with the left one
    frames = [[left, right, ball], [right, moved], [ball]]
    made = torch.from_numpy(linked([np.array(f) for f in frames]))
    gone = [float("nan")] * 5
    expected = [[left, right, ball], [moved, right, gone], [gone, gone, ball]]
    assert_close(made.float(), expected)


def test_who_is_new_gets_a_slot_that_nobody_had() -> None:
    left, right = [0.0, 0.0, 0.4, 1.0, 0.0], [0.6, 0.0, 1.0, 1.0, 0.0]
    made = linked([np.array([left]), np.array([right]), np.array([right, left])])
    assert made[:, :, 0].tolist()[2] == [0.0, 0.6]
    assert np.isnan(made[1, 0]).all() and made[1, 1, 0] == 0.6
    # One slot only: the one box there is stays in it, wherever it jumps.
    assert linked([np.array([left]), np.array([right])]).shape == (2, 1, 5)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 frames at 25 a second."""
    return write_video(tmp_path_factory.mktemp("films") / "a film.mp4")


def test_a_frame_takes_the_nearest_within_reach(film: Path, tmp_path: Path) -> None:
    rows = ("a film.mp4,10,0.1,0.1,0.2,0.2,0,0.9", "a film,20,0.3,0.3,0.4,0.4,0,0.5",
            "a film,20,0.5,0.5,0.6,0.6,1,0.8", "a film,20,0.7,0.7,0.8,0.8,1,0.1")  # fmt: skip
    boxes = table(tmp_path / "t.csv", *rows, reach=0.12, least_score=0.3)
    times = [i / 25 for i in (6, 7, 14, 15, 16, 23, 24)]  # 0.12 s are three frames
    found = boxes.at(film, times)
    first = [None, 0.1, None, None, None, 0.3, None]
    assert found.shape == (7, 2, 5)
    for row, x0 in zip(found, first, strict=True):
        assert row[0, 0].isnan() if x0 is None else row[0, 0] == pytest.approx(x0)
    assert found[5, 1].tolist() == pytest.approx([0.5, 0.5, 0.6, 0.6, 1.0])
    assert found[1, 1].isnan().all()
    wide = table(tmp_path / "t.csv", *rows, reach=1.0, most=1)
    best = wide.at(film, times)[..., 0].nan_to_num(-1)  # a slot for each class
    assert best[:, 0].tolist() == pytest.approx([0.1] * 4 + [-1] * 3)
    assert best[:, 1].tolist() == pytest.approx([-1] * 4 + [0.5] * 3)
    # An equal distance takes the earlier one; a video without boxes in reach has a slot of nobody.
    assert wide.at(film, [15 / 25]).shape == (1, 1, 5)
    assert boxes.at(film, [0.0]).shape == (1, 1, 5) and boxes.at(film, [0.0]).isnan().all()
    assert boxes.at(Path("other.mp4"), [0.0, 1.0]).isnan().all()


def test_frames_beyond_the_end_are_another_copys(film: Path, tmp_path: Path) -> None:
    near = table(tmp_path / "t.csv", "a film,41,0.1,0.1,0.2,0.2,0,1", reach=0.1)
    assert not near.at(film, [39 / 25]).isnan().any()
    far = table(tmp_path / "t.csv", "a film,90,0.1,0.1,0.2,0.2,0,1")
    data = dataset(film, far)
    failed = data[(0, 0)]
    assert isinstance(failed, Failure)
    assert "has 40 frames, but data.boxes.table" in failed.reason
    assert "boxes of frame 90; they were counted in another copy" in failed.reason


def dataset(film: Path, boxes: BoxTable | None, **record: object) -> VideoDataset:
    own = Record(film, "a", 0, "a", **record)  # type: ignore[arg-type]
    return VideoDataset(
        listing=Listing(("x",), (own,)), frames=4, sampling="segment", train_transform=None,
        test_transform=TestTransform(short_side=16, size=16, stretch=True), boxes=boxes,
    )  # fmt: skip


def test_clips_bring_boxes_cut_like_their_pixels(film: Path, tmp_path: Path) -> None:
    # The white corner of the film, a quarter of its 48 x 32 pixels wide and high.
    boxes = table(tmp_path / "t.csv", "a film,20,0,0,0.25,0.25,0,1", reach=2)
    clip = dataset(film, boxes, box=(0.125, 0.125, 0.5, 0.625))[(0, 0)]
    assert isinstance(clip, Clip) and clip.boxes is not None
    # 6 to 12 of columns 6 to 24, 4 to 8 of rows 4 to 20.
    assert_close(clip.boxes, [[[0.0, 0.0, 1 / 3, 0.25, 0.0]]] * 4)
    assert bool((clip.video[:, 0, 1:3, 1:3] > 200).all()) and not bool(
        (clip.video[0, 0, 6:] > 200).any()
    )
    plain = dataset(film, None)
    again = plain[(0, 0)]
    assert isinstance(again, Clip) and again.boxes is None
    assert dataset(film, boxes).fingerprint != plain.fingerprint


def test_names_of_videos(tmp_path: Path) -> None:
    boxes = table(tmp_path / "t.csv", "1,0,0,0,1,1,0,1", "kick/2.avi,0,0,0,1,1,0,1")
    assert boxes.name(Path("/data/1.mp4")) == "1" and boxes.name(Path("kick/2")) == "kick/2"
    assert boxes.name(Path("2.mp4")) is None
    boxes.check([Path("a/1.mp4"), Path("a/1.mp4"), Path("other.mp4")])
    with pytest.raises(WhyactError, match=r"'1' could be a/1.mp4 or b/1.mp4; write the folder"):
        boxes.check([Path("a/1.mp4"), Path("b/1.mp4")])
    with pytest.raises(WhyactError, match=r"none of 1 videos, such as x.mp4; .* holds e\.g\. '1'"):
        boxes.check([Path("x.mp4")])


def test_parquet_is_read_as_well_and_scores_may_be_left_out(film: Path, tmp_path: Path) -> None:
    columns = {"video": ["a film"], "frame": [0], "x0": [0.0], "y0": [0.0], "x1": [1.2],
               "y1": [0.5], "class": [4]}  # fmt: skip
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    found = BoxTable(path=tmp_path / "t.parquet", least_score=0.5).at(film, [0.0])
    assert found.tolist() == [[[0.0, 0.0, 1.0, 0.5, 4.0]]]  # cut at the frame's edge


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("v,0,10,20,30,40,0,1", r"row 2: expected x0, y0, x1, y1 as shares .*divided by its width"),
        (
            "v,0,0.5,0,0.4,1,0,1",
            r"row 2: expected x0 < x1 and y0 < y1 .*\[0\.5, 0\.0, 0\.4, 1\.0\]",
        ),
        ("v,0,1.1,0,1.2,1,0,1", "row 2: expected x0 < x1 and y0 < y1 inside the frame"),
        ("v,-1,0,0,1,1,0,1", r"row 2: expected a whole frame number from 0, got -1\.0"),
        ("v,0,0,0,1,1,0.5,1", r"row 2: expected a whole class number from 0, got 0\.5"),
        ("v,0,,0,1,1,0,1", "row 2: expected x0, y0, x1, y1 as shares"),
        ("v,0,a,0,1,1,0,1", "expected numbers in column 'x0'"),
    ],
)
def test_rows_that_do_not_fit(tmp_path: Path, row: str, said: str) -> None:
    with pytest.raises(WhyactError, match=said) as error:
        table(tmp_path / "bad.csv", "v,0,0,0,1,1,0,1", row)
    assert re.search(r"data\.boxes\.table .*bad\.csv", str(error.value))


def test_tables_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(WhyactError, match=r"has no column 'class'; it has video, frame"):
        table(tmp_path / "t.csv", "v,0,0,0,1,1", head="video,frame,x0,y0,x1,y1\n")
    with pytest.raises(WhyactError, match=r"none\.csv: cannot be read as Parquet or CSV"):
        BoxTable(path=tmp_path / "none.csv")
    with pytest.raises(WhyactError, match=r"at least 1 box a frame, got reach 0\.5, most 0"):
        table(tmp_path / "t.csv", "v,0,0,0,1,1,0,1", most=0)
