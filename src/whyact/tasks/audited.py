"""What `audit` is given, made ready: any model by its name, the classes of both sides matched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from whyact.audits.clips import MASKS, Segmenter
from whyact.config import Config
from whyact.data.class_map import MappedDataset, read_class_map
from whyact.data.protocol import ClipDataset
from whyact.explainers.base import Model, logits_of
from whyact.models.clip_callable import ClipCallable, OpenedModel
from whyact.models.foreign import (
    FORMS,
    Wanted,
    file_hash,
    is_foreign,
    open_foreign,
)
from whyact.training.checkpoint import check_device, find_checkpoint, load_model, read_metadata
from whyact.types import Failure, WhyactError


def open_model(spec: str, wanted: Wanted, device: str = "cpu") -> OpenedModel:
    """Open a model of this project or of another.

    Args:
        spec: ``runs/NAME`` or a form of `whyact.models.foreign`.
        wanted: what the caller knows of it. device: to put it on.

    Raises:
        WhyactError: nothing there, or nothing that can be opened.
    """
    check_device(device)
    if is_foreign(spec):
        opened = open_foreign(spec, wanted)
        if isinstance(opened.call, nn.Module):
            opened.call.to(device)
        return opened
    wanted.refuse(spec, ("weights", "mean", "std"), "a run of this project has its own")
    loaded = load_model(_own_checkpoint(spec), device)
    size = wanted.size or loaded.config.data.transform.size
    frames = wanted.frames or loaded.config.data.clip.frames
    call = ClipCallable(network=loaded.model, frames=frames, size=(size, size))
    form = {
        "frames": frames, "size": [size, size],
        "source": wanted.source("the run's own config"),
    }  # fmt: skip
    return OpenedModel(
        call.to(device).eval().requires_grad_(False), spec, loaded.classes, loaded.model,
        file_hash(loaded.folder / "model.safetensors"), form,
    )  # fmt: skip


def as_opened(model: Any) -> OpenedModel:
    """A plain callable with the little that is known of it."""
    if isinstance(model, OpenedModel):
        return model
    if not callable(model):
        raise WhyactError(
            f"Expected a callable on clips, got {type(model).__name__}; open a file by its name "
            "with whyact audit."
        )
    module = model if isinstance(model, nn.Module) else None
    name = getattr(model, "__name__", type(model).__name__)
    return OpenedModel(model, name, (), module, "", {"source": "a callable that was given"})


def own_config(spec: str) -> Config | None:
    """The config of a run of this project; None for models of others.

    Raises:
        WhyactError: neither.
    """
    return None if is_foreign(spec) else read_metadata(_own_checkpoint(spec))[0]


def _own_checkpoint(spec: str) -> Path:
    if not Path(spec).exists():
        raise WhyactError(f"{spec}: no such model; expected {FORMS}.")
    return find_checkpoint(spec)


def first_logits(opened: OpenedModel, dataset: ClipDataset, device: str) -> Tensor:
    """Logits of the first clip that can be read.

    Raises:
        WhyactError: no clip can be read, or the model fails on it.
    """
    for index in range(len(dataset)):
        clip = dataset[index, 0]
        if not isinstance(clip, Failure):
            break
    else:
        raise WhyactError(f"None of the {len(dataset)} clips can be read.")
    video = (clip.video[None].float() / 255).to(device)
    with torch.no_grad():
        return logits_by(opened)(video)


def logits_by(opened: OpenedModel) -> Model:
    """The model as a function to logits, whose own errors say what was asked of it."""

    def call(clips: Tensor) -> Tensor:
        try:
            return logits_of(opened.call, clips)
        except WhyactError:
            raise
        except Exception as error:  # anyone's model may raise anything
            text = str(error).strip().splitlines()
            raise WhyactError(
                f"{opened.name} fails on clips of shape {tuple(clips.shape)}: "
                f"{type(error).__name__}: {text[0] if text else 'no message'}. --size and --frames "
                "bring clips into the form that it takes, and --batch-size 1 asks for one at a "
                "time."
            ) from error

    return call


def match_classes(
    dataset: ClipDataset, names: Sequence[str], outputs: int, class_map: str | Path
) -> tuple[ClipDataset, list[int] | None, str]:
    """The clips, the model's output of each of their classes, and how the two were matched.

    Args:
        dataset: to audit on. names: of the model's outputs, empty where unknown.
        outputs: of the model. class_map: file of `read_class_map`; numbers stand for outputs
            without names.

    Raises:
        WhyactError: the classes differ and no map says which belong together.
    """
    if class_map:
        table, known = _with_names(read_class_map(class_map), names, outputs, class_map)
        mapped = MappedDataset(dataset, table=table, model_classes=known)
        left = f", {mapped.left_out} clips left out" if mapped.left_out else ""
        return mapped, mapped.columns, f"class map {class_map}{left}"
    own = tuple(dataset.classes)
    cure = "Give --class-map FILE with rows 'class of the data,class of the model'."
    if names and sorted(names) == sorted(own):
        return dataset, [list(names).index(name) for name in own], "by name"
    if names:
        missing = next((name for name in own if name not in names), own[0])
        raise WhyactError(
            f"The model knows {len(names)} classes and the data has {len(own)}; the model has no "
            f"'{missing}'. {cure}"
        )
    if outputs != len(own):
        raise WhyactError(
            f"The model gives {outputs} logits and the data has {len(own)} classes. {cure}"
        )
    return dataset, None, "by order: the model's outputs have no names"


def _with_names(
    table: dict[str, str], names: Sequence[str], outputs: int, file: str | Path
) -> tuple[dict[str, str], list[str]]:
    """The table and the model's classes; outputs without names take those of the data."""
    if names:
        return table, list(names)
    wrong = next((v for v in table.values() if not v.isdigit() or int(v) >= outputs), None)
    if wrong is not None:
        raise WhyactError(
            f"{file}: the model's outputs have no names, so '{wrong}' must be a number from 0 to "
            f"{outputs - 1}."
        )
    made = [
        " / ".join(k for k, v in table.items() if int(v) == i) or f"output {i}"
        for i in range(outputs)
    ]
    return {k: made[int(v)] for k, v in table.items()}, made


@contextmanager
def evaluating(opened: OpenedModel) -> Iterator[None]:
    """The model in evaluation mode, and as it was before afterwards."""
    modules = [] if opened.module is None else list(opened.module.modules())
    modes = [module.training for module in modules]
    if opened.module is not None:
        opened.module.eval()
    try:
        yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode


def open_segmenter(masks: str | Segmenter) -> tuple[str, Segmenter | None]:
    """What ``masks`` means: a word of `MASKS`, or a segmentation model, or its file.

    Raises:
        WhyactError: none of these.
    """
    if not isinstance(masks, str):
        return "auto", masks
    if masks in MASKS:
        return masks, None
    if not Path(masks).is_file():
        raise WhyactError(
            f"--masks {masks}: expected one of {', '.join(MASKS)}, or the TorchScript file of a "
            "segmentation model."
        )
    try:
        network: Callable[[Tensor], Tensor] = torch.jit.load(masks, map_location="cpu").eval()
    except RuntimeError as error:
        raise WhyactError(f"{masks}: not a TorchScript file.") from error

    def segment(images: Tensor) -> Tensor:
        with torch.no_grad():
            return network(images)

    return "auto", segment


def named(opened: OpenedModel, name: str) -> OpenedModel:
    """The same model under another name."""
    return replace(opened, name=name) if name else opened
