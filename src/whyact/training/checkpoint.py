"""Checkpoints: safetensors weights and a state file, both loaded without running code."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from whyact.config import Config, ModelConfig
from whyact.config_io import from_dict, to_json
from whyact.data.protocol import label_map_hash
from whyact.models.builders import build_model
from whyact.models.recognizer import VideoModel
from whyact.models.vocabulary import Vocabulary
from whyact.types import WhyactError

FORMAT = "2"


@dataclass(frozen=True)
class LoadedModel:
    """A trained model and what it was trained for.

    Attributes:
        model: in evaluation mode. config: of its run.
        classes, scenes: names in label order.
        folder: of the checkpoint.
    """

    model: VideoModel
    config: Config
    classes: tuple[str, ...]
    scenes: tuple[str, ...]
    folder: Path

    @property
    def multi_label(self) -> bool:
        """Whether it was trained to find several actions in a clip."""
        return self.config.objectives.binary_cross_entropy > 0

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """(..., Y) of logits (..., Y): of each class by itself where a clip may have several."""
        return logits.sigmoid() if self.multi_label else logits.softmax(-1)


def save_checkpoint(
    folder: Path, *, weights: Mapping[str, torch.Tensor], config: Config, classes: Sequence[str],
    scenes: Sequence[str], state: Mapping[str, Any],
) -> None:  # fmt: skip
    """Write a checkpoint, whose files are whole at any moment, for those who read it meanwhile.

    A write that is killed between the two leaves the weights of before beside the new state, which
    holds all that training goes on from.

    Args:
        folder: of the checkpoint. weights: state dict that is evaluated.
        state: what the loop needs to go on: tensors, numbers, strings, lists and dicts only.
    """
    fresh = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    metadata = {
        "format": FORMAT,
        "config": to_json(config),
        "classes": json.dumps(list(classes), ensure_ascii=False),
        "scenes": json.dumps(list(scenes), ensure_ascii=False),
        "label_map": label_map_hash(classes),
    }
    tensors = {k: v.detach().contiguous().cpu() for k, v in weights.items()}
    save_file(tensors, fresh / "model.safetensors", metadata)
    torch.save(dict(state), fresh / "state.pt")
    for file in fresh.iterdir():
        with file.open("rb") as written:
            os.fsync(written.fileno())
    folder.mkdir(exist_ok=True)
    for name in ("state.pt", "model.safetensors"):
        (fresh / name).replace(folder / name)
    fresh.rmdir()


def is_checkpoint(folder: Path) -> bool:
    """Whether a checkpoint was written there to its end."""
    return (folder / "model.safetensors").is_file()


def find_checkpoint(path: str | Path) -> Path:
    """The checkpoint folder meant by ``path``: itself, or a run's ``best``, else its ``last``.

    Raises:
        WhyactError: there is none.
    """
    path = Path(path)
    for folder in (path, path / "checkpoints" / "best", path / "checkpoints" / "last"):
        if is_checkpoint(folder):
            return folder
    runs = sorted(p.parent.name for p in path.glob("*/checkpoints"))
    inside = f" Runs inside it: {', '.join(runs)}." if runs else ""
    raise WhyactError(
        f"{path}: no checkpoint here. Give a run's folder (runs/<name>) or a checkpoint's "
        f"(runs/<name>/checkpoints/best).{inside}"
    )


def read_metadata(folder: Path) -> tuple[Config, tuple[str, ...], tuple[str, ...]]:
    """Config, classes and scenes of a checkpoint, without its weights."""
    file = folder / "model.safetensors"
    try:
        with safe_open(file, "pt") as opened:
            metadata = opened.metadata() or {}
    except SafetensorError as error:
        raise WhyactError(f"{file}: not a readable checkpoint: {error}") from error
    if metadata.get("format") != FORMAT:
        raise WhyactError(
            f"{file}: expected checkpoint format {FORMAT}, found {metadata.get('format')}; "
            "it is of another version of whyact, in which its weights mean something else; train "
            "the model anew, or read it with that version."
        )
    config = from_dict(json.loads(metadata["config"]), str(file))
    return config, tuple(json.loads(metadata["classes"])), tuple(json.loads(metadata["scenes"]))


def load_state(folder: Path) -> dict[str, Any]:
    """What the loop stored to go on from."""
    state: dict[str, Any] = torch.load(folder / "state.pt", map_location="cpu", weights_only=True)
    return state


def load_weights(model: VideoModel, folder: Path, config: ModelConfig) -> None:
    """Load a checkpoint into a model that was built from ``config``.

    Raises:
        WhyactError: the checkpoint is of another model; names the settings and tensors that differ.
    """
    saved, _, _ = read_metadata(folder)
    tensors = load_file(folder / "model.safetensors")
    own = model.state_dict()
    wrong = sorted(
        name
        for name in set(own) | set(tensors)
        if name not in own or name not in tensors or own[name].shape != tensors[name].shape
    )
    differing = _differences(asdict(saved.model), asdict(config), "model")
    if wrong or differing:
        raise WhyactError(
            f"{folder}: the checkpoint is of another model. Settings that differ: "
            f"{'; '.join(differing) or 'none'}. Tensors that differ: {len(wrong)}"
            f"{f', e.g. {wrong[0]!r}' if wrong else ''}."
        )
    model.load_state_dict(tensors)


OF_CLASSES = ("head.classify.", "classify.")
OF_SCENES = ("nuisance_head.",)
"""How the names of weights begin that mean nothing for other classes, or other scenes."""


def start_from(
    model: VideoModel, folder: Path, classes: Sequence[str], scenes: Sequence[str]
) -> None:
    """Give a model the weights of a checkpoint where both have one of that name and shape.

    What belongs to classes or scenes is left as it is where the checkpoint knows others, and
    nothing is erased from the codes (`whyact.training.erasure`), as they are to be learnt anew.

    Raises:
        WhyactError: none fits.
    """
    _, known, seen = read_metadata(folder)
    others: tuple[str, ...] = ("kept_",)
    others += () if known == tuple(classes) else OF_CLASSES
    others += () if seen == tuple(scenes) else OF_SCENES
    own = model.state_dict()
    fitting = {
        name: tensor
        for name, tensor in load_file(folder / "model.safetensors").items()
        if name in own and own[name].shape == tensor.shape
        and not name.startswith(others)
    }  # fmt: skip
    if not fitting:
        raise WhyactError(f"training.start {folder}: no weight has the name and size of a model's.")
    model.load_state_dict(fitting, strict=False)


def _differences(saved: Mapping[str, Any], here: Mapping[str, Any], prefix: str = "") -> list[str]:
    found = []
    for key, value in saved.items():
        name, other = f"{prefix}.{key}".lstrip("."), here.get(key)
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            found += _differences(value, other, name)
        elif value != other:
            found.append(f"{name} (saved {value}, here {other})")
    return found


UNRELATED = (
    "name", "output", "data.root", "data.annotations", "data.test", "data.workers",
    "training.device", "training.threads", "training.checkpoint_steps",
)  # fmt: skip
"""Settings that may change between the parts of a resumed run: they do not change its weights, but
for the rounding of another device or number of threads."""


def check_same_run(file: Path, saved: Config, config: Config) -> None:
    """Fail where a run is to be taken up with settings that it was not started with.

    Args:
        file: for the message, where the ``saved`` settings are. config: that are wanted.
    """
    differing = [
        text
        for text in _differences(asdict(saved), asdict(config))
        if text.split(" ", 1)[0] not in UNRELATED
    ]
    if differing:
        raise WhyactError(
            f"{file}: the run was started with other settings: {'; '.join(differing)}. Resume "
            "with its own (config.yaml in its folder), or start another run with --name."
        )


def check_label_map(folder: Path, saved: Sequence[str], here: Sequence[str]) -> None:
    """Fail where a checkpoint's classes are not the data set's, in names or in order."""
    if label_map_hash(saved) == label_map_hash(here):
        return
    i = next(
        (i for i, (a, b) in enumerate(zip(saved, here, strict=False)) if a != b),
        min(len(saved), len(here)),
    )
    raise WhyactError(
        f"{folder}: the model knows {len(saved)} classes, the data has {len(here)}, and they "
        f"differ first at index {i} ({saved[i : i + 1]} and {tuple(here[i : i + 1])}). "
        "Use the label list that the model was trained with."
    )


def check_device(device: str | torch.device) -> None:
    """Fail where torch does not know a device, or sees no GPU."""
    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise WhyactError(f"There is no device '{device}'; take cpu, cuda or cuda:1.") from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise WhyactError(f"Asked for device '{device}', but torch sees no GPU; take cpu.")


def load_model(path: str | Path, device: str | torch.device = "cpu") -> LoadedModel:
    """Load a trained model.

    Args:
        path: of a run or a checkpoint.
        device: to put it on.
    """
    check_device(device)
    folder = find_checkpoint(path)
    config, classes, scenes = read_metadata(folder)
    # The checkpoint holds the backbone's weights; the file they came from may be gone.
    backbone = config.model.backbone
    weights, backbone.weights = backbone.weights, "none"
    model = build_model(
        config.model, classes=len(classes), scenes=len(scenes), seed=config.seed,
        motion=config.data.motion.source,
    )  # fmt: skip
    backbone.weights = weights
    load_weights(model, folder, config.model)
    model.vocabulary = Vocabulary(names=classes)
    return LoadedModel(model.to(device).eval(), config, classes, scenes, folder)
