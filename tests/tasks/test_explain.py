"""Prediction and explanation of files, with an untrained checkpoint."""

import json
import os
from pathlib import Path
from typing import Any

import av
import pytest
import torch
from PIL import Image
from tests.toys import ToyModel
from torch import Tensor, nn

from whyact.config import Config
from whyact.models.builders import build_model
from whyact.ops.encode import write_video
from whyact.report.schema import validate
from whyact.tasks.explain import (
    explain,
    explain_classes,
    graph_rounds,
)
from whyact.tasks.explanation_files import Explained, write_explanation
from whyact.tasks.predict import predict
from whyact.tasks.shares import measure_shares
from whyact.training.checkpoint import load_model, save_checkpoint
from whyact.types import ActionOutput, WhyactError

CLASSES = ("wave", "push left", "push right")


def tiny_config() -> Config:
    """Eight frames of 32 pixels."""
    config = Config()
    config.data.type = "folder"
    config.data.clip.frames = 8
    config.data.transform.short_side, config.data.transform.size = 36, 32
    config.data.transform.flip_pairs = [["push left", "push right"]]
    config.model.backbone.width = 16
    config.model.spatial_graph.regions = 4
    return config


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    config = tiny_config()
    model = build_model(config.model, classes=len(CLASSES), scenes=2, seed=3)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():  # zero weights would explain nothing
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    save_checkpoint(
        folder, weights=model.state_dict(), config=config, classes=CLASSES, scenes=("a", "b"),
        state={},
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two good clips of the same name in two folders, and a file that is no video."""
    folder = tmp_path_factory.mktemp("clips with blank")
    generator = torch.Generator().manual_seed(0)
    for place in ("a", "b"):
        frames = torch.randint(0, 255, (20, 40, 64, 3), generator=generator, dtype=torch.uint8)
        write_video(folder / place / "hand über.mp4", frames, 10)
    (folder / "broken.mp4").write_text("no video")
    return folder


def test_files_of_every_clip_and_the_error_of_a_bad_one(
    checkpoint: Path, videos: Path, tmp_path: Path
) -> None:
    found = explain(checkpoint, [str(videos)], output=tmp_path / "out")
    bad, *good = sorted(found, key=lambda one: one.error is None)
    assert bad.error is not None and "broken.mp4" in bad.error and bad.video is None
    assert [one.picture.name for one in good if one.picture] == ["hand über.png", "hand über-2.png"]
    for one in good:
        assert one.video and one.picture and one.data and one.error is None
        values = one.values()
        validate(values)
        assert values["source"] == "hand über.mp4" and values["heat_shape"] == [8, 32, 32]
        assert len(values["times"]) == 8 and values["times"] == sorted(values["times"])
        assert len(values["path"]) == 2  # the rounds of the default graph
        assert values["mask"] == "motion"
        with av.open(str(one.video)) as container:
            frames = list(container.decode(video=0))
            assert len(frames) == 8 and container.streams.video[0].codec_context.name == "h264"
        with Image.open(one.picture) as image:
            assert image.width > 1000


def test_a_class_can_be_asked_for(checkpoint: Path, videos: Path, tmp_path: Path) -> None:
    clip = str(videos / "a" / "*.mp4")
    (one,) = explain(checkpoint, [clip], action="push left", output=tmp_path, shares=False)
    assert one.values()["class"] == "push left" and one.values()["class_index"] == 1
    assert one.values()["action_share"] is None and one.values()["drops"] is None
    with pytest.raises(WhyactError, match=r"no class 'push lift'. Did you mean 'push left'\?"):
        explain(checkpoint, [clip], action="push lift", output=tmp_path)


def test_prediction_and_explanation_see_the_same_clip(
    checkpoint: Path, videos: Path, tmp_path: Path
) -> None:
    found = predict(checkpoint, [str(videos)], top_k=2)
    assert sum(one.error is not None for one in found) == 1
    named = next(one for one in found if one.source.endswith("a/hand über.mp4"))
    assert len(named.classes) == 2 and named.classes[0][1] >= named.classes[1][1]
    (one,) = explain(checkpoint, [str(videos / "a")], output=tmp_path, shares=False)
    told = one.values()["predicted"]
    assert [p["class"] for p in told[:2]] == [name for name, _ in named.classes]
    assert told[0]["probability"] == pytest.approx(named.classes[0][1], abs=1e-5)
    assert len(predict(checkpoint, [str(videos / "a")], top_k=9)[0].classes) == 3


def test_an_actor_is_there_or_not(checkpoint: Path) -> None:
    model = load_model(checkpoint).model
    video = torch.rand(3, 8, 32, 32, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(8, 32, 32, dtype=torch.bool)
    (nobody,), chances = explain_classes(model, video, count=1, mask=mask)
    mask[:, 8:24, 8:24] = True
    (there,), _ = explain_classes(model, video, count=1, mask=mask)
    assert nobody.extra["mask"] == there.extra["mask"] == "given" and len(chances) == 3
    assert there.extra["drops"]["actor"] != 0
    assert nobody.action_share is None and nobody.extra["drops"] is None
    assert graph_rounds(model) == 2 and graph_rounds(nn.Linear(1, 1)) == 0


class Halves(nn.Module):
    """The logit of class 0 is 3 times the left half's mean and once the right half's."""

    def __init__(self) -> None:
        super().__init__()
        self.toy = ToyModel(classes=2)
        self.calls: list[int] = []

    def forward(self, x: Tensor, traced: bool = False) -> ActionOutput:
        from dataclasses import replace

        self.calls.append(len(x))
        left, right = x[..., :8].mean((1, 2, 3, 4)), x[..., 8:].mean((1, 2, 3, 4))
        score = 3 * left + right
        output = self.toy(x, traced)
        contributions = torch.zeros(len(x), x.shape[2], 2, 2)
        contributions[:, 0, 0, 0], contributions[:, 0, 0, 1] = score, -score
        return replace(
            output, logits=torch.stack([score, -score], 1), contributions=contributions,
            bias=torch.zeros(2),
        )  # fmt: skip


def test_shares_by_hand() -> None:
    """A white left half is the actor; it never moves, so its plate is filled from around it."""
    clips = torch.zeros(2, 3, 4, 16, 16)
    clips[..., :8] = 1.0
    clips[1] = 0.5
    mask = torch.zeros(2, 4, 16, 16)
    mask[..., :8] = 1
    model = Halves()
    scores = torch.tensor([3.0, 2.0])
    both = torch.stack([scores, -scores], 1)
    (black, other), (flat, _) = measure_shares(model, clips, torch.tensor([[0, 1]] * 2), both, mask)
    assert model.calls == [2, 2]  # for any number of classes
    assert other.drops == {k: pytest.approx(-v) for k, v in black.drops.items()}
    # Behind the actor everything is black: the drop is 3. The blurred background is a little
    # brighter than the black one: the logit rises, which is no drop.
    assert black.drops["actor"] == pytest.approx(3, abs=0.02)
    assert black.drops["background"] < 0 and black.actor == 1 and black.mask == "given"
    # Grey all over: nothing changes.
    assert flat.drops["actor"] == pytest.approx(0, abs=1e-5)
    assert flat.drops["background"] == pytest.approx(0, abs=1e-5)
    assert flat.actor is None


def test_several_classes_of_a_clip_cost_no_more_than_one() -> None:
    model = Halves()
    video = torch.full((3, 4, 16, 16), 0.5)
    mask = torch.ones(4, 16, 16)
    found, chances = explain_classes(model, video, targets=[1], mask=mask)
    assert model.calls == [1, 1, 1]
    assert [e.target for e in found] == [1, 0] and [e.score for e in found] == [-2.0, 2.0]
    assert found[0].extra["mask"] == "given" and chances[0] > 0.9
    assert [e.target for e in explain_classes(model, video, count=1, shares=False)[0]] == [0]


def test_pages_and_their_gallery(checkpoint: Path, videos: Path, tmp_path: Path) -> None:
    paths = [str(videos / "a"), str(videos / "broken.mp4")]
    one, bad = explain(checkpoint, paths, output=tmp_path, html=True)
    assert one.page == tmp_path / "hand über.html" and one.data and bad.page is None
    gallery = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert gallery.count('"page":"hand%20%C3%BCber.html"') == 1 and "broken" not in gallery
    assert (tmp_path / "hand über.jpg").read_bytes()[:2] == b"\xff\xd8"
    values = json.loads(one.data.read_text())
    validate(values)
    assert set(values["tests"]["gap"]) == {"native", "random", "centre_prior", "motion_magnitude"}
    (bare,) = explain(
        checkpoint, [str(videos / "b")], output=tmp_path / "bare", html=True, test_steps=0
    )
    assert bare.page and bare.page.read_text(encoding="utf-8").count('"tests":null') == 3


def test_every_action_is_explained_by_itself_and_by_index(
    checkpoint: Path, videos: Path, tmp_path: Path
) -> None:
    clip = str(videos / "a" / "*.mp4")
    names = [2, "wave"]
    found = explain(checkpoint, [clip], action=names, output=tmp_path, html=True, test_steps=0)
    assert [one.values()["class_index"] for one in found] == [2, 0]
    assert [one.page.name for one in found if one.page] == [
        "hand über-push_right.html", "hand über-wave.html"
    ]  # fmt: skip
    assert (tmp_path / "index.html").read_text(encoding="utf-8").count('"page":') == 2
    (one,) = explain(checkpoint, [clip], action="1", output=tmp_path, shares=False)
    assert one.values()["class_index"] == 1
    with pytest.raises(WhyactError, match="There is no class 9"):
        explain(checkpoint, [clip], action=9, output=tmp_path)


def test_text_means_its_most_probable_class(
    checkpoint: Path, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = {"wave": [0.0, 1.0]}  # the others, and any other text, are alike

    def encoder(sentences: list[str]) -> Tensor:
        return torch.tensor([vectors.get(s, [1.0, 0.0]) for s in sentences])

    monkeypatch.setattr("whyact.tasks.explain.load_encoder", lambda folder: encoder)
    clip = str(videos / "a" / "*.mp4")
    (one,) = explain(
        checkpoint, [clip], action="shove it", encoder="x", output=tmp_path, shares=False
    )
    told = {p["class"]: p["probability"] for p in one.values()["predicted"]}
    best = max(("push left", "push right"), key=told.__getitem__)
    assert one.values()["class"] == best


class Late(Halves):
    """Says class 0 in the second half of twelve frames, and class 1 as much all the time."""

    def forward(self, x: Tensor, traced: bool = False) -> ActionOutput:
        from dataclasses import replace

        frames = torch.tensor([[0.0, 2.0]] * 6 + [[6.0, 2.0]] * 6).expand(len(x), -1, -1)
        return replace(super().forward(x, traced), frame_logits=frames)


def test_clips_are_never_overwritten(checkpoint: Path, tmp_path: Path) -> None:
    """An overlay video has its clip's name, so it may not go to the clip's own folder."""
    clip = tmp_path / "clips" / "mine.mp4"
    write_video(clip, torch.zeros(9, 16, 16, 3, dtype=torch.uint8), 10)
    before = clip.read_bytes()
    (tmp_path / "linked").symlink_to(clip.parent)
    link = tmp_path / "other.mp4"
    link.symlink_to(clip)
    cases = ((clip, "clips"), (clip, "linked"), (clip.parent, "clips"), (link, "clips"))
    for path, output in cases:
        (one,) = explain(checkpoint, [str(path)], output=tmp_path / output)
        refused = one.error is not None and "its overlay video would take its place" in one.error
        assert refused == (path != link) and clip.read_bytes() == before
    (one,) = explain(checkpoint, [str(link)], output=tmp_path)  # through the link
    assert one.error is not None and clip.read_bytes() == before
    both = explain(checkpoint, [str(clip)], action=["wave", "push left"], output=clip.parent)
    assert [one.error for one in both] == [None, None] and clip.read_bytes() == before


def test_one_that_cannot_be_explained_costs_no_other(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = torch.zeros(9, 16, 16, 3, dtype=torch.uint8)
    for name in (b"bad.mp4", b"caf\xe9.mp4"):
        write_video(tmp_path / os.fsdecode(name), frames, 10)
    whole = write_explanation

    def fails(folder: Path, stem: str, **how: Any) -> Explained:
        if stem == "bad":
            raise WhyactError("no")
        return whole(folder, stem, **how)

    monkeypatch.setattr("whyact.tasks.explain.write_explanation", fails)
    bad, good = explain(checkpoint, [str(tmp_path)], output=tmp_path / "out", html=True)
    assert bad.error == "no" and good.error is None
    assert good.values()["source"] == r"caf\xe9.mp4"
    with pytest.raises(WhyactError, match=r"bad.mp4: there is no explanation: no"):
        bad.values()


@pytest.mark.parametrize(("multi_label", "start", "stop"), [(False, 6, 1 / 2), (True, 6, 1)])
def test_an_explanation_says_when(multi_label: bool, start: int, stop: float) -> None:
    """Where classes exclude each other one is less there while the other is more."""
    first, second = explain_classes(
        Late(), torch.zeros(3, 12, 16, 16), targets=[0], shares=False, multi_label=multi_label
    )[0]
    found = {e.target: e.extra["when"] for e in (first, second)}
    assert found == {0: [[start / 12, 1.0]], 1: [[0.0, stop]]}
