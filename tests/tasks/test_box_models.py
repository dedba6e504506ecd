"""Models that read boxes, from the annotation files to scores, explanations and timelines."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow.csv as csv
import pytest
import torch
from tests.data import miniatures

from whyact.cli import main
from whyact.config import SpecificationConfig
from whyact.config_io import builtin_config, load_config
from whyact.data.builders import build_dataset
from whyact.models.builders import build_model
from whyact.models.interventions import wishing, with_boxes
from whyact.tasks.check import check_data
from whyact.tasks.data import write_boxes
from whyact.tasks.predict import predict
from whyact.training.checkpoint import load_model
from whyact.types import Clip, WhyactError

SETTINGS = {
    "data.workers": "0", "data.clip.frames": "4", "data.clip.stride": "2", "data.protocol": "1x1",
    "data.transform.short_side": "24", "data.transform.size": "16",
    "model.backbone.type": "small", "model.backbone.width": "16", "training.epochs": "1",
    "training.batch_size": "6", "training.device_batch_size": "0", "training.warmup_steps": "1",
    "training.device": "cpu", "training.checkpoint_steps": "0", "training.threads": "1",
}  # fmt: skip


def flags(**settings: str) -> list[str]:
    return [f"--{k}={v}" for k, v in settings.items()]


@pytest.fixture(scope="module")
def charades(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return miniatures.action_genome(tmp_path_factory.mktemp("charades"))


@pytest.fixture(scope="module")
def table(charades: Path) -> Path:
    file = charades / "boxes.parquet"
    words = ["data", "boxes", str(builtin_config("charades_boxes")), "--out", str(file)]
    assert main([*words, *flags(**{"data.annotations": str(charades / "Charades")})]) == 0
    return file


@pytest.fixture(scope="module")
def settings(charades: Path, table: Path) -> list[str]:
    places = {"data.root": str(charades), "data.annotations": str(charades / "Charades"),
              "data.boxes.table": str(table), "output": str(charades / "runs")}  # fmt: skip
    return flags(**SETTINGS, **places)


@pytest.fixture(scope="module")
def run(charades: Path, settings: list[str]) -> Path:
    assert main(["train", "--config", str(builtin_config("charades_boxes")), *settings]) == 0
    return charades / "runs" / "charades_boxes"


def test_charades_with_action_genome_trains_and_is_scored_by_map(
    run: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["evaluate", str(run), "--splits", "test"]) == 0
    record = json.loads((run / "evaluation" / "test" / "scores.json").read_text())
    assert 0 < record["scores"]["map"] <= 1 and record["scores"]["decoded"] == 4
    assert record["config"]["model"]["spatial_graph"]["kinds"] == 36
    capsys.readouterr()


def test_clips_bring_the_person_and_the_cup_in_the_frames_near_the_annotated_ones(
    run: Path,
) -> None:
    config = load_model(run).config
    data = build_dataset(config.data, "test", train=False, seed=0)
    clip = data[(0, 0)]
    assert isinstance(clip, Clip) and clip.boxes is not None
    # 40 x 32 pixels become 30 x 24, of which rows 4 to 20 and columns 7 to 23 are seen. The person
    # at (0.1, 0.25) to (0.5, 1) is cut at the left and the bottom; the cup is (0.5, 0.25) to
    # (0.7, 0.5).
    person = torch.tensor([0.0, 2 / 16, 8 / 16, 1.0, 0.0])
    cup = torch.tensor([8 / 16, 2 / 16, 14 / 16, 8 / 16, 10.0])
    for frame in clip.boxes:
        torch.testing.assert_close(frame, torch.stack([person, cup]))
    last = data[(3, 0)]  # a video that is in no frame of Action Genome
    assert isinstance(last, Clip) and last.boxes is not None and last.boxes.isnan().all()


def test_what_boxes_say_changes_the_scores(run: Path, table: Path, charades: Path) -> None:
    film = [str(charades / "TE000.mp4")]
    (first,) = predict(run, film)
    other = charades / "other.csv"
    other.write_text("video,frame,x0,y0,x1,y1,class\nTE000,5,0,0,1,0.3,3\n")
    (second,) = predict(run, film, boxes=other)
    assert dict(first.classes) != dict(second.classes)
    (again,) = predict(run, film, boxes=table)
    assert again == first


def test_films_without_boxes_are_refused_with_the_cure(
    run: Path, charades: Path, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    film = str(charades / "TE003.mp4")
    for words in (["predict"], ["explain"], ["explain", "--timeline", "--action=Doing thing 0"]):
        output = [] if words[0] == "predict" else [f"--output={tmp_path}"]
        assert main([words[0], str(run), film, *words[1:], *output]) == 2
        told = capsys.readouterr().err
        assert "has boxes of none of 1 videos" in told and "TE003" in told
        assert "or name another table" in told
    loaded = load_model(run)
    with pytest.raises(WhyactError, match=r"Name a table of them in data\.boxes\.table"):
        loaded.model(torch.rand(1, 3, 4, 16, 16))


def test_explanations_timelines_and_their_tests_get_the_boxes(
    run: Path, charades: Path, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    film = str(charades / "TE000.mp4")
    words = ["explain", str(run), film, f"--output={tmp_path}"]
    assert main([*words, "--html", "--counterfactual", "--test-steps", "2"]) == 0
    found = json.loads((tmp_path / "TE000.json").read_text())
    assert found["tests"]["gap"] and (tmp_path / "TE000.html").is_file()
    action = ["--action=Doing thing 0", "--timeline", "--threshold=-9", "--least-score=0"]
    assert main([*words, *action]) == 0
    assert (tmp_path / "TE000-timeline.html").is_file()
    assert main(["evaluate", str(run), "--explain", "native,grad_cam", "--clips", "2",
                 "--splits", "test"]) == 0  # fmt: skip
    made = json.loads((run / "explanations" / "test" / "table.json").read_text())
    assert made["clips"] == 2 and made["rows"]["native"]
    capsys.readouterr()


def test_a_model_keeps_the_boxes_it_was_given_under_a_wish_only_there(run: Path) -> None:
    loaded = load_model(run)
    boxes = torch.tensor([[[0.1, 0.1, 0.9, 0.9, 0.0], [0.2, 0.2, 0.5, 0.5, 3.0]]]).expand(4, -1, -1)
    clips = torch.rand(3, 3, 4, 16, 16)
    model = with_boxes(loaded.model, boxes)
    each = boxes.expand(3, -1, -1, -1)
    expected = loaded.model(clips, boxes=each).logits
    torch.testing.assert_close(model(clips).logits, expected)
    config = replace(loaded.config.model, specification=SpecificationConfig(type="split"))
    asked = build_model(config, classes=len(loaded.classes), scenes=len(loaded.scenes)).eval()
    asked.vocabulary = loaded.model.vocabulary
    wish = torch.eye(len(loaded.classes))[:1].expand(3, -1)
    torch.testing.assert_close(
        wishing(with_boxes(asked, boxes), 0)(clips).logits, asked(clips, wish, boxes=each).logits
    )
    with pytest.raises(WhyactError, match="needs boxes"):
        loaded.model(clips)  # which is as it was
    assert with_boxes(loaded.model, None) is loaded.model
    other = boxes[:, :1].expand(3, -1, -1, -1)
    assert not torch.allclose(model(clips, boxes=other).logits, expected)


def test_padded_slots_change_no_score(run: Path) -> None:
    data = build_dataset(load_model(run).config.data, "test", train=False, seed=0)
    clip, model = data[(0, 0)], load_model(run).model
    assert isinstance(clip, Clip) and clip.boxes is not None
    video, boxes = clip.video[None].float() / 255, clip.boxes[None]
    nobody = torch.full((1, 4, 2, 5), torch.nan)
    torch.testing.assert_close(
        model(video, boxes=torch.cat([boxes, nobody], 2)).logits, model(video, boxes=boxes).logits
    )


def test_the_check_names_videos_without_boxes(settings: list[str], tmp_path: Path) -> None:
    config = load_config([builtin_config("charades_boxes")], settings)
    found = [f for f in check_data(config, output=tmp_path).findings if f.kind == "no boxes"]
    assert [f.clip for f in found] == ["TE003"]


def test_cached_tokens_keep_no_boxes(
    settings: list[str], charades: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model.backbone.frozen=true", "--training.cache_tokens=1", "--name=cached"]
    config = ["train", "--config", str(builtin_config("charades_boxes"))]
    assert main([*config, *settings, *words]) == 2
    assert "training.cache_tokens" in capsys.readouterr().err
    assert not (charades / "runs" / ".cache" / "tokens").exists()


def test_the_players_of_sports_hhi_are_boxes_of_the_carved_clip(tmp_path: Path) -> None:
    root = miniatures.sports_hhi(tmp_path / "sports")
    table = tmp_path / "players.csv"
    places = {"data.root": str(root), "data.annotations": str(root / "annotations")}
    config = load_config([builtin_config("sports_hhi")], flags(**SETTINGS, **places))
    # Four players in two keyframes of five videos.
    assert write_boxes(config, out=table) == (40, 5)
    rows = csv.read_csv(table).to_pylist()
    assert {(r["video"], r["frame"]) for r in rows} >= {("v_train_0", 4), ("v_train_0", 29)}
    config.data.boxes = replace(config.data.boxes, table=str(table), reach=0.0)
    config.data.transform = replace(config.data.transform, short_side=16, stretch=True)
    data = build_dataset(config.data, "validation", train=False, seed=0)
    config.data.boxes.reach = 9.0
    clip, far = data[(0, 0)], build_dataset(config.data, "validation", train=False, seed=0)[(0, 0)]
    assert isinstance(clip, Clip) and isinstance(far, Clip)
    assert clip.boxes is not None and far.boxes is not None
    # The left pair is cut out of 40 x 32 pixels from (0, 2) to (19, 30), without the right one.
    one = [2 / 19, 4.4 / 28, 8 / 19, 23.6 / 28, 0.0]
    two = [10 / 19, 4.4 / 28, 16 / 19, 23.6 / 28, 0.0]
    for frame in far.boxes:
        seen = frame[~frame.isnan().any(-1)]
        torch.testing.assert_close(seen, torch.tensor([one, two]))
    assert clip.times is not None
    exact = [bool((t * 12).round() in (4, 29)) for t in clip.times]  # 12 frames a second
    assert (~clip.boxes.isnan().all(-1).all(-1)).tolist() == exact
    with pytest.raises(WhyactError, match="'ucf101' has no annotated boxes; charades, sports_hhi"):
        write_boxes(load_config([builtin_config("ucf101")]), out=table)
