"""Clips from shards are the clips from files, bit by bit, and shards are read one after another."""

from __future__ import annotations

import io
import itertools
import json
import shutil
import tarfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from tests.data import miniatures

from whyact.cli import main
from whyact.config import Config
from whyact.data.builders import build_dataset
from whyact.data.errors import VideoError
from whyact.data.loader import epoch_batches, view_batches
from whyact.data.shards import INDEX, ShardStore, read_shards
from whyact.tasks.data import shard_data
from whyact.tasks.evaluate import evaluate
from whyact.tasks.train import train
from whyact.types import Clip, Failure, WhyactError

wds = pytest.importorskip("webdataset")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Videos, folders of frames, one damaged file and one that is gone."""
    made = miniatures.listed(tmp_path_factory.mktemp("set") / "root")
    (made / "test" / "1, 0.mp4").write_bytes(b"damaged")
    (made / "test" / "2, 0.mp4").unlink()
    return made


def config(root: Path, kind: str = "list", scratch: Path | None = None) -> Config:
    made = Config(name=kind)
    made.data.type, made.data.root, made.data.test = kind, str(root), ["test"]
    made.data.annotations = str(scratch or "")
    made.data.clip.frames, made.data.protocol = 4, "2x3"
    made.data.transform.short_side, made.data.transform.size = 24, 16
    made.model.type, made.model.backbone.width = "pooled", 16
    made.training.epochs, made.training.batch_size = 1, 4
    made.training.warmup_steps, made.training.device = 1, "cpu"
    return made


@pytest.fixture(scope="module")
def shards(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of one clip each, for nothing fits into 0 megabytes."""
    out = tmp_path_factory.mktemp("shards")
    written = shard_data(config(root), out=out, megabytes=0)
    assert {k: (w.clips, w.shards) for k, w in written.items()} == {
        "train": (12, 12), "val": (6, 6), "test": (6, 6)
    }  # fmt: skip
    assert list(written["test"].failures) == ["test/2, 0.mp4"]
    return out


def test_every_view_of_every_clip_is_the_same(root: Path, shards: Path, tmp_path: Path) -> None:
    for split, train_ in (("train", True), ("test", False)):
        files = build_dataset(config(root).data, split, train=train_, seed=1)
        tars = build_dataset(config(shards, "shards", tmp_path).data, split, train=train_, seed=1)
        assert files.ids == tars.ids and files.labels == tars.labels
        assert files.classes == tars.classes and files.fingerprint == tars.fingerprint
        for index, view in itertools.product(range(len(files)), range(files.views)):
            one, two = files[index, view], tars[index, view]
            if isinstance(one, Failure):
                assert isinstance(two, Failure) and two.id == one.id
                continue
            assert isinstance(one, Clip) and isinstance(two, Clip)
            assert torch.equal(one.video, two.video) and one.label == two.label


def test_training_and_evaluation_give_the_same_scores(
    root: Path, shards: Path, tmp_path: Path
) -> None:
    own = config(root)
    own.output = str(tmp_path)
    run = train(own).folder
    first = evaluate(run, output=tmp_path / "files")["test"]
    sharded = config(shards, "shards", tmp_path)
    second = evaluate(run, data=sharded, output=tmp_path / "shards")["test"]
    for name in ("top1", "macro_f1", "expected", "decoded", "failed"):
        assert first[name] == second[name]
    clips = [pq.read_table(tmp_path / n / "test" / "clips.parquet").to_pydict()
             for n in ("files", "shards")]  # fmt: skip
    assert clips[0]["id"] == clips[1]["id"] and first["failed"] == 2
    # Batches are put together shard by shard, which changes the last bits.
    assert torch.allclose(*(torch.tensor(c["logits"]) for c in clips), atol=1e-5)
    one, two = (json.loads((tmp_path / n / "test" / "scores.json").read_text())
                for n in ("files", "shards"))  # fmt: skip
    assert one["set"]["fingerprint"] == two["set"]["fingerprint"]
    assert set(one["failures"]) == set(two["failures"]) == {"test/1, 0.mp4", "test/2, 0.mp4"}
    sharded.output, sharded.data.workers = str(tmp_path / "again"), 0
    assert train(sharded).scores["test"]["decoded"] == 4


def test_other_programs_read_them(shards: Path) -> None:
    samples = list(wds.WebDataset(str(shards / "train" / "000000.tar"), shardshuffle=False))
    (sample,) = samples
    assert json.loads(sample["json"])["label"] in (0, 1, 2)
    kinds = set(sample) - {"__key__", "__url__", "__local_path__", "json"}
    assert kinds == {"mp4"} or all(k.startswith("img_") for k in kinds)


def test_shards_are_read_through_fsspec(shards: Path, tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    for file in (shards / "val").iterdir():
        memory.pipe(f"/set/val/{file.name}", file.read_bytes())
    away = config(shards, "shards", tmp_path).data
    away.root = "memory://set"
    remote = build_dataset(away, "val", train=False, seed=0)
    local = build_dataset(config(shards, "shards", tmp_path).data, "val", train=False, seed=0)
    one, two = remote[3, 0], local[3, 0]
    assert isinstance(one, Clip) and isinstance(two, Clip) and torch.equal(one.video, two.video)


def test_an_epoch_keeps_to_few_shards_at_a_time() -> None:
    blocks = [i % 10 for i in range(200)]
    order = {"epoch": 0, "seed": 3, "batch_size": 10}
    batches = epoch_batches(200, **order, blocks=blocks)
    seen = [i for batch in batches for i, _ in batch]
    assert sorted(seen) == list(range(200))
    assert all(len({blocks[i] for i in seen[k : k + 80]}) <= 4 for k in (0, 80))
    assert len({blocks[i] for i in seen[:40]}) == 4  # and mixes these
    other = epoch_batches(200, **{**order, "epoch": 1}, blocks=blocks)
    assert batches != other and batches == epoch_batches(200, **order, blocks=blocks)
    views = view_batches(6, views=2, batch_size=4, blocks=[1, 0, 1, 0, 1, 0])
    assert [i for batch in views for i, _ in batch] == [1, 1, 3, 3, 5, 5, 0, 0, 2, 2, 4, 4]


def test_unused_shards_go(shards: Path, tmp_path: Path, monkeypatch) -> None:
    rows = json.loads((shards / "train" / INDEX).read_text())["records"]
    store = ShardStore(base=str(shards / "train"), scratch=tmp_path / "scratch", kept=2)
    clock = [1e10]
    monkeypatch.setattr("whyact.data.shards.time.time", lambda: clock[0])
    for row in rows[:5]:
        store.fetch(store.path(row["shard"], row["path"]))
    assert len([p for p in (tmp_path / "scratch").iterdir() if p.is_dir()]) == 2
    assert store.path(rows[4]["shard"], rows[4]["path"]).exists()


def test_clips_that_are_trained_on_are_found_in_other_splits(root: Path, tmp_path: Path) -> None:
    """Copies lie in the folders of their splits, so their paths say nothing."""
    twin = tmp_path / "twin"
    shutil.copytree(root, twin)
    listed = (twin / "train.txt").read_text().splitlines()
    (twin / "test.txt").write_text((twin / "test.txt").read_text() + listed[0] + "\n")
    shard_data(config(twin), out=tmp_path / "shards", megabytes=0)
    leaking = config(tmp_path / "shards", "shards", tmp_path / "scratch")
    leaking.output, leaking.data.workers = str(tmp_path / "runs"), 0
    text = r"1 clips of data\.test 'test' .* too, e\.g\. train/0, 0\.mp4; test on others"
    with pytest.raises(WhyactError, match=text):
        train(leaking)


def test_wrong_uses_are_named(root: Path, shards: Path, tmp_path: Path, capsys) -> None:
    with pytest.raises(WhyactError, match=r"holds shards already; take another --out"):
        shard_data(config(root), out=shards)
    with pytest.raises(WhyactError, match=r"no index of shards there .* whyact data shard"):
        build_dataset(config(tmp_path, "shards").data, "test", train=False, seed=0)
    damaged = tmp_path / "damaged" / "val"
    damaged.mkdir(parents=True)
    (damaged / INDEX).write_bytes((shards / "val" / INDEX).read_bytes())
    (damaged / "000000.tar").write_bytes(b"no tar")
    data = build_dataset(
        config(damaged.parent, "shards", tmp_path).data, "val", train=False, seed=0
    )
    found = [data[i, 0] for i in range(6)]
    assert all(isinstance(f, Failure) and "shard cannot be read" in f.reason for f in found)
    flags = [f"--data.root={root}", "--data.type=list", "--data.test=[test]", "--shard-size=1"]
    assert main(["data", "shard", f"--out={tmp_path / 'cli'}", *flags]) == 1
    said = capsys.readouterr().out
    assert "train: 12 clips in 1 shards, 0 unreadable" in said and "test/2, 0.mp4" in said


def test_shards_written_anew_are_unpacked_anew(shards: Path, tmp_path: Path) -> None:
    away, scratch = tmp_path / "away", tmp_path / "scratch"
    shutil.copytree(shards, away)
    before = read_shards(root=str(away), annotations=str(scratch), split="val")
    before.store.fetch(before.records[0].path)
    index = json.loads((away / "val" / INDEX).read_text())
    index["records"][0]["content"] = "another"
    (away / "val" / INDEX).write_text(json.dumps(index))
    after = read_shards(root=str(away), annotations=str(scratch), split="val")
    assert before.records[0].path.exists() and not after.records[0].path.exists()


@pytest.mark.parametrize("name", ["../evil.mp4", "/tmp/evil.mp4", "a/../../evil.mp4", ".hidden"])
def test_shards_cannot_write_outside_their_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "set").mkdir()
    with tarfile.open(tmp_path / "set" / "000000.tar", "w") as tar:
        info = tarfile.TarInfo(name)
        info.size = 4
        tar.addfile(info, io.BytesIO(b"evil"))
    store = ShardStore(base=str(tmp_path / "set"), scratch=tmp_path / "scratch", kept=2)
    with pytest.raises(VideoError, match="which is no plain one"):
        store.fetch(store.path(0, "evil.mp4"))
    assert not (tmp_path / "evil.mp4").exists() and not list(tmp_path.rglob("evil*"))
    tree = {"classes": ["a"], "multi_label": False, "flip_pairs": [], "shards": 1}
    tree["records"] = [{"shard": 0, "path": name, "id": "x", "label": 0, "group": "x"}]
    (tmp_path / "set" / INDEX).write_text(json.dumps(tree))
    with pytest.raises(WhyactError, match="which is no plain one"):
        read_shards(root=str(tmp_path), split="set")
