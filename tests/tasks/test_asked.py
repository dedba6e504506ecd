"""One tiny model through everything that asks: training, protocols, names, times, the timeline."""

from __future__ import annotations

import copy
import importlib
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from whyact.cli import main
from whyact.config import BackboneConfig, Config, ModelConfig
from whyact.config_io import load_config
from whyact.data.backdrop.render import generate_clip
from whyact.data.builders import build_dataset
from whyact.data.loader import chosen
from whyact.metrics.recognition import recognition_scores
from whyact.models.asking import PROTOCOLS
from whyact.models.builders import build_model
from whyact.ops.encode import write_video
from whyact.tasks.evaluation_record import read_predictions, read_record
from whyact.tasks.explain import explain
from whyact.tasks.inputs import clips_of
from whyact.tasks.localise import METHODS, Localised, LocaliseSettings, add_clip, localise, pieces
from whyact.tasks.named import measure_named, named_scores, named_values
from whyact.tasks.timeline import timeline
from whyact.tasks.train import train
from whyact.training.checkpoint import LoadedModel, load_model
from whyact.training.predictions import Predictions
from whyact.types import Clip, WhyactError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    folder = tmp_path_factory.mktemp("asking")
    made = load_config([ROOT / "configs" / "backdrop_multi.yaml"])
    made.output, made.data.root = str(folder), str(folder / "data")
    made.data.clip.frames, made.data.transform.size = 4, 32
    made.data.backdrop.clips, made.data.backdrop.eval_clips = 8, 6
    made.model.backbone.width, made.model.backbone.top_down = 16, False
    made.objectives.part_decorrelation, made.objectives.part_reconstruction = 0.01, 0.1
    made.training.start, made.training.epochs, made.training.batch_size = "", 1, 4
    return made


@pytest.fixture(scope="module")
def run(config: Config) -> Path:
    return train(config).folder


def test_several_actions_need_probabilities_of_their_own(config: Config) -> None:
    made = copy.deepcopy(config)
    made.name, made.objectives.binary_cross_entropy = "without", 0.0
    with pytest.raises(WhyactError, match=r"objectives\.binary_cross_entropy teaches; it is 0"):
        train(made)


def test_every_protocol_has_a_record_of_its_own_with_its_leak(run: Path) -> None:
    result = json.loads((run / "result.json").read_text())["multi"]
    assert set(result["asked"]) == {p.name for p in PROTOCOLS}
    plain = read_predictions(run / "evaluation" / "multi").logits
    for protocol in PROTOCOLS:
        folder = run / "evaluation" / "multi" / "asked" / protocol.name
        record, found = read_record(folder), read_predictions(folder)
        assert record["asked"]["name"] == protocol.name
        assert record["asked"]["reads_labels"] == (protocol.name == "oracle")
        assert 0 <= record["asked"]["leak"]["map"] <= 1
        own = recognition_scores(found.logits, found.labels, intervals=False)["map"]
        assert record["scores"]["map"] == pytest.approx(own)
        assert torch.allclose(found.logits, plain) == (protocol.name == "no_prompt")
    log = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    terms = ("specification", "part_decorrelation", "part_reconstruction")
    assert all(log[f"train/{term}"] > 0 for term in terms)


def test_clips_without_labels_are_scored_but_not_asked_for(run, tmp_path, monkeypatch) -> None:
    """As the official test lists have none; a wish for their action would need it."""
    module = importlib.import_module("whyact.tasks.evaluate")
    predict = module.predict_dataset

    def unlabelled(*given: Any, **settings: Any) -> Predictions:
        found = predict(*given, **settings)
        return replace(found, labels=torch.full((len(found.ids),), -1))

    monkeypatch.setattr(module, "predict_dataset", unlabelled)
    scores = module.evaluate(run, splits=["multi"], output=tmp_path)["multi"]
    assert scores["decoded"] == 6 and "asked" not in scores


def test_a_loaded_model_knows_its_classes_by_name(run: Path) -> None:
    loaded = load_model(run)
    clip = torch.rand(1, 3, 4, 32, 32)
    number = loaded.classes.index("punch")
    by_name, by_index = loaded.model(clip, wanted="punch"), loaded.model(clip, wanted=number)
    assert torch.equal(by_name.logits, by_index.logits)
    assert by_name.parts["specification"][0].nonzero().item() == number


def test_the_action_to_explain_is_asked_for_in_the_explanation_and_its_tests(
    run: Path, tmp_path: Path
) -> None:
    clip = generate_clip(split="multi", index=0, frames=4, size=32).video
    write_video(tmp_path / "clip.mp4", clip, 4.0)
    found = explain(
        run,
        [str(tmp_path / "clip.mp4")],
        action="punch",
        output=tmp_path / "made",
        html=True,
        test_steps=2,
    )
    assert found[0].error is None
    loaded = load_model(run)
    video = clips_of(
        replace(loaded.config.data, protocol="1x1"), [tmp_path / "clip.mp4"], loaded.classes
    )[(0, 0)].video[None].float() / 255  # fmt: skip
    with torch.no_grad():
        asked, plain = loaded.model(video, wanted="punch"), loaded.model(video)
    number = loaded.classes.index("punch")
    score = found[0].values()["logit"]
    assert score == pytest.approx(float(asked.logits[0, number]), abs=1e-4)
    assert abs(float(asked.logits[0, number] - plain.logits[0, number])) > 1e-3


def test_named_actions_are_measured_clip_by_clip(run: Path, config: Config) -> None:
    record = measure_named(run, clips=4)
    assert {len(v) for v in record["values"].values()} == {4}
    assert record["threshold_from"] == "multi_val"
    assert record["scores"]["swap_moves_without_a_name"]["clips"] > 0
    assert json.loads((run / "named" / "multi" / "named.json").read_text()) == record
    with pytest.raises(WhyactError, match="measure on another split"):
        measure_named(run, split="multi_val")
    with pytest.raises(WhyactError, match="no mask for each of several actors"):
        measure_named(run, split="iid")


def test_clips_joined_side_by_side_have_a_half_each(run: Path, config: Config) -> None:
    made = copy.deepcopy(config)
    made.data.val, made.data.join, made.data.join_axis = "val", 2, "width"
    record = measure_named(run, split="iid", clips=2, data=made)
    assert record["values"]["right_actor_chance"] == [0.5, 0.5] and record["failed"] == []
    assert record["scores"]["absent_below"]["clips"] == 2


def test_a_model_that_cannot_be_asked_explains_the_class_and_scores_it_among_the_others() -> None:
    model = ModelConfig(backbone=BackboneConfig(type="small", width=16))
    config = Config(model=model)
    built = build_model(model, classes=3).eval()
    loaded = LoadedModel(built, config, ("a", "b", "c"), (), Path())
    tokens, grid = torch.randn(1, 4, 8, 16), (2, 4)
    masks = torch.zeros(2, 4, 8, 16, dtype=torch.bool)
    masks[0, ..., :8], masks[1, ..., 8:] = True, True
    with torch.no_grad():
        scores = named_scores(loaded, tokens, grid)
        values = named_values(loaded, tokens, grid, (2, 0), masks, float(scores[1]) + 1e-4)
        logits = built.decode(tokens, grid).logits[0]
    assert torch.allclose(scores, logits - logits.mean(), atol=1e-6)
    assert values["absent_below"] == 1  # action 1 is the absent one
    assert values["present_above"] == (scores[[0, 2]] >= scores[1] + 1e-4).double().mean()
    for name in ("right_actor", "swap_moves"):
        assert torch.equal(values[name], values[f"{name}_without_a_name"])


@pytest.mark.parametrize("window", [0, 4])
def test_localisation_has_every_method_on_the_same_clips(run: Path, window: int) -> None:
    record = localise(run, clips=3, window=window)
    assert set(record["scores"]) == set(METHODS) and record["clips"] == 3
    for method in METHODS:
        assert all(v is None or 0 <= v <= 1 for v in record["scores"][method].values())
        assert len(record["found"][method]) == 3
    whole = [i for one in record["found"]["uniform"] for i in one["intervals"]]
    assert {(i["start"], i["stop"]) for i in whole} == {(0, 16)}
    scores = {m: total_scores(record["found"][m]) for m in METHODS}
    assert all(s == pytest.approx(scores["uniform"]) for s in scores.values())


@pytest.mark.parametrize(("threshold", "spans"), [(0.0, [(3, 6)]), (-9.0, [(0, 9)]), (9.0, [])])
def test_a_threshold_of_zero_is_heeded(
    run: Path, threshold: float, spans: list[tuple[int, int]]
) -> None:
    loaded, made = load_model(run), Localised()
    settings = LocaliseSettings(smooth=0, threshold=threshold, least_score=0.0)
    one = torch.tensor([-5.0, -5, -5, 4, 5, 5, -5, -5, -5])
    evidence = one[:, None].expand(-1, len(loaded.classes))
    change = torch.tensor([0.0, 0, 0, 0, 0, 0, 0, 1, 1])
    add_clip(made, loaded, "film", [], evidence, change, settings, torch.Generator())
    found = {m: [(i.start, i.stop) for i in made.found[m][0] if not i.action] for m in METHODS}
    assert found["model"] == spans
    assert found["motion"] == [(7, 9)] and found["uniform"] == [(0, 9)]


def total_scores(clips: list[dict[str, Any]]) -> dict[tuple[str, int], float]:
    """Of every action of every clip, over its pieces."""
    found: dict[tuple[str, int], float] = Counter()
    for one in clips:
        for i in one["intervals"]:
            found[one["id"], i["action"]] += i["score"]
    return found


def test_pieces_share_the_score_of_an_action_by_their_time() -> None:
    first, second = pieces(2, [(0, 3), (5, 6)], 0.8)
    assert (first.action, first.start, first.stop, first.score) == (2, 0, 3, pytest.approx(0.6))
    assert (second.start, second.stop, second.score) == (5, 6, pytest.approx(0.2))
    assert pieces(2, [], 0.8) == []


def test_a_clip_in_one_window_is_scored_as_the_model_scores_it(run: Path) -> None:
    record = localise(run, split="iid", clips=2, least_score=0.0)
    loaded = load_model(run)
    data = build_dataset(loaded.config.data, "iid", train=False, seed=loaded.config.seed)
    for index, one in zip(chosen(len(data), 2), record["found"]["uniform"], strict=True):
        clip = data[(index, 0)]
        assert isinstance(clip, Clip) and clip.id == one["id"]
        video = clip.video[None].float() / 255
        wished = loaded.model.score_each(video, range(len(loaded.classes)))
        scores = total_scores([one])
        own = torch.tensor([scores[one["id"], y] for y in range(len(loaded.classes))])
        assert torch.allclose(own, wished.logits[0].sigmoid(), atol=1e-5)
    assert (record["smooth"], record["hop"], record["window"]) == (1, 0, 0)


def test_the_timeline_streams_a_video_in_windows(run: Path, tmp_path: Path) -> None:
    sample = generate_clip(split="untrimmed", index=1, frames=16, size=32)
    write_video(tmp_path / "film.mp4", sample.video, 8.0)  # 64 frames, 8 seconds
    made = timeline(
        run, tmp_path / "film.mp4", ["punch", "wave"], window=2.0, threshold=-100.0,
        least_score=0.0, output=tmp_path,
    )  # fmt: skip
    (whole,) = made.intervals["punch"]
    assert (whole.start, whole.stop) == (0, pytest.approx(8.0, abs=0.2))
    record = json.loads(made.data.read_text())
    assert record["step"] == pytest.approx(0.5)
    assert [len(a["evidence"]) for a in record["actions"]] == [16, 16]
    page = made.page.read_text()
    assert (
        page.count("data:image/jpeg") == 2
        and "punch" in page
        and "http" not in page.split("<svg")[1]
    )


def test_the_command_says_when(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    sample = generate_clip(split="iid", index=1, frames=8, size=32)
    write_video(tmp_path / "film.mp4", sample.video, 8.0)
    (tmp_path / "bad.mp4").write_bytes(b"no film")
    words = ["explain", str(run), str(tmp_path / "film.mp4"), str(tmp_path / "bad.mp4")]
    options = ["--timeline", "--action", "punch", "--output", str(tmp_path), "--threshold", "99"]
    assert main([*words, *options]) == 1
    told = capsys.readouterr().out
    assert "film.mp4: " in told and "punch: not found" in told and "bad.mp4" in told
    assert main([*words, "--timeline", "--output", str(tmp_path)]) == 2
    assert main([*words, *options[:1], "--action", "pnch"]) == 2
    capsys.readouterr()
    for flag in (["--html"], ["--counterfactual"], ["--test-steps", "2"]):
        assert main([*words, *options, *flag]) == 2
        assert f"{flag[0]} is of clips" in capsys.readouterr().err
    assert main([*words, "--least-score", "0.2"]) == 2
    assert "--least-score belongs to --timeline" in capsys.readouterr().err
    assert main([*words, "--test-steps", "2"]) == 2
    assert "--test-steps is of the tests that pages show; add --html" in capsys.readouterr().err


def test_a_graph_of_the_true_boxes_trains_and_is_evaluated(config: Config) -> None:
    made = copy.deepcopy(config)
    made.name, made.data.backdrop.boxes = "boxes", True
    made.model.spatial_graph.type = "boxes"
    found = train(made)
    scores = found.scores["multi"]
    assert 0 <= scores["map"] <= 1 and set(scores["asked"]) == {p.name for p in PROTOCOLS}
    named = measure_named(found.folder, clips=2)["values"]
    assert len(named["right_actor"]) == 2 and named["right_actor"] != named["right_actor_chance"]
    assert 0 <= localise(found.folder, clips=2, window=4)["scores"]["model"]["map"] <= 1
    blind = copy.deepcopy(made)
    blind.data.backdrop.boxes = False
    for measure in (measure_named, localise):
        with pytest.raises(WhyactError, match=r"for Backdrop set data\.backdrop\.boxes"):
            measure(found.folder, clips=1, data=blind)


def test_evaluate_prints_when_and_on_whom(run: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["evaluate", str(run), "--splits", "multi", "--named", "--clips", "2"]) == 0
    assert main(["evaluate", str(run), "--splits", "untrimmed", "--localise", "--clips", "2"]) == 0
    told = capsys.readouterr().out
    for word in ("right_actor_chance", "absent_below", "map@0.5", "motion", "uniform", "random"):
        assert word in told


def test_evaluate_takes_all_clips_and_the_options_of_localisation_and_keeps_every_split(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    words = ["evaluate", str(run), "--output", str(tmp_path)]
    options = ["--window", "8", "--hop", "2", "--smooth", "2", "--threshold", "1.5"]
    options += ["--least-score", "0.2"]
    assert main([*words, "--splits", "iid", "untrimmed", "--localise", *options]) == 0
    for split in ("iid", "untrimmed"):
        record = json.loads((tmp_path / split / "localisation.json").read_text())
        assert (record["split"], record["clips"]) == (split, 6)  # all there are
        settings = [record[k] for k in ("window", "hop", "smooth", "threshold", "least_score")]
        assert settings == [8, 2, 2, 1.5, 0.2]
    assert main([*words, "--splits", "multi", "untrimmed", "--named", "--clips", "1"]) == 0
    for split in ("multi", "untrimmed"):
        assert json.loads((tmp_path / split / "named.json").read_text())["split"] == split
    assert main([*words, "--splits", "multi", "--named", "--clips", "1"]) == 0
    assert (tmp_path / "named.json").is_file()
    capsys.readouterr()
    assert main([*words, "--named", "--smooth", "2"]) == 2
    assert "--smooth belongs to --localise" in capsys.readouterr().err


def test_the_command_takes_several_actions(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    sample = generate_clip(split="iid", index=1, frames=8, size=32)
    write_video(tmp_path / "film.mp4", sample.video, 8.0)
    words = ["explain", str(run), str(tmp_path / "film.mp4"), "--output", str(tmp_path)]
    punch = load_model(run).classes.index("punch")
    actions = ["--action", str(punch), "--action", "wave"]
    assert main([*words, *actions, "--timeline", "--least-score", "0"]) == 0
    record = json.loads((tmp_path / "film-timeline.json").read_text())
    assert [one["action"] for one in record["actions"]] == ["punch", "wave"]
    capsys.readouterr()
    assert main([*words, *actions]) == 0
    told = capsys.readouterr().out
    for name in ("punch", "wave"):
        made = json.loads((tmp_path / f"film-{name}.json").read_text())
        assert made["class"] == name and made["intervals"]
        assert f"  {name}: 0:0" in told
    assert main([*words, "--action", "hit him"]) == 2
    assert "--encoder FOLDER" in capsys.readouterr().err
