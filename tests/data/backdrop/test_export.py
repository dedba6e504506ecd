"""Backdrop as files for people and other programs."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from whyact.cli import main
from whyact.config import BackdropConfig, ClipConfig, Config, DataConfig, TransformConfig
from whyact.data.annotations import read_folder
from whyact.data.backdrop.actions import ACTIONS
from whyact.data.backdrop.arrays import CROSSED
from whyact.data.backdrop.export import LABEL, contact_sheets, write_videos
from whyact.data.backdrop.factors import SPLITS
from whyact.data.backdrop.generation import describe
from whyact.data.backdrop.render import generate_clip
from whyact.data.backdrop.scenes import SCENES
from whyact.data.video import probe, read_frames
from whyact.tasks import data as task
from whyact.tasks.data import write_backdrop
from whyact.types import WhyactError

FRAMES, SIZE = 4, 48
FLAGS = [
    "--data.clip.frames", str(FRAMES), "--data.transform.size", str(SIZE),
    "--data.backdrop.clips", "3", "--data.backdrop.eval_clips", "2", "--data.backdrop.seed", "6",
]  # fmt: skip


def config(**backdrop) -> Config:
    return Config(
        data=DataConfig(
            clip=ClipConfig(frames=FRAMES), transform=TransformConfig(size=SIZE),
            backdrop=BackdropConfig(**backdrop),
        )
    )  # fmt: skip


def expected(split: str, index: int):
    return generate_clip(split=split, index=index, seed=6, frames=FRAMES, size=SIZE)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips to train on and two of each of three other splits, by the command."""
    out = tmp_path_factory.mktemp("export")
    splits = ["--splits", "train", "multi", "scuba", "untrimmed"]
    assert main(["data", "backdrop", "--out", str(out), *splits, *FLAGS]) == 0
    return out


def test_a_split_is_a_table_and_a_folder_of_classes(exported) -> None:
    assert sorted(p.name for p in exported.iterdir()) == [
        "multi", "multi.parquet", "scuba", "scuba.parquet", "train", "train.parquet",
        "untrimmed", "untrimmed.parquet",
    ]  # fmt: skip
    assert sorted(str(p.relative_to(exported)) for p in exported.glob("train/*/*")) == [
        "train/jump/000002.mp4", "train/run/000001.mp4", "train/walk/000000.mp4",
    ]  # fmt: skip


@pytest.mark.parametrize(("split", "clips"), [("train", 3), ("multi", 2), ("scuba", 2)])
def test_the_table_has_the_factors_of_every_clip(exported, split, clips) -> None:
    table = pq.read_table(exported / f"{split}.parquet")
    assert table.column_names == ["path", "actions", "scene", "factors"]
    rows = table.to_pylist()
    assert len(rows) == clips
    for index, row in enumerate(rows):
        about = describe(expected(split, index))
        names = [a["name"] for a in about["actors"]]
        assert row["actions"] == names and len(names) == (1 if split != "multi" else len(names))
        assert row["path"] == f"{split}/{names[0]}/{index:06d}.mp4"
        assert (exported / row["path"]).is_file()
        assert row["scene"] == about["scene_name"] and (row["scene"] == "noise") == (
            split == "scuba"
        )
        assert json.loads(row["factors"]) == json.loads(json.dumps(about))


@pytest.mark.parametrize("split", ["train", "multi", "untrimmed"])
def test_the_videos_show_the_clips_up_to_the_loss_of_the_codec(exported, split) -> None:
    for index, row in enumerate(pq.read_table(exported / f"{split}.parquet").to_pylist()):
        truth = expected(split, index).video
        info = probe(exported / row["path"])
        assert (info.frames, info.width, info.height) == (len(truth), SIZE, SIZE)
        assert info.rate == pytest.approx(8.0)
        video, times = read_frames(exported / row["path"], range(info.frames))
        assert times.tolist() == pytest.approx([t / 8 for t in range(len(truth))])
        read = video.permute(1, 2, 3, 0).numpy().astype(float)
        # Halved colours blur the edges; brightness is kept well.
        assert np.abs(read.mean(-1) - truth.mean(-1)).mean() < 5
        assert np.abs(read - truth).mean() < 12
        # Every frame is nearest to its own.
        apart = np.abs(read[:, None] - truth[None].astype(float)).mean((2, 3, 4))
        assert apart.argmin(1).tolist() == list(range(len(truth)))


def test_other_programs_read_it_as_a_folder_of_classes(exported) -> None:
    listing = read_folder(root=str(exported), split="train")
    found = {r.path.name: listing.classes[r.label] for r in listing.records}
    assert found == {"000000.mp4": "walk", "000001.mp4": "run", "000002.mp4": "jump"}


def test_odd_sizes_are_padded_by_a_column_and_a_row(tmp_path) -> None:
    write_videos(tmp_path, split="iid", clips=1, seed=0, frames=2, size=33, correlation=0.9)
    info = probe(tmp_path / "iid" / "walk" / "000000.mp4")
    assert (info.width, info.height, info.frames) == (34, 34, 2)


def test_a_split_is_as_large_as_the_one_that_is_trained_on(tmp_path, monkeypatch) -> None:
    asked = {}
    monkeypatch.setattr(
        task, "write_videos", lambda out, *, split, clips, **_: asked.update({split: clips})
    )
    write_backdrop(config(clips=7, eval_clips=61), out=tmp_path, splits=["train", "iid", "probe"])
    assert asked == {"train": 7, "iid": 61, "probe": 2 * CROSSED}


def cell(page: np.ndarray, row: int, column: int) -> np.ndarray:
    left = LABEL + column * SIZE
    return page[row * SIZE : (row + 1) * SIZE, left : left + SIZE]


def test_the_contact_sheets_show_actions_scenes_and_splits(tmp_path) -> None:
    flags = ["--data.transform.size", str(SIZE), "--data.backdrop.seed", "6"]
    assert main(["data", "sheet", "--out", str(tmp_path), *flags]) == 0
    pages = {p.stem: np.asarray(Image.open(p)) for p in tmp_path.glob("*.png")}
    rows = {"actions": len(ACTIONS), "scenes": len(SCENES), "splits": len(SPLITS)}
    assert {name: page.shape for name, page in pages.items()} == {
        name: (n * SIZE, LABEL + 8 * SIZE, 3) for name, n in rows.items()
    }
    for row in (0, 6):
        video = generate_clip(split="swap", index=row, seed=6, frames=8, size=SIZE).video
        for frame in range(8):
            assert np.array_equal(cell(pages["actions"], row, frame), video[frame])
    row = SPLITS.index("untrimmed")
    video = generate_clip(split="untrimmed", index=2, seed=6, frames=8, size=SIZE).video
    assert np.array_equal(cell(pages["splits"], row, 2), video[16])
    for name, page in pages.items():
        for row in range(rows[name]):
            label = page[row * SIZE : (row + 1) * SIZE, :LABEL]
            assert (label < 128).any() and label[:4].min() == 255  # a name, and no more


@pytest.mark.parametrize("size", [18, 64])
def test_contact_sheets_can_be_as_small_as_clips(tmp_path, size) -> None:
    paths = contact_sheets(tmp_path / "new", size=size)
    assert paths == [tmp_path / "new" / f"{name}.png" for name in ("actions", "scenes", "splits")]
    assert Image.open(paths[1]).size == (LABEL + 8 * size, len(SCENES) * size)


def test_an_unknown_split_writes_nothing_and_lists_the_choices(tmp_path, capsys) -> None:
    out = tmp_path / "out"
    with pytest.raises(WhyactError, match=r"no split 'test'; choose from \['train', 'val'"):
        write_backdrop(config(), out=out, splits=["iid", "test"])
    assert main(["data", "backdrop", "--out", str(out), "--splits", "test"]) == 2
    assert "no split 'test'" in capsys.readouterr().err
    assert main(["data", "backdrop", "--out", str(out), "--data.transform.size", "16"]) == 2
    assert "at least 18 pixels a side (data.transform.size), got 16" in capsys.readouterr().err
    assert not out.exists()
