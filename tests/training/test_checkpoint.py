import copy
import json
import threading
from pathlib import Path

import pytest
import torch
import torchvision
from tests.training.toy_runs import ToyClips, toy_config

from whyact.config_model import BackboneConfig
from whyact.models.builders import build_model
from whyact.training.checkpoint import (
    check_label_map,
    check_same_run,
    find_checkpoint,
    is_checkpoint,
    load_model,
    load_state,
    load_weights,
    save_checkpoint,
    start_from,
)
from whyact.types import WhyactError

CLASSES = ToyClips.classes


def write(folder, config=None, step=1):
    config = config or toy_config()
    model = build_model(config.model, classes=3, scenes=2, seed=config.seed)
    for weight in model.nuisance_head.parameters():  # it starts at zero, like any other
        torch.nn.init.uniform_(weight, 0.1, 1.0, generator=torch.Generator().manual_seed(1))
    save_checkpoint(
        folder, weights=model.state_dict(), config=config, classes=CLASSES, scenes=("x", "y"),
        state={"step": step, "tensor": torch.arange(3)},
    )  # fmt: skip
    return model


def test_a_checkpoint_round_trips(tmp_path):
    model = write(tmp_path / "run" / "checkpoints" / "best")
    loaded = load_model(tmp_path / "run")
    assert loaded.classes == CLASSES and loaded.scenes == ("x", "y")
    assert loaded.config == toy_config() and not loaded.model.training
    for name, value in model.state_dict().items():
        assert torch.equal(value, loaded.model.state_dict()[name])
    assert load_state(loaded.folder)["tensor"].tolist() == [0, 1, 2]


def test_the_best_checkpoint_is_found_before_the_last(tmp_path):
    write(tmp_path / "checkpoints" / "last")
    assert find_checkpoint(tmp_path).name == "last"
    write(tmp_path / "checkpoints" / "best")
    assert find_checkpoint(tmp_path).name == "best"


def test_a_write_killed_before_it_is_complete_leaves_the_old_checkpoint(tmp_path):
    folder = tmp_path / "last"
    write(folder, step=1)
    half = tmp_path / ".last.new"
    half.mkdir()
    (half / "state.pt").write_bytes(b"half a file")
    assert is_checkpoint(folder) and load_state(folder)["step"] == 1
    write(folder, step=2)
    assert load_state(folder)["step"] == 2 and not half.exists()


def test_a_first_write_killed_halfway_is_no_checkpoint(tmp_path):
    (tmp_path / ".last.new").mkdir()
    (tmp_path / ".last.new" / "model.safetensors").write_bytes(b"half a file")
    assert not is_checkpoint(tmp_path / "last")


def test_a_write_killed_between_its_files_goes_on_from_the_new_state(tmp_path, monkeypatch):
    folder, replace = tmp_path / "last", Path.replace
    before = write(folder, step=1).state_dict()

    def stopping(file, target):
        if file.name == "model.safetensors":
            raise KeyboardInterrupt
        return replace(file, target)

    monkeypatch.setattr(Path, "replace", stopping)
    with pytest.raises(KeyboardInterrupt):
        write(folder, step=2)
    assert is_checkpoint(folder) and load_state(folder)["step"] == 2
    found = load_model(folder).model.state_dict()
    assert all(torch.equal(found[name], value) for name, value in before.items())
    monkeypatch.undo()
    write(folder, step=3)
    assert load_state(folder)["step"] == 3 and [p.name for p in tmp_path.iterdir()] == ["last"]


def test_no_checkpoint_names_the_runs_inside(tmp_path):
    write(tmp_path / "fold_0" / "checkpoints" / "best")
    with pytest.raises(WhyactError, match=r"no checkpoint here.*Runs inside it: fold_0"):
        find_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("slot", "twin"),
    [("spatial_graph", "grid"), ("dynamic_prompts", "none"), ("graph_prompt_gnn", "none")],
)
def test_another_combination_is_refused_by_setting_and_tensor(tmp_path, slot, twin):
    write(tmp_path / "best")
    other = toy_config().model
    getattr(other, slot).type = twin
    model = build_model(other, classes=3, scenes=2)
    text = rf"model\.{slot}\.type \(saved \w+, here {twin}\).*Tensors that differ: [1-9]"
    with pytest.raises(WhyactError, match=text):
        load_weights(model, tmp_path / "best", other)


def test_a_model_starts_from_what_fits_and_with_its_own_classifier_for_other_classes(tmp_path):
    write(tmp_path)
    saved = load_model(tmp_path).model.state_dict()
    config = toy_config().model
    config.spatial_graph.regions += 1
    others = (("cyan", "pink", "grey"), ("p", "q"))
    for classes, scenes in ((CLASSES, ("x", "y")), others):
        model = build_model(config, classes=3, scenes=2, seed=7)
        fresh = {k: v.clone() for k, v in model.state_dict().items()}
        start_from(model, tmp_path, classes, scenes)
        made = model.state_dict()
        assert torch.equal(made["head.attend.0.weight"], saved["head.attend.0.weight"])
        assert torch.equal(made["spatial_graph.queries"], fresh["spatial_graph.queries"])
        source = saved if classes == CLASSES else fresh
        for name in made:
            if name.startswith(("head.classify", "nuisance_head")):
                assert torch.equal(made[name], source[name]), name


def test_a_start_from_a_model_with_an_erasure_has_none(tmp_path):
    config = toy_config()
    model = build_model(config.model, classes=3, scenes=2, seed=0)
    model.erase(torch.zeros(64, 64), torch.zeros(64, 64))
    save_checkpoint(
        tmp_path / "last", weights=model.state_dict(), config=config, classes=CLASSES,
        scenes=("x", "y"), state={},
    )  # fmt: skip
    fresh = build_model(config.model, classes=3, scenes=2, seed=7)
    start_from(fresh, tmp_path / "last", CLASSES, ("x", "y"))
    assert torch.equal(fresh.kept_action, torch.eye(64))
    assert torch.equal(fresh.head.classify.weight, model.head.classify.weight)


def test_a_start_without_anything_that_fits_is_refused(tmp_path):
    write(tmp_path)
    with pytest.raises(WhyactError, match="no weight has the name and size"):
        start_from(torch.nn.Linear(2, 2), tmp_path, CLASSES, ())


def test_a_setting_without_tensors_is_refused_too(tmp_path):
    write(tmp_path / "best")
    other = toy_config().model
    other.spatial_graph.temperature = 0.5
    with pytest.raises(WhyactError, match=r"temperature \(saved 1.0, here 0.5\)"):
        load_weights(build_model(other, classes=3, scenes=2), tmp_path / "best", other)


def test_another_label_map_is_refused_at_its_first_difference():
    check_label_map("best", CLASSES, CLASSES)
    with pytest.raises(WhyactError, match=r"differ first at index 0 \(\('red',\) and \('green',"):
        check_label_map("best", CLASSES, ("green", "red", "blue"))
    with pytest.raises(WhyactError, match=r"knows 3 classes, the data has 4.*at index 3"):
        check_label_map("best", CLASSES, (*CLASSES, "grey"))


def test_a_run_is_resumed_with_its_own_settings_only(tmp_path):
    config = toy_config()
    moved = copy.deepcopy(config)
    moved.output, moved.data.workers, moved.training.threads = "elsewhere", 3, 1
    check_same_run(tmp_path, config, moved)
    moved.training.epochs = 7
    with pytest.raises(WhyactError, match=r"training\.epochs \(saved 3, here 7\)"):
        check_same_run(tmp_path, config, moved)


def test_a_foreign_file_is_not_a_checkpoint(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 64)
    with pytest.raises(WhyactError, match="not a readable checkpoint"):
        load_model(tmp_path)


def test_readers_never_break_a_training_that_saves(tmp_path):
    """Both look at once for what is there, which reading changed and removed before."""
    folder, errors, done = tmp_path / "last", [], threading.Event()
    write(folder)

    def read():
        while not done.is_set():
            try:
                load_model(find_checkpoint(folder))
            except Exception as error:
                errors.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for step in range(2, 12):
        write(folder, step=step)
    done.set()
    reader.join()
    assert not errors and load_state(folder)["step"] == 11
    assert [p.name for p in tmp_path.iterdir()] == ["last"]


def test_a_run_is_found_from_inside_it(tmp_path, monkeypatch):
    write(tmp_path / "checkpoints" / "best")
    monkeypatch.chdir(tmp_path)
    assert load_model(".").classes == CLASSES


def test_loading_does_not_need_the_file_the_backbone_came_from(tmp_path):
    config = toy_config()
    source = tmp_path / "backbone.pt"
    torch.save(torchvision.models.mobilenet_v3_small().state_dict(), source)
    config.model.backbone = BackboneConfig(
        type="mobilenet_v3_small", motion="none", weights=str(source)
    )
    write(tmp_path / "best", config)
    source.unlink()
    assert load_model(tmp_path / "best").config.model.backbone.weights == str(source)


def test_the_state_holds_no_code(tmp_path):
    write(tmp_path / "best")
    torch.save({"path": tmp_path}, tmp_path / "best" / "state.pt")
    with pytest.raises(Exception, match=r"[Ww]eights.only"):
        load_state(tmp_path / "best")


def test_metadata_says_what_the_weights_are_for(tmp_path):
    from safetensors import safe_open

    write(tmp_path / "best")
    with safe_open(tmp_path / "best" / "model.safetensors", "pt") as opened:
        metadata = opened.metadata()
    assert json.loads(metadata["classes"]) == list(CLASSES)
    assert set(metadata) == {"format", "config", "classes", "scenes", "label_map"}
