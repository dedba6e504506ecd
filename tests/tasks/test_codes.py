"""What ``whyact codes`` writes, from untrained models on a folder of small videos."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
import torch
from tests.tasks.tiny import CLASSES, tiny_config, write_folder

from whyact.cli import main
from whyact.data.builders import build_dataset
from whyact.models.builders import build_model
from whyact.tasks import codes as task
from whyact.tasks.codes import Codes, _leakage, codes, read_codes
from whyact.training.checkpoint import load_model, save_checkpoint
from whyact.types import WhyactError


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model of each kind."""
    root = tmp_path_factory.mktemp("codes")
    write_folder(root / "clips", splits=("test",))
    for kind in ("whyact", "pooled"):
        config = tiny_config(root / "clips", root, name=kind, model__type=kind)
        model = build_model(config.model, classes=2, seed=0)
        save_checkpoint(
            root / kind / "checkpoints" / "last", weights=model.state_dict(), config=config,
            classes=CLASSES, scenes=(), state={},
        )  # fmt: skip
    return root


def test_files_of_two_models(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--clusters", "2", "--attention", "2", "--format", "png"]
    models = [str(runs / "whyact"), str(runs / "pooled")]
    assert main(["codes", *models, *arguments, "--output", str(tmp_path)]) == 0
    expected = [tmp_path / "whyact", tmp_path / "pooled", tmp_path / "attention.png"]
    assert capsys.readouterr().out.split() == [str(path) for path in expected]
    assert (tmp_path / "attention.png").stat().st_size > 10_000
    for kind in ("whyact", "pooled"):
        assert (tmp_path / kind / "codes.png").is_file()
        assert not (tmp_path / kind / "leakage.png").exists()
        record = json.loads((tmp_path / kind / "codes.json").read_text())
        assert record["clips"] == 6 and record["split"] == "test"
        assert record["leakage"] == "0 clips have a known scene, and probes need 40"
    names = pq.read_table(tmp_path / "pooled" / "codes.parquet").column_names
    assert "nuisance_x" not in names  # a model without a nuisance code


def test_rows_are_the_models_codes(runs: Path, tmp_path: Path) -> None:
    (folder,) = codes([runs / "whyact"], clips=4, attention=0, clusters=2, output=tmp_path)
    table = pq.read_table(folder / "codes.parquet").to_pydict()
    assert len(table["id"]) == 4 and table["scene"] == [-1] * 4
    loaded = load_model(runs / "whyact")
    dataset = build_dataset(loaded.config.data, "test", train=False, seed=0)
    for i, name in enumerate(table["id"]):
        clip = dataset[list(dataset.ids).index(name), 0]
        output = loaded.model(clip.video[None].float() / 255)
        for kind in ("action", "nuisance"):
            code = output.mean_code(getattr(output, f"{kind}_code"))[0]
            assert table[f"{kind}_code"][i] == pytest.approx(code.tolist(), abs=1e-4)
        assert table["label"][i] == clip.label
    points = torch.tensor([table["action_x"], table["action_y"]])
    assert points[0].var() >= points[1].var() > 0


def test_leakage_reads_what_was_put_in(tmp_path: Path) -> None:
    label, scene = torch.arange(120) % 3, torch.arange(120) // 3 % 2  # crossed
    noise = 0.1 * torch.randn(120, 4, generator=torch.Generator().manual_seed(0))
    clean = torch.nn.functional.one_hot(label, 4) + noise
    leaky = torch.nn.functional.one_hot(scene, 4) + noise
    found = Codes(tuple(map(str, range(120))), label, scene, clean, leaky)
    dataset = SimpleNamespace(classes=("a", "b", "c"), scenes=("x", "y"))
    made = _leakage(tmp_path, found, dataset, "svg", 0)  # type: ignore[arg-type]
    assert isinstance(made, dict) and (tmp_path / "leakage.svg").is_file()
    assert made["scene in the nuisance code"]["linear"]["mean"] > 0.95
    assert made["scene in the action code"]["linear"]["mean"] < 0.7
    assert made["action in the nuisance code"]["linear"]["mean"] < 0.6
    unknown = replace(found, scene=torch.full((120,), -1))
    assert _leakage(tmp_path, unknown, dataset, "svg", 0) == (  # type: ignore[arg-type]
        "0 clips have a known scene, and probes need 40"
    )


def test_models_of_other_clips_are_not_shown_the_same(runs: Path, tmp_path: Path) -> None:
    config = tiny_config(runs / "clips", tmp_path, name="long", data__clip__frames=8)
    model = build_model(config.model, classes=2, seed=0)
    save_checkpoint(
        tmp_path / "long" / "checkpoints" / "last", weights=model.state_dict(), config=config,
        classes=CLASSES, scenes=(), state={},
    )  # fmt: skip
    with pytest.raises(WhyactError, match=r"clips with frames 8, .* with 4: show them apart"):
        codes([runs / "whyact", tmp_path / "long"], output=tmp_path / "out")


def test_the_middle_of_a_clip_is_shown_and_failures_are_kept(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_model(runs / "whyact")
    config = replace(loaded.config, data=replace(loaded.config.data, protocol="2x3"))
    several, single = (
        codes([runs / "whyact"], data=data, clips=3, attention=0, output=tmp_path / name)[0]
        for name, data in (("several", config), ("single", loaded.config))
    )
    one, other = (pq.read_table(f / "codes.parquet").to_pydict() for f in (several, single))
    assert one["action_code"] == other["action_code"]
    dataset = build_dataset(loaded.config.data, "test", train=False, seed=0)
    lost = dataset.listing.records[1]
    dataset.listing = replace(
        dataset.listing,
        records=(dataset.listing.records[0], replace(lost, path=tmp_path / "gone.mp4")),
    )
    drawn: list[list[str]] = []
    monkeypatch.setattr(task, "draw_attention", lambda *given: drawn.append(given[3]))
    with monkeypatch.context() as patch:
        (batch,) = task.load(dataset, [[(0, 0)]])
        unlabelled = replace(batch, label=torch.tensor([-1]))
        patch.setattr(task, "load", lambda *_: [unlabelled])
        task._attention(tmp_path / "a.png", [loaded], ["a"], dataset, [0], "cpu")
    assert drawn == [["unknown"]]
    found = read_codes(loaded.model, dataset, [0, 1])
    assert len(found.ids) == 1 and [f.id for f in found.failures] == [lost.id]


def test_two_runs_of_one_name_and_data_that_does_not_fit(runs: Path, tmp_path: Path) -> None:
    written = codes([runs / "whyact"] * 2, attention=0, output=tmp_path, form="png")
    assert [path.name for path in written] == ["1-whyact", "2-whyact"]
    with pytest.raises(WhyactError, match=r"expected a name that ends in \.pdf, \.svg or \.png"):
        codes([runs / "whyact"], form="jpg", output=tmp_path)
    loaded = load_model(runs / "whyact")
    dataset = build_dataset(loaded.config.data, "test", train=False, seed=0)
    dataset.listing = replace(dataset.listing, multi_label=True)
    with pytest.raises(WhyactError, match="these clips have several at once"):
        read_codes(loaded.model, dataset, [0, 1])
