"""Prepared copies lie where the lists look for them and show the same."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from tests.data import miniatures
from tests.data.media import write_video

from whyact.cli import main
from whyact.config import Config
from whyact.data.catalog import listing_of
from whyact.data.preparation import prepare_clip, prepared_path
from whyact.data.pyav_backend import decode
from whyact.data.video import VideoError, probe, read_frames
from whyact.tasks.prepare import prepare_data
from whyact.types import WhyactError


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = miniatures.something_v2(tmp_path_factory.mktemp("set") / "root")
    (made / "101.webm").write_bytes(b"broken")
    return made


def config(root: Path) -> Config:
    made = Config()
    made.data.type, made.data.root = "something_v2", str(root)
    made.data.annotations, made.data.test = str(root / "lists"), ["validation"]
    return made


@pytest.mark.parametrize("form", ["video", "frames"])
def test_copies_are_found_by_the_same_lists(root: Path, tmp_path: Path, form: str, capsys) -> None:
    made = config(root)
    found = prepare_data(made, out=tmp_path, form=form, short_side=16)
    assert (found.made, found.kept) == (17, 0) and list(found.failures) == [str(root / "101.webm")]
    again = prepare_data(made, out=tmp_path, form=form, short_side=16)
    assert (again.made, again.kept) == (0, 17) and len(again.failures) == 1
    assert not list(tmp_path.rglob(".*"))
    before = listing_of(made.data, "train").records
    made.data.root = str(tmp_path)
    after = listing_of(made.data, "train").records
    assert [(r.id, r.label) for r in after] == [(r.id, r.label) for r in before]
    for one, two in zip(before[1:], after[1:], strict=True):
        a, b = probe(one.path), probe(two.path)
        assert a.frames == b.frames and b.height == 16 and b.width == 20
        np.testing.assert_allclose(a.times, b.times, atol=2e-3)
        shown, copied = (read_frames(r.path, [0, 5])[0].float().mean((2, 3)) for r in (one, two))
        assert (shown - copied).abs().max() < 8
    flags = [f"--data.root={root}", f"--data.annotations={root / 'lists'}", f"--form={form}"]
    flags += ["--data.type=something_v2", "--data.test=[validation]", "--short-side=16"]
    assert main(["data", "prepare", f"--out={tmp_path}", *flags]) == 1
    assert "17 were there, 1 clips could not be read" in capsys.readouterr().out


def test_turned_and_irregular_videos(tmp_path: Path) -> None:
    turned = write_video(tmp_path / "turned.mp4", frames=6, rotation=90)
    prepare_clip(turned, tmp_path / "out.mp4", form="video", short_side=16)
    info = probe(tmp_path / "out.mp4")
    assert (info.width, info.height, info.rotation) == (16, 24, 0)
    a, b = read_frames(turned, [3])[0], read_frames(tmp_path / "out.mp4", [3])[0]
    corners = [(0, 0), (0, -1), (-1, 0), (-1, -1)]
    bright = [[float(v[0, 0, y, x]) > 200 for y, x in corners] for v in (a, b)]
    assert bright[0] == bright[1] and sum(bright[0]) == 1
    stamps = [0, 40, 200, 240, 600, 640]
    odd = write_video(tmp_path / "odd.mkv", frames=6, stamps=stamps)
    prepare_clip(odd, tmp_path / "even.mp4", form="video", short_side=100)
    np.testing.assert_allclose(probe(tmp_path / "even.mp4").times * 1000, stamps, atol=1)
    assert probe(tmp_path / "even.mp4").height == 32  # never enlarged


def test_a_copy_of_fewer_frames_is_not_kept(tmp_path: Path, monkeypatch) -> None:
    whole = write_video(tmp_path / "whole.mp4", frames=9)

    def short(*given):
        return itertools.islice(decode(*given), 4)

    monkeypatch.setattr("whyact.data.preparation.decode", short)
    for form in ("video", "frames"):
        with pytest.raises(VideoError, match=r"whole\.mp4: 4 of 9 frames could be decoded"):
            target = prepared_path(tmp_path / "copy.mp4", form)
            prepare_clip(whole, target, form=form, short_side=16)
    assert [p.name for p in tmp_path.iterdir()] == ["whole.mp4"]


def test_wrong_uses_are_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(WhyactError, match=r"--form is 'gif'; choose from \['video', 'frames'\]"):
        prepare_data(config(root), out=tmp_path, form="gif")
    with pytest.raises(WhyactError, match=r"is data\.root itself"):
        prepare_data(config(root), out=root)
    with pytest.raises(WhyactError, match=r"both become .*a\.mp4; rename one"):
        clash = Config()
        clash.data.type, clash.data.root, clash.data.test = "folder", str(tmp_path), ["test"]
        for name in ("x/a.avi", "x/a.mkv", "y/b.avi"):
            miniatures.clip(tmp_path / name, 0)
        prepare_data(clash, out=tmp_path / "out")
    away = miniatures.listed(tmp_path / "away")
    (away / "test.txt").write_text(f"{tmp_path / 'x' / 'a.avi'},0\n")
    listed = Config()
    listed.data.type, listed.data.root, listed.data.test = "list", str(away), ["test"]
    with pytest.raises(WhyactError, match=r"a\.avi does not lie below data\.root .*away"):
        prepare_data(listed, out=tmp_path / "out")
    assert main(["data", "prepare"]) == 2


def test_the_clips_of_all_official_splits_are_prepared(tmp_path: Path) -> None:
    """HMDB51's splits use different clips: of 36, split 1 leaves three out, and others others."""
    root = miniatures.hmdb51(tmp_path / "hmdb")
    made = Config()
    made.data.type, made.data.root, made.data.fold = "hmdb51", str(root), -1
    made.data.annotations = str(root / "testTrainMulti_7030_splits")
    made.data.test = ["test"]
    films = root / "catch"
    unused = films / "Film (#5)_catch_u_nm_np1_ba_goo_1.avi"
    split3 = root / "testTrainMulti_7030_splits" / "catch_test_split3.txt"
    split3.write_text(split3.read_text().replace(f"{unused.name} 0", f"{unused.name} 1"))
    found = prepare_data(made, out=tmp_path / "small", short_side=16)
    assert found.failures == {} and found.made == 34  # without the two that no split uses
    assert (tmp_path / "small" / "catch" / f"{unused.stem}.mp4").is_file()
