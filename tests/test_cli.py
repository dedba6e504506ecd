"""The command line: exit codes, messages, and the same results as the functions behind it."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from tests.tasks.tiny import (
    CLASSES,
    same_weights,
    tiny_config,
    tiny_file,
    tiny_flags,
    write_clip,
    write_folder,
)

import whyact
from whyact.cli import _parser, main
from whyact.config import Config
from whyact.config_io import from_dict, load_config
from whyact.tasks.evaluation_record import read_predictions
from whyact.tasks.train import RunResult
from whyact.types import WhyactError

REPOSITORY = Path(__file__).parents[1]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "checkpoints" / "last" / "model.safetensors")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="module")
def run(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """Trained by the function."""
    return whyact.train(tiny_config(clips, tmp_path_factory.mktemp("runs"), name="function"))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip in each of two folders, and a file that is no video."""
    folder = tmp_path_factory.mktemp("inputs")
    for label, name in enumerate(("a", "b")):
        write_clip(folder / name / "clip.mp4", label, 900 + label)
    (folder / "broken.mp4").write_text("no video")
    return folder


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("train --reusme", "There is no option '--reusme'. Did you mean '--resume'?"),
        ("train --epochs 3", "There is no option '--epochs'. Did you mean '--training.epochs'?"),
        ("train --model.spatial_grph.type grid",
         "there is no setting 'model.spatial_grph.type'. Did you mean 'model.spatial_graph.type'?"),
        ("train --model.type mlp", "model.type: expected one of whyact, pooled, cnn3d, cnn_lstm;"),
        ("train --training.epochs few", "training.epochs: expected a whole number, got 'few'."),
        ("train stray", "command line: unrecognized arguments: stray"),
        ("train --data.type foldr", "Unknown data.type 'foldr'; choose from ['backdrop', 'folder'"),
        ("settings --config absent.yaml", "absent.yaml: no such config file."),
        ("predict runs/x clip.mp4 --topp 3", "There is no option '--topp'. Did you mean '--top'?"),
        ("predict runs/x a.mp4 -k", "Did not understand '-k'; see whyact --help."),
        ("explain runs/x a.mp4 --acton wave", "There is no option '--acton'. Did you mean '--act"),
        ("demo --outptu x", "There is no option '--outptu'. Did you mean '--output'?"),
        ("ablate --grid absent.yaml", "absent.yaml: no such grid file."),
        ("evaluate absent", "absent: no checkpoint here. Give a run's folder (runs/<name>)"),
        ("predict absent clip.mp4", "absent: no checkpoint here."),
        ("explain absent clip.mp4", "absent: no checkpoint here."),
        ("data check --splits iid", "--splits belongs to whyact data shard, backdrop; run"),
        ("data boxes --out x --short-side 9", "--short-side belongs to whyact data prepare; run"),
        ("audit m.pt --model.code_width 3", "--model.code_width: whyact audit takes a model as"),
        ("codes runs/x --training.epochs 3", "--training.epochs: trained models keep their setti"),
        ("data backdrop --out x --splits swp", "Backdrop has no split 'swp'; choose from ['train'"),
    ],
)  # fmt: skip
def test_errors_of_use(argv, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(argv.split()) == 2
    told = capsys.readouterr()
    assert told.err.startswith("whyact: ") and message in told.err and told.out == ""
    assert len(told.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("", "the following arguments are required: COMMAND"),
        ("tarin", "invalid choice: 'tarin' (choose from"),
        ("predict runs/x", "the following arguments are required: paths"),
        ("data fold --out x", "invalid choice: 'fold' (choose from"),
    ],
)
def test_errors_of_the_command(argv, message, capsys):
    with pytest.raises(SystemExit) as told:
        main(argv.split())
    assert told.value.code == 2 and message in capsys.readouterr().err


def test_help_lists_the_commands(capsys):
    with pytest.raises(SystemExit) as told:
        main(["--help"])
    assert told.value.code == 0
    shown = capsys.readouterr().out
    for command in ("train", "evaluate", "predict", "explain", "ablate", "settings", "demo"):
        assert f"\n    {command} " in shown


def test_help_of_a_command_names_defaults_once(capsys):
    with pytest.raises(SystemExit):
        main(["evaluate", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "of each split, at most; default: 200, and all with --localise" in shown
    assert "of --clips, for metrics that explain again; default: 50 --workers" in shown
    assert "torch device, e.g. cuda (default: cpu)" in shown
    assert "default: data.test of the config --output" in shown


@pytest.mark.parametrize("argv", ["--debug evaluate absent", "evaluate absent --debug"])
def test_debug_shows_the_traceback(argv):
    with pytest.raises(WhyactError, match="absent: no checkpoint here"):
        main(argv.split())


def test_an_interrupt_says_how_to_go_on(monkeypatch, capsys):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("whyact.tasks.train.train", interrupted)
    assert main(["train"]) == 130
    assert "go on with --resume" in capsys.readouterr().err


def test_settings_are_printed_as_yaml(tmp_path, capsys):
    assert main(["settings"]) == 0
    assert from_dict(yaml.safe_load(capsys.readouterr().out)) == Config()
    (tmp_path / "a.yaml").write_text("training: {epochs: 3}\nseed: 1")
    (tmp_path / "b.yaml").write_text("seed: 2\nname: b")
    files = ["--config", str(tmp_path / "a.yaml"), "--config", str(tmp_path / "b.yaml")]
    assert main(["settings", *files, "--name", "flag", "--data.fold", "-1"]) == 0
    made = from_dict(yaml.safe_load(capsys.readouterr().out))
    assert (made.name, made.seed, made.training.epochs, made.data.fold) == ("flag", 2, 3, -1)


def test_train_is_the_function(clips, run, tmp_path, capsys):
    argv = ["train", *tiny_flags(clips, tmp_path, name="command")]
    assert main(argv) == 0
    shown = capsys.readouterr().out
    assert "top1" in shown and f"{100 * run.scores['test']['top1']:.1f} %" in shown
    assert same_weights(weights(tmp_path / "command"), weights(run.folder))
    assert json.loads((tmp_path / "command" / "result.json").read_text()) == run.scores
    assert main(argv) == 2
    assert "holds a run already. Go on with --resume" in capsys.readouterr().err
    assert main([*argv, "--resume"]) == 0


def test_train_reads_files_and_flags_on_top(clips, run, tmp_path):
    file = tiny_file(tmp_path / "tiny.yaml", clips, tmp_path, seed=1, training__epochs=3)
    flags = ["--seed", "42", "--training.epochs=1", "--name", "mixed"]
    assert main(["train", "--config", str(file), *flags]) == 0
    assert same_weights(weights(tmp_path / "mixed"), weights(run.folder))


def test_evaluate_is_the_function(run, tmp_path, capsys):
    argv = ["evaluate", str(run.folder), "--splits", "test", "val"]
    assert main([*argv, "--output", str(tmp_path / "command")]) == 0
    assert "val" in capsys.readouterr().out
    whyact.evaluate(run.folder, splits=["test", "val"], output=tmp_path / "function")
    for split in ("test", "val"):
        made = [
            json.loads((tmp_path / side / split / "scores.json").read_text())
            for side in ("command", "function")
        ]
        assert made[0]["scores"] == made[1]["scores"] and made[0]["set"] == made[1]["set"]
        tables = [tmp_path / side / split / "clips.parquet" for side in ("command", "function")]
        assert tables[0].read_bytes() == tables[1].read_bytes()


def test_evaluate_takes_the_run_and_the_data_of_a_config(clips, run, tmp_path, capsys):
    """As in `configs/eval_config.yaml`: more views, and the place said again."""
    file = tiny_file(
        tmp_path / "views.yaml", clips, run.folder.parent, name="function",
        data__protocol="2x3",
    )  # fmt: skip
    given = ["--config", str(file), "--output", str(tmp_path / "out")]
    assert main(["evaluate", *given]) == 0  # runs/<name> of the config
    record = json.loads((tmp_path / "out" / "test" / "scores.json").read_text())
    assert record["views"] == 6
    assert record["checkpoint"] == str(run.folder / "checkpoints" / "best")
    assert main(["evaluate", str(run.folder), *given, "--data.protocol", "2x1"]) == 0
    record = json.loads((tmp_path / "out" / "test" / "scores.json").read_text())
    assert record["views"] == 2
    assert main(["evaluate", *given, str(run.folder), "--data.root", str(tmp_path / "no")]) == 2
    assert "no such folder (data.root)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--workers", "2"], "--workers belongs to --explain; add it"),
        (["--bf16"], "--bf16 belongs to --explain; add it"),
        (["--explain", "native", "--class-map", "map.csv"], "--class-map is for scores alone"),
        (["--explain", "native", "--device", "cuda"], "--explain measures on the CPU"),
        (["--device", "cuda"], "Asked for device 'cuda', but torch sees no GPU; take cpu"),
        (["--device", "gpu"], "There is no device 'gpu'; take cpu, cuda or cuda:1"),
    ],
)  # fmt: skip
def test_evaluate_refuses_what_would_do_nothing(run, capsys, monkeypatch, options, message):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main(["evaluate", str(run.folder), *options]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("option", ["audit m.pt --fail-below", "audit m.pt --fail-above",
                                    "evaluate runs/x --splits", "data shard --splits"])  # fmt: skip
def test_an_option_that_is_repeated_adds_to_the_list(option):
    name = option.split("--")[1].replace("-", "_")
    words = option.split()
    args = _parser()[0].parse_args([*words, "a=1", "b=2", words[-1], "c=3"])
    assert getattr(args, name) == ["a=1", "b=2", "c=3"]


def test_evaluate_takes_a_flag_before_the_checkpoint(clips, run, tmp_path):
    file = tiny_file(tmp_path / "tiny.yaml", clips, run.folder.parent, name="function")
    given = ["--config", str(file), "--output", str(tmp_path / "out"), "--data.protocol", "1x3"]
    assert main(["evaluate", *given]) == 0
    assert main(["evaluate", *given, str(run.folder)]) == 0


def test_flags_of_evaluate_lie_on_top_of_the_run(clips, run, tmp_path):
    """Without a config file; the clips are read with the size and frames of training."""
    argv = ["evaluate", str(run.folder), "--output", str(tmp_path / "out")]
    same = ["--data.type", "folder", "--data.root", str(clips), "--data.test", "[test]"]
    assert main([*argv, *same]) == 0
    found, own = tmp_path / "out", run.folder / "evaluation"
    before, after = (read_predictions(folder / "test") for folder in (own, found))
    assert torch.allclose(before.logits, after.logits, atol=1e-5)


def test_predict_is_the_function(run, inputs, capsys):
    good = [str(inputs / "a"), str(inputs / "b" / "*.mp4")]
    assert main(["predict", str(run.folder), *good, "--top", "1"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    found = whyact.predict(run.folder, good, top_k=1)
    assert lines == [json.loads(json.dumps(vars(one))) for one in found]
    assert [len(line["classes"]) for line in lines] == [1, 1]
    assert all(line["classes"][0][0] in CLASSES for line in lines)
    assert main(["predict", str(run.folder), *good, "--top", "0"]) == 2
    assert "ask for at least 1" in capsys.readouterr().err


def test_inputs_that_fail_give_an_exit_code_of_their_own(run, inputs, tmp_path, capsys):
    assert main(["predict", str(run.folder), str(inputs)]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (bad,) = [line for line in lines if line["error"]]
    assert len(lines) == 3 and "broken.mp4" in bad["error"] and bad["classes"] == []
    output = ["--output", str(tmp_path)]
    assert main(["explain", str(run.folder), str(inputs / "broken.mp4"), *output]) == 1
    assert "broken.mp4" in capsys.readouterr().out
    assert main(["predict", str(run.folder), str(inputs / "absent")]) == 2
    assert "no video found there" in capsys.readouterr().err


def test_explain_is_the_function(run, inputs, tmp_path, capsys):
    clip = str(inputs / "a" / "clip.mp4")
    argv = ["explain", str(run.folder), clip, "--action", "right", "--output", str(tmp_path / "c")]
    assert main(argv) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"clip.mp4: {tmp_path / 'c' / 'clip.png'}" and second.startswith("  right: 0:0")
    whyact.explain(run.folder, [clip], action="right", output=tmp_path / "f")
    for name in ("clip.json", "clip.png", "clip.mp4"):
        assert (tmp_path / "c" / name).read_bytes() == (tmp_path / "f" / name).read_bytes()
    assert json.loads((tmp_path / "c" / "clip.json").read_text())["class"] == "right"
    argv[4] = "rihgt"
    assert main(argv) == 2
    assert "no class 'rihgt'. Did you mean 'right'?" in capsys.readouterr().err


def test_ablate_is_the_function_and_reads_the_grids_configs(clips, tmp_path, monkeypatch, capsys):
    tiny_file(tmp_path / "tiny.yaml", clips, tmp_path / "elsewhere", data__test=["test", "train"])
    grid = tmp_path / "grid.yaml"
    grid.write_text(
        "config: tiny.yaml\nvariants: {a: {}, b: {model.type: pooled}}\nseeds: [0, 1]\n"
        "quick: {data.test: [test]}\n"
    )
    command = tmp_path / "command"
    monkeypatch.chdir(tmp_path.parent)  # the config is beside the grid, wherever one stands
    argv = ["ablate", "--grid", str(grid), "--output", str(command), "--quick", "--workers", "2"]
    assert main([*argv, "--training.epochs", "2"]) == 0
    table = (command / "table.md").read_text()
    assert table in capsys.readouterr().out
    config = load_config([tmp_path / "tiny.yaml"], ["--training.epochs", "2"])
    again = whyact.ablate(config, grid=grid, output=command, quick=True, workers=2)
    assert again.text == table and again.failed == {}
    with pytest.raises(WhyactError, match=r"training\.epochs"):  # the file says another number
        whyact.ablate(grid=grid, output=command, quick=True, workers=2)
    for name in ("a", "b"):
        run = Path(name) / "seed_0"
        assert (command / run / "log.txt").is_file()
        assert load_config([command / run / "config.yaml"]).training.epochs == 2
        assert not (command / name / "seed_1").exists()


def as_script(name: str, *argv: str, patch: pytest.MonkeyPatch) -> int:
    """Run a script of the repository here, and give its exit code."""
    patch.setattr(sys, "argv", [name, *argv])
    with pytest.raises(SystemExit) as told:
        runpy.run_path(str(REPOSITORY / name), run_name="__main__")
    assert isinstance(told.value.code, int)
    return told.value.code


def test_the_script_of_training_runs_by_itself(clips, run, tmp_path):
    file = tiny_file(tmp_path / "tiny.yaml", clips, tmp_path / "runs", name="script")
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "train.py"), "--config", str(file)],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "top1" in done.stdout
    assert same_weights(weights(tmp_path / "runs" / "script"), weights(run.folder))


def test_the_scripts_are_the_commands(clips, run, tmp_path, monkeypatch, capsys):
    output = ["--output", str(tmp_path / "out")]
    assert as_script("evaluate.py", str(run.folder), *output, patch=monkeypatch) == 0
    record = json.loads((tmp_path / "out" / "test" / "scores.json").read_text())
    assert record["scores"] == run.scores["test"]
    tiny_file(tmp_path / "tiny.yaml", clips, tmp_path)
    (tmp_path / "grid.yaml").write_text("config: tiny.yaml\nvariants: {a: {}}")
    grid = ["--grid", str(tmp_path / "grid.yaml"), "--output", str(tmp_path / "grid")]
    capsys.readouterr()
    assert as_script("ablation.py", *grid, patch=monkeypatch) == 0
    assert (tmp_path / "grid" / "table.md").read_text() in capsys.readouterr().out
    assert same_weights(weights(tmp_path / "grid" / "a" / "seed_42"), weights(run.folder))
    assert as_script("train.py", "--reusme", patch=monkeypatch) == 2
    assert "Did you mean '--resume'?" in capsys.readouterr().err


def test_the_reference_recipe_on_a_folder_as_the_readme_says(
    clips, inputs, tmp_path, monkeypatch, capsys
):
    """`resnet18` and all objectives of the recipe; only sizes and lengths are smaller."""
    monkeypatch.chdir(tmp_path)
    small = [
        "--training.epochs", "1", "--training.batch_size", "4", "--training.device_batch_size", "2",
        "--data.workers", "0", "--data.clip.frames", "4", "--data.transform.size", "64",
        "--data.transform.short_side", "64", "--training.device", "cpu",
        "--training.deterministic", "false",
    ]  # fmt: skip
    recipe = ["--config", str(REPOSITORY / "configs" / "train_config.yaml")]
    place = ["--data.type", "folder", "--data.root", str(clips)]
    assert main(["train", *recipe, *place, *small]) == 0
    record = json.loads(Path("runs/reference/record.json").read_text())
    assert record["data"]["classes"] == list(CLASSES)
    row = json.loads(Path("runs/reference/metrics.jsonl").read_text().splitlines()[0])
    terms = ("cross_entropy", "deep_supervision", "foreground_paste", "foreground")
    assert {f"train/{term}" for term in terms} <= set(row) and row["step"] == 1
    config = load_config(["runs/reference/config.yaml"])
    assert config.model.backbone.type == "resnet18" and config.data.test == ["test"]
    assert main(["evaluate", "runs/reference"]) == 0
    clip = str(inputs / "a" / "clip.mp4")
    assert main(["explain", "runs/reference", clip]) == 0
    assert {p.name for p in Path("explanations").iterdir()} == {
        f"clip.{e}" for e in ("mp4", "png", "json")
    }
    protocol = ["--config", str(REPOSITORY / "configs" / "eval_config.yaml")]
    sizes = [
        "--data.root", str(clips), "--data.workers", "0", "--data.protocol", "2x3",
        "--data.clip.frames", "4", "--data.transform.size", "64",
        "--data.transform.short_side", "64",
    ]  # fmt: skip
    assert main(["evaluate", "runs/reference", *protocol, *sizes]) == 0
    told = json.loads(Path("runs/reference/evaluation/test/scores.json").read_text())
    assert told["views"] == 6  # 2 clips of 3 crops
    assert "reference" in capsys.readouterr().out
