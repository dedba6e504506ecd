"""Video models of other projects as callables: torchvision, timm, Hugging Face, TorchScript, ONNX.

Weights are read from files only, and never by running code of theirs. A TorchScript or ONNX file is
itself a program: open those that you trust.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models as tv

from whyact.config_io import nearest
from whyact.extras import needed
from whyact.models.clip_callable import ClipCallable, Layout, OpenedModel
from whyact.nn.pretrained import IMAGENET_MEAN, IMAGENET_STD, KINETICS_MEAN, KINETICS_STD
from whyact.types import WhyactError

FORMS = "runs/NAME, torchvision:NAME, timm:NAME, hf:FOLDER, FILE.pt (TorchScript) or FILE.onnx"


@dataclass(frozen=True)
class Wanted:
    """What the caller knows of a model; the rest is read from the model's own config.

    Attributes:
        weights: state dict of torchvision and timm models; random weights where empty.
        classes: outputs of a network that is built with random weights, or a function that is
            called for them then: to count the classes may mean to make the data.
        frames, size: that the model takes; 0: its own.
        mean, std: of the colours; empty: its own.
        seed: of random weights.
    """

    weights: str = ""
    classes: int | Callable[[], int] = 0
    frames: int = 0
    size: int = 0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    seed: int = 0

    @property
    def outputs(self) -> int:
        """``classes`` as a number."""
        return self.classes() if callable(self.classes) else self.classes

    def source(self, own: str) -> str:
        """Where the form of a model's input was read, and what the caller gave in its place."""
        given = [k for k in ("frames", "size", "mean", "std") if getattr(self, k)]
        return own + (f"; given: {', '.join(given)}" if given else "")

    def refuse(self, spec: str, names: Sequence[str], why: str) -> None:
        """Fail where one of these was given, which would do nothing.

        Raises:
            WhyactError: the first such option of the model ``spec``, and why.
        """
        for name in names:
            if getattr(self, name):
                raise WhyactError(f"--{name} does nothing for {spec}: {why}; leave it out.")


def is_foreign(spec: str) -> bool:
    """Whether `open_foreign` knows the form of a model's name."""
    return spec.split(":", 1)[0] in _BY_PREFIX or Path(spec).suffix in _BY_SUFFIX


def open_foreign(spec: str, wanted: Wanted) -> OpenedModel:
    """Open a model.

    Args:
        spec: ``torchvision:NAME``, ``timm:NAME``, ``hf:FOLDER``, ``FILE.pt`` or ``FILE.onnx``.
        wanted: what the caller knows of it.

    Raises:
        WhyactError: an unknown form or name, a file that is none, a package that is missing.
    """
    prefix, _, rest = spec.partition(":")
    if prefix not in ("torchvision", "timm"):
        wanted.refuse(spec, ("weights",), "the weights are in the file")
    if prefix in _BY_PREFIX:
        return _BY_PREFIX[prefix](spec, rest, wanted)
    file = Path(spec)
    if file.suffix not in _BY_SUFFIX:
        raise WhyactError(f"'{spec}' names no model; expected {FORMS}.")
    if not file.is_file():
        raise WhyactError(f"{file}: no such model file.")
    return _BY_SUFFIX[file.suffix](spec, spec, wanted)


def _opened(
    spec: str, network: Callable[[Tensor], Any], wanted: Wanted, *, sha256: str, source: str,
    layout: Layout = "channels_first", frames: int = 0, size: Sequence[int] = (),
    mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD,
    classes: Sequence[str] = (), gradients: bool = True,
) -> OpenedModel:  # fmt: skip
    """The callable, with what the caller wants in place of the model's own settings."""
    form: dict[str, Any] = {
        "frames": wanted.frames or frames,
        "size": [wanted.size, wanted.size] if wanted.size else list(size),
        "mean": list(wanted.mean or mean), "std": list(wanted.std or std), "layout": layout,
    }  # fmt: skip
    call = ClipCallable(network=network, **form).eval().requires_grad_(False)
    form["source"] = wanted.source(source)
    module = network if isinstance(network, nn.Module) else None
    if isinstance(module, torch.jit.ScriptModule):
        module = None
    return OpenedModel(call, spec, tuple(classes), module, sha256, form, gradients)


def _torchvision(spec: str, name: str, wanted: Wanted) -> OpenedModel:
    videos = tv.list_models(module=tv.video)
    known = [*videos, *tv.list_models(module=tv)]
    if name not in known:
        raise WhyactError(
            f"torchvision has no model '{name}'. Did you mean '{nearest(name, known)}'?"
        )
    network, sha256 = _built(
        lambda classes: tv.get_model(name, weights=None, num_classes=classes), wanted
    )
    preset = tv.get_model_weights(name)
    settings = next(iter(preset)).transforms() if len(preset) else None
    video = name in videos
    crop = list(getattr(settings, "crop_size", [224]))
    return _opened(
        spec, network, wanted, sha256=sha256, source="torchvision's preset of this network",
        layout="channels_first" if video else "per_frame", size=(crop[0], crop[-1]),
        # Its own config does not say how many frames; only attention fixes them.
        frames=16 if video and name.startswith(("mvit", "swin")) else 0,
        mean=getattr(settings, "mean", KINETICS_MEAN if video else IMAGENET_MEAN),
        std=getattr(settings, "std", KINETICS_STD if video else IMAGENET_STD),
    )  # fmt: skip


def _timm(spec: str, name: str, wanted: Wanted) -> OpenedModel:
    timm = needed("timm", "timm", "This model")
    if not timm.is_model(name):
        raise WhyactError(
            f"timm has no model '{name}'. Did you mean '{nearest(name, timm.list_models())}'?"
        )
    network, sha256 = _built(
        lambda classes: timm.create_model(name, pretrained=False, num_classes=classes), wanted
    )
    settings = timm.data.resolve_model_data_config(network)
    return _opened(
        spec, network, wanted, sha256=sha256, source="timm's config of this network",
        layout="per_frame", size=settings["input_size"][1:], mean=settings["mean"],
        std=settings["std"],
    )  # fmt: skip


def _built(build: Callable[[int], nn.Module], wanted: Wanted) -> tuple[nn.Module, str]:
    """A network with the weights of a file, or random ones; and their hash."""
    if not wanted.weights:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(wanted.seed)
            network = build(wanted.outputs)
        return network, _tensor_hash(network)
    file = Path(wanted.weights)
    state = _state_dict(file)
    network = build(wanted.outputs)
    # The file says how many classes there are, by the weights that have another first size.
    own = network.state_dict()
    counts = {
        len(v)
        for name, v in state.items()
        if name in own and v.ndim == own[name].ndim > 0
        and v.shape[1:] == own[name].shape[1:] and len(v) != len(own[name])
    }  # fmt: skip
    if len(counts) == 1:
        network = build(counts.pop())
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        first = str(error).splitlines()[1:2]
        raise WhyactError(
            f"{file}: not the weights of this network:{''.join(first).rstrip(' .')}."
        ) from error
    return network, file_hash(file)


def _state_dict(file: Path) -> dict[str, Tensor]:
    if not file.is_file():
        raise WhyactError(f"{file}: no such weight file.")
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(str(file))
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # the readers raise many kinds
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WhyactError(f"{file}: not a readable state dict: {text}") from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise WhyactError(f"{file}: expected a state dict of tensors alone.")
    return state


def _hugging_face(spec: str, name: str, wanted: Wanted) -> OpenedModel:
    folder = Path(name)
    if not (folder / "config.json").is_file():
        raise WhyactError(f"{folder}: no config.json there; hf: takes the folder of a saved model.")
    transformers = needed("transformers", "transformers", "This model")
    try:
        network, loading = transformers.AutoModelForVideoClassification.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, trust_remote_code=False,
            output_loading_info=True,
        )  # fmt: skip
    except (OSError, ValueError, KeyError) as error:
        text = " ".join(str(error).split())[:200]
        raise WhyactError(f"{folder}: not a video classifier that loads: {text}") from error
    if absent := sorted(loading["missing_keys"]):
        raise WhyactError(
            f"{folder}: {len(absent)} tensors are not there and would be random, e.g. "
            f"'{absent[0]}'; it takes a model with a trained classifier, not one of a pre-training."
        )
    config = network.config
    colours = _preprocessor(folder)
    names = [config.id2label[i] for i in range(config.num_labels)]
    if all(n == f"LABEL_{i}" for i, n in enumerate(names)):
        names = []  # the library's placeholders
    side = getattr(config, "image_size", None) or getattr(config, "crop_size", 224)
    size = side if isinstance(side, (list, tuple)) else (side, side)
    first = next(iter(inspect.signature(network.forward).parameters))
    weights = sorted(folder.glob("*.safetensors"))
    return _opened(
        spec, network, wanted, sha256=file_hash(*weights), layout="frames_first", size=size,
        source=f"config.json ({first}); colours from {colours[2]}", classes=names,
        frames=getattr(config, "num_frames", 0) or getattr(config, "frames_per_clip", 16),
        mean=colours[0], std=colours[1],
    )  # fmt: skip


def _preprocessor(folder: Path) -> tuple[Sequence[float], Sequence[float], str]:
    """Mean, deviation, and the file that names them; ImageNet's where none does."""
    for file in ("video_preprocessor_config.json", "preprocessor_config.json"):
        if (folder / file).is_file():
            settings = json.loads((folder / file).read_text(encoding="utf-8"))
            if "image_mean" in settings and "image_std" in settings:
                return settings["image_mean"], settings["image_std"], file
    return IMAGENET_MEAN, IMAGENET_STD, "ImageNet (the folder has no preprocessor_config.json)"


def _torchscript(spec: str, name: str, wanted: Wanted) -> OpenedModel:
    try:
        network = torch.jit.load(name, map_location="cpu").eval()
    except RuntimeError as error:
        raise WhyactError(
            f"{name}: not a TorchScript file. A state dict goes with its network: "
            f"torchvision:NAME --weights {name}."
        ) from error
    return _opened(
        spec, network, wanted, sha256=file_hash(Path(name)), source="defaults: the clip's own size"
    )


class _Onnx:
    """An ONNX session on the CPU as a function of tensors."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.input = session.get_inputs()[0]
        size = self.input.shape[0]
        self.batch = size if isinstance(size, int) else 0

    def __call__(self, clips: Tensor) -> Tensor:
        """Logits; a session with a fixed batch runs part by part, the last one filled up."""
        if not self.batch:
            return self._run(clips)
        parts = []
        for part in clips.split(self.batch):
            whole = torch.cat([part, part[-1:].expand(self.batch - len(part), *part.shape[1:])])
            parts.append(self._run(whole)[: len(part)])
        return torch.cat(parts)

    def _run(self, clips: Tensor) -> Tensor:
        found = self.session.run(None, {self.input.name: clips.detach().cpu().float().numpy()})
        return torch.from_numpy(found[0]).to(clips.device)


def _onnx(spec: str, name: str, wanted: Wanted) -> OpenedModel:
    runtime = needed("onnxruntime", "onnx", "This model")
    try:
        session = runtime.InferenceSession(name, providers=["CPUExecutionProvider"])
    except Exception as error:  # the package's errors share no base but this
        raise WhyactError(f"{name}: not a readable ONNX model: {str(error)[:200]}") from error
    shape = [n if isinstance(n, int) else 0 for n in session.get_inputs()[0].shape]
    if len(shape) != 5 or 3 not in shape[1:3]:
        raise WhyactError(
            f"{name}: expected an input (B, 3, T, H, W) or (B, T, 3, H, W), got {shape}."
        )
    first = shape[1] == 3
    return _opened(
        spec, _Onnx(session), wanted, sha256=file_hash(Path(name)), gradients=False,
        layout="channels_first" if first else "frames_first", frames=shape[2 if first else 1],
        size=shape[3:] if all(shape[3:]) else (),
        source="the file's input shape; colours: ImageNet, the default",
    )  # fmt: skip


def file_hash(*files: Path) -> str:
    """SHA-256 over the bytes of files, one after the other."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            while block := opened.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _tensor_hash(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


_BY_PREFIX: dict[str, Callable[[str, str, Wanted], OpenedModel]] = {
    "torchvision": _torchvision, "timm": _timm, "hf": _hugging_face,
}  # fmt: skip
_BY_SUFFIX: dict[str, Callable[[str, str, Wanted], OpenedModel]] = {
    ".pt": _torchscript,
    ".onnx": _onnx,
}
