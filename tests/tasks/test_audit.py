"""The audit from end to end: record, page, exit code, hostile names."""

from __future__ import annotations

import json
import re

import pytest
import torch
from tests.audits.toys import ActorReader, BackgroundReader, OneSided, ToyClips
from tests.tasks.tiny import CLASSES, tiny_file, write_folder

import whyact
from whyact.audits.verdict import LEVELS
from whyact.cli import main
from whyact.models.clip_callable import OpenedModel
from whyact.models.foreign import Wanted
from whyact.report.audit_page import headline, sentences
from whyact.tasks.audited import match_classes, open_model
from whyact.types import WhyactError

HOSTILE = ("<script>alert('x')</script>", 'he said "left" & left')


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """Of the model that reads the background, under class names that are no good manners."""
    folder = tmp_path_factory.mktemp("audit")
    found = whyact.audit(
        BackgroundReader(), ToyClips(40, classes=HOSTILE), layer="colour", explained=4,
        output=folder, name="<b>model</b>", fail_below=["swapped=0.5", "original=0.5"],
    )  # fmt: skip
    return found, folder


def test_the_record(audited):
    found, folder = audited
    record = json.loads((folder / "audit.json").read_text())
    assert record == json.loads(json.dumps(found.record))
    assert record["verdict"]["level"] == "leans"
    assert record["measures"]["swapped"] | {"text": ""} == {
        "text": "", "mean": 0.0, "low": 0.0, "high": 0.0, "clips": 40, "undefined": 0,
        "chance": 0.5,
    }  # fmt: skip
    assert record["judged"]["clips"] == 40 and record["judged"]["chance"] == 0.5
    assert record["judged"]["measures"]["own_background"]["mean"] == 1.0
    assert record["measures"]["background_heat"]["clips"] == 4
    assert record["leakage"]["linear"]["mean"] > record["leakage"]["correlation"]
    assert record["masks"]["from"] == {"given": 40} and record["masks"]["usable"] == 40
    assert record["data"]["fingerprint"] == "toy" and record["model"]["classes_matched"]
    assert [row["class"] for row in record["per_class"]] == list(HOSTILE)
    assert {row["verdict"]["level"] for row in record["per_class"]} == {"leans"}
    clips = record["clips"]
    assert clips["named"]["original"] == clips["label"] and len(clips["id"]) == 40
    assert [1 - i for i in clips["label"]] == clips["named"]["swapped"]
    assert clips["background_heat"].count(None) == 36
    assert {"seed", "explainer"} <= set(record["settings"])


def test_every_class_has_a_verdict_of_its_own_clips(tmp_path):
    found = whyact.audit(
        OneSided(), ToyClips(40, classes=("right", "left")), explainer="none", output=tmp_path
    )
    rows = found.record["per_class"]  # the worst first
    assert [(r["class"], r["verdict"]["level"], r["clips"]) for r in rows] == [
        ("left", "leans", 20), ("right", "none_found", 20)
    ]  # fmt: skip
    assert [r["swapped"]["mean"] for r in rows] == [0.0, 1.0]


@pytest.mark.parametrize("level", LEVELS)
def test_every_verdict_makes_a_sentence(level):
    told = headline({"level": level, "text": LEVELS[level]})
    assert told.startswith("No ") == (level in ("none_found", "undecided", "unclear", "unknown"))
    assert "model cannot be told" not in told and told.endswith(".")


def test_a_bound_that_does_not_hold_is_named(audited):
    found, _ = audited
    assert found.failed == ("swapped is 0.000 [0.000, 0.000] (40 clips), below its bound 0.5",)


def test_the_page_is_safe_and_alone(audited):
    _, folder = audited
    page = (folder / "audit.html").read_text()
    assert "alert('x')" not in page and "alert(&#39;x&#39;)" in page
    assert "<b>model" not in page and "&lt;b&gt;model&lt;/b&gt;" in page
    assert "This model leans on the background." in page and "bound failed" in page
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page) and "https:" not in page
    assert page.count("<article") == 8 and page.count('src="data:image/jpeg') == 32


def test_without_masks_and_layer_the_page_says_why(tmp_path):
    found = whyact.audit(
        ActorReader(), ToyClips(12), masks="none", explainer="none", output=tmp_path
    )
    assert found.record["verdict"]["level"] == "unknown"
    why = found.record["measures"]["swapped"]["why"]
    assert why == "no masks of the actors; --masks motion finds what moves"
    assert found.record["leakage"]["why"].startswith("no layer was named")
    page = (tmp_path / "audit.html").read_text()
    assert why in page and "No verdict: it cannot be told" in page and "<article" not in page


class Uneven(ToyClips):
    """Four clips of one class for one of the other, so that most have no donor."""

    def __init__(self) -> None:
        super().__init__(60)
        self.labels = [int(i % 5 == 0) for i in range(60)]


def test_what_is_compared_is_of_the_same_clips(tmp_path):
    """A model that always names the commonest class leans on nothing, and knows nothing."""
    always = lambda clips: torch.tensor([[1.0, 0.0]]).repeat(len(clips), 1)  # noqa: E731
    found = whyact.audit(always, Uneven(), explainer="none", output=tmp_path).record
    assert found["measures"]["original"]["chance"] == found["measures"]["original"]["mean"] == 0.8
    assert found["judged"]["clips"] == 24 and found["judged"]["chance"] == 0.5
    assert found["measures"]["swapped"]["chance"] == 0.5  # of the clips that have a donor
    named, swapped, *_ = sentences(found)
    assert named == "It names 80 % of the clips right; the commonest class alone would give 80 %."
    assert swapped == (
        "Of the 24 clips that have every change, before another action's background 50 % are "
        "right; cut out and pasted back before their own, 50 % are."
    )
    assert len(sentences(found)) == 4 and "traces" not in " ".join(sentences(found))
    assert {row["verdict"]["level"] for row in found["per_class"]} == {"no_skill"}


@pytest.mark.parametrize("explainer", ["occlusion", "integrated_gradients"])
@pytest.mark.parametrize("given", [{"masks": "none"}, {"explained": 0}])
def test_nothing_to_explain_is_not_explained(explainer, given):
    found = whyact.audit(ActorReader(), ToyClips(12), explainer=explainer, **given).record
    assert found["measures"]["background_heat"]["mean"] is None


def test_the_clips_that_are_explained_are_drawn_by_the_seed():
    drawn = []
    for seed in (0, 1):
        found = whyact.audit(BackgroundReader(), ToyClips(40), explained=3, seed=seed).record
        heat = found["clips"]["background_heat"]
        drawn.append([i for i, h in enumerate(heat) if h is not None])
    assert len(drawn[0]) == len(drawn[1]) == 3 and drawn[0] != drawn[1]


@pytest.mark.parametrize("explainer", ["occlusion", "integrated_gradients"])
def test_a_model_that_takes_one_clip_at_a_time(explainer):
    class Single(BackgroundReader):
        def forward(self, clips):
            assert len(clips) == 1, "one at a time"
            return super().forward(clips)

    model = Single()
    found = whyact.audit(
        model, ToyClips(48), explainer=explainer, explained=2, batch_size=1, layer="colour"
    ).record
    assert found["measures"]["background_heat"]["clips"] == 2
    assert found["leakage"]["why"] == "a layer is read of 3 clips at once, and --batch-size is 1"


def test_a_model_in_training_is_audited_as_it_is_used():
    class Dropped(BackgroundReader):
        def forward(self, clips):
            return super().forward(clips) * (float("nan") if self.training else 1)

    model = Dropped().train()
    found = whyact.audit(
        model, ToyClips(8), explainer="none", masks=lambda x: (x.amin(1, True) > 0.9).float()
    )
    assert found.record["masks"]["from"] == {"segmentation": 8} and model.training


def test_what_is_audited_must_be_a_callable_that_works():
    with pytest.raises(WhyactError, match="Expected a callable on clips, got str"):
        whyact.audit("model", ToyClips(4))

    def broken(clips):
        raise ValueError("size 112 expected")

    with pytest.raises(WhyactError, match=r"broken fails on clips of shape \(1, 3, 6, 24, 24\): "
                       r"ValueError: size 112 expected. --size and --frames"):  # fmt: skip
        whyact.audit(broken, ToyClips(4))

    def traced_for_one(clips):
        if len(clips) > 1:
            raise RuntimeError("shape '[1, 6]' is invalid")
        return ActorReader()(clips)

    with pytest.raises(WhyactError, match=r"fails on clips of shape \(4, 3, .*--batch-size 1 asks"):
        whyact.audit(traced_for_one, ToyClips(4), explainer="none")
    opened = OpenedModel(ActorReader(), "x.onnx", (), None, "", {}, gradients=False)
    with pytest.raises(WhyactError, match=r"x.onnx has no gradients, so integrated_gradients"):
        whyact.audit(opened, ToyClips(4), explainer="integrated_gradients")


def test_classes_are_matched_by_name_by_order_or_by_a_map(tmp_path):
    data = ToyClips(8)
    assert match_classes(data, (), 2, "")[1] is None
    assert match_classes(data, ("left", "right"), 2, "")[1] == [1, 0]
    with pytest.raises(WhyactError, match=r"gives 3 logits and the data has 2 classes. Give --cl"):
        match_classes(data, (), 3, "")
    with pytest.raises(WhyactError, match="the model has no 'right'"):
        match_classes(data, ("left", "up"), 2, "")
    table = tmp_path / "map.csv"
    table.write_text("right,2\nleft,0\n")
    mapped, columns, said = match_classes(data, (), 3, table)
    assert columns == [0, 2] and mapped.classes == ("left", "right") and str(table) in said
    assert mapped.labels[:2] == [1, 0]
    table.write_text("right,3\n")
    with pytest.raises(WhyactError, match="'3' must be a number from 0 to 2"):
        match_classes(data, (), 3, table)


def test_a_model_with_more_outputs_is_audited_through_a_map(tmp_path):
    table = tmp_path / "map.csv"
    table.write_text("right,2\nleft,0\n")

    def wide(clips):
        two = BackgroundReader()(clips)
        return torch.stack([two[:, 1], two[:, 0] + 100, two[:, 0]], 1)

    found = whyact.audit(wide, ToyClips(12), class_map=table, explainer="none", seed=1)
    assert found.record["measures"]["original"]["mean"] == 1.0
    assert found.record["measures"]["swapped"]["mean"] == 0.0


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder of videos, its settings, and a TorchScript file of a model that reads brightness."""
    root = tmp_path_factory.mktemp("files")
    write_folder(root / "clips", splits=("test",), clips=4)
    config = tiny_file(root / "data.yaml", root / "clips", root / "runs")

    class Brighter(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.stack([x[..., :16].mean((1, 2, 3, 4)), x[..., 16:].mean((1, 2, 3, 4))], 1)

    torch.jit.script(Brighter()).save(str(root / "model.pt"))
    return root, config


@pytest.mark.filterwarnings("ignore")
def test_the_command_and_its_exit_codes(files, capsys):
    root, config = files
    argv = ["audit", str(root / "model.pt"), "--data", str(config), "--clips", "6",
            "--explained", "2", "--output", str(root / "out")]  # fmt: skip
    assert main([*argv, "--fail-below", "original=0.5", "static=0.5"]) == 0
    told = capsys.readouterr()
    assert "It names 100 % of the clips right" in told.out and "Page and record:" in told.out
    record = json.loads((root / "out" / "audit.json").read_text())
    assert record["data"]["type"] == "folder" and record["data"]["read"] == 6
    assert len(record["data"]["fingerprint"]) == len(record["model"]["sha256"]) == 64
    assert record["masks"]["from"] == {"motion": 6}
    assert main([*argv, "--fail-above", "motion_use=-0.1"]) == 1
    assert "bound failed: motion_use is 0.000" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["absent"], "absent: no such model; expected runs/NAME"),
        (["absent.onnx"], "absent.onnx: no such model file"),
        (["FILE", "--fail-below", "contrast=1"], "Did you mean 'contrasted'"),
        (["FILE", "--masks", "mask"], "--masks mask: expected one of auto, given, motion, none"),
        (["FILE", "--layer", "head"], "layers need a PyTorch module, not an exported file"),
        (["FILE", "--weights", "w.pth"], "--weights does nothing for"),
        (["FILE", "--explainr", "none"], "Did you mean '--explainer'"),
        (["DATA"], "not a readable checkpoint"),
    ],
)
def test_errors_of_use(files, tmp_path, monkeypatch, capsys, words, message):
    root, config = files
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.safetensors").write_text("nothing")
    places = {"FILE": str(root / "model.pt"), "DATA": str(tmp_path)}
    argv = [places.get(word, word) for word in words]
    assert main(["audit", *argv, "--data", str(config)]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["torchvision:r3d_81"], "Did you mean 'r3d_18'"),
        (["torchvision:r3d_18", "--weights", "absent.pth"], "absent.pth: no such weight file"),
        (["absent.onnx"], "absent.onnx: no such model file"),
    ],
)
def test_a_typo_in_the_model_costs_no_data(words, message, tmp_path, capsys):
    data = tmp_path / "data"
    flags = ["--data.type", "backdrop", "--data.root", str(data), "--data.test", "[iid]"]
    assert main(["audit", *words, *flags]) == 2
    assert message in capsys.readouterr().err and not data.exists()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"explainer": "lime"}, "Unknown explainer 'lime'"),
        ({"layer": "backbone"}, "layers need a PyTorch module"),
        ({"masks": "absent.pt"}, "--masks absent.pt"),
        ({"fail_below": ["skill=1"]}, "skill"),
        ({"clips": 0}, "--clips is 0; it must be 1 or more"),
        ({"explained": -1}, "--explained is -1; it must be 0 or more"),
        ({"batch_size": 0}, "--batch-size is 0; it must be 1 or more"),
        ({"output": __file__}, "cannot be made a folder"),
    ],
)
def test_a_wrong_setting_costs_no_data(asked, message):
    def data():
        pytest.fail("The data was made first.")

    with pytest.raises(WhyactError, match=message):
        whyact.audit(lambda clips: clips.mean((2, 3, 4)), data, **asked)


def test_a_run_of_this_project(tmp_path, monkeypatch):
    root = write_folder(tmp_path / "clips", clips=2)
    config = whyact.load_config([tiny_file(tmp_path / "c.yaml", root, tmp_path / "runs")])
    run = whyact.train(config).folder
    opened = open_model(str(run), Wanted())
    assert opened.classes == CLASSES and opened.form["frames"] == 4
    longer = open_model(str(run), Wanted(frames=8)).form
    assert longer["source"] == "the run's own config; given: frames"
    for wanted in (Wanted(weights="w.pth"), Wanted(mean=(0.5, 0.5, 0.5))):
        with pytest.raises(WhyactError, match="a run of this project has its own; leave it out"):
            open_model(str(run), wanted)
    assert main(["audit", str(run), "--output", str(tmp_path / "out"), "--explainer", "none",
                 "--layer", "backbone"]) == 0  # fmt: skip
    record = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert record["model"]["classes_matched"] == "by name"
    assert record["leakage"]["why"] == "the data set names no scenes"
    monkeypatch.chdir(tmp_path)  # the middle of each clip, and a folder for each split
    assert main(["audit", str(run), "--explainer", "none", "--data.protocol", "2x3"]) == 0
    (file,) = tmp_path.glob("audits/*/test/audit.json")
    again = json.loads(file.read_text())
    assert again["data"]["config"]["protocol"] == "1x1"
    assert again["clips"]["probability"] == record["clips"]["probability"]
