"""Models of other projects as callables: the same answers as their own interface gives."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models.video import r3d_18

from whyact.models.clip_callable import ClipCallable
from whyact.models.foreign import Wanted, open_foreign
from whyact.nn.pretrained import IMAGENET_MEAN, IMAGENET_STD, KINETICS_MEAN, KINETICS_STD
from whyact.types import WhyactError


def clips(frames: int = 4, size: int = 32) -> torch.Tensor:
    return torch.rand(2, 3, frames, size, size, generator=torch.Generator().manual_seed(0))


def normalised(x: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> torch.Tensor:
    return (x - torch.tensor(mean).view(3, 1, 1, 1)) / torch.tensor(std).view(3, 1, 1, 1)


class Mean(nn.Module):
    """Two logits from the mean colour: the order of axes matters."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        red = x[:, 0].flatten(1).mean(1)
        return torch.stack([red, -red], 1)


def test_frames_and_pixels_are_brought_into_form():
    seen = []

    def network(x: torch.Tensor) -> torch.Tensor:
        seen.append(x)
        return torch.zeros(len(x), 2)

    video = torch.arange(8.0).view(1, 1, 8, 1, 1).expand(1, 3, 8, 6, 6) / 8
    ClipCallable(network=network, frames=4, size=(3, 2), std=(2.0, 1.0, 1.0))(video)
    # Four frames out of eight: the middles of four equal parts.
    assert seen[0].shape == (1, 3, 4, 3, 2)
    torch.testing.assert_close(
        seen[0][0, :, :, 0, 0] * 8, torch.tensor([[0.5, 1.5, 2.5, 3.5], [1, 3, 5, 7], [1, 3, 5, 7]])
    )
    ClipCallable(network=network, layout="frames_first")(video)
    assert seen[1].shape == (1, 8, 3, 6, 6)
    ClipCallable(network=network, frames=16, layout="per_frame")(video)
    assert seen[2].shape == (16, 3, 6, 6) and seen[2][1, 0, 0, 0] == 0  # frames are repeated
    with pytest.raises(WhyactError, match="three deviations above 0"):
        ClipCallable(network=network, std=(1.0, 0.0, 1.0))


def test_torchvision_video(tmp_path):
    opened = open_foreign("torchvision:r3d_18", Wanted(classes=5, size=32))
    assert opened.form["mean"] == list(KINETICS_MEAN) and "given: size" in opened.form["source"]
    assert opened.form["frames"] == 0
    network = opened.module
    with torch.no_grad():
        own = network(normalised(clips(), KINETICS_MEAN, KINETICS_STD))
    torch.testing.assert_close(opened.call(clips()), own)
    again = open_foreign("torchvision:r3d_18", Wanted(classes=5))
    assert again.sha256 == opened.sha256 and again.form["size"] == [112, 112]  # its own preset
    torch.save(network.state_dict(), tmp_path / "w.pth")
    loaded = open_foreign(
        "torchvision:r3d_18", Wanted(classes=9, size=32, weights=str(tmp_path / "w.pth"))
    )
    # The file says how many classes there are, in whatever order its tensors lie.
    torch.testing.assert_close(loaded.call(clips()), own)
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    loaded = open_foreign(
        "torchvision:r3d_18", Wanted(classes=9, size=32, weights=str(tmp_path / "w.safetensors"))
    )
    torch.testing.assert_close(loaded.call(clips()), own)


def test_weights_that_do_not_fit(tmp_path):
    torch.save({"a": torch.zeros(3)}, tmp_path / "a.pth")
    torch.save([1], tmp_path / "list.pth")
    (tmp_path / "text.pth").write_text("no weights")
    for name, message in (
        ("a", "not the weights of this network"), ("list", "expected a state dict"),
        ("text", "not a readable state dict"), ("absent", "no such weight file"),
    ):  # fmt: skip
        with pytest.raises(WhyactError, match=message):
            open_foreign("torchvision:resnet18", Wanted(weights=str(tmp_path / f"{name}.pth")))


def test_timm_is_averaged_over_frames():
    pytest.importorskip("timm")
    opened = open_foreign("timm:resnet18", Wanted(classes=3, size=32))
    assert opened.form["layout"] == "per_frame" and opened.form["mean"] == list(IMAGENET_MEAN)
    x = normalised(clips(), IMAGENET_MEAN, IMAGENET_STD)
    frames = torch.stack([opened.module(x[:, :, t]) for t in range(4)])
    torch.testing.assert_close(opened.call(clips()), frames.mean(0))
    with pytest.raises(WhyactError, match=r"timm has no model 'resnet1'. Did you mean"):
        open_foreign("timm:resnet1", Wanted(classes=3))


def hugging_face(family: str):
    """A tiny classifier of a family, built from a config."""
    t = pytest.importorskip("transformers")
    small = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2,
             "intermediate_size": 32, "image_size": 32, "num_labels": 3}  # fmt: skip
    if family == "VideoMAE":
        config = t.VideoMAEConfig(**small, patch_size=16, num_frames=4)
        return t.VideoMAEForVideoClassification(config)
    if family == "ViViT":
        config = t.VivitConfig(**small, num_frames=4, tubelet_size=[2, 16, 16])
        return t.VivitForVideoClassification(config)
    if family == "TimeSformer":
        config = t.TimesformerConfig(**small, patch_size=16, num_frames=4)
        return t.TimesformerForVideoClassification(config)
    small.pop("image_size")
    config = t.VJEPA2Config(
        **small, crop_size=32, patch_size=16, frames_per_clip=4, pred_hidden_size=24,
        pred_num_attention_heads=2, pred_num_hidden_layers=1, num_pooler_layers=1,
    )  # fmt: skip
    return t.VJEPA2ForVideoClassification(config)


@pytest.mark.parametrize("family", ["VideoMAE", "ViViT", "TimeSformer", "V-JEPA 2"])
def test_hugging_face(family, tmp_path):
    network = hugging_face(family).eval()
    network.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(
        '{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]}'
    )
    opened = open_foreign(f"hf:{tmp_path}", Wanted())
    assert (opened.form["frames"], opened.form["size"]) == (4, [32, 32])
    assert opened.form["mean"] == [0.5] * 3 and opened.classes == ()  # LABEL_0 is no name
    x = normalised(clips(), (0.5,) * 3, (0.25,) * 3).transpose(1, 2)
    with torch.no_grad():
        torch.testing.assert_close(opened.call(clips()), network(x).logits)
    assert opened.call(clips(frames=8, size=48)).shape == (2, 3)


def test_hugging_face_names_and_hostile_folders(tmp_path):
    network = hugging_face("VideoMAE")
    network.config.id2label = {0: "a", 1: "b", 2: "c"}
    network.save_pretrained(tmp_path / "named")
    named = open_foreign(f"hf:{tmp_path / 'named'}", Wanted())
    assert named.classes == ("a", "b", "c") and "ImageNet" in named.form["source"]
    with pytest.raises(WhyactError, match=r"no config.json there"):
        open_foreign(f"hf:{tmp_path}", Wanted())
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(WhyactError, match="not a video classifier that loads"):
        open_foreign(f"hf:{tmp_path}", Wanted())


@pytest.mark.filterwarnings("ignore")
def test_a_hugging_face_model_without_a_trained_classifier_is_refused(tmp_path):
    network = hugging_face("VideoMAE")
    t = pytest.importorskip("transformers")
    t.VideoMAEForPreTraining(network.config).save_pretrained(tmp_path)
    with pytest.raises(WhyactError, match=r"tensors are not there and would be random, e\.g\."):
        open_foreign(f"hf:{tmp_path}", Wanted())


@pytest.mark.filterwarnings("ignore")
def test_torchscript(tmp_path):
    file = tmp_path / "model.pt"
    torch.jit.script(Mean()).save(str(file))
    opened = open_foreign(str(file), Wanted(mean=(0.0,) * 3, std=(1.0,) * 3))
    torch.testing.assert_close(opened.call(clips()), Mean()(clips()))
    assert opened.module is None and len(opened.sha256) == 64
    torch.save(Mean().state_dict(), tmp_path / "weights.pt")
    with pytest.raises(WhyactError, match=r"weights.pt: not a TorchScript file"):
        open_foreign(str(tmp_path / "weights.pt"), Wanted())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("layout", ["channels_first", "frames_first"])
def test_onnx(tmp_path, layout):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    file = tmp_path / "model.onnx"
    example = torch.zeros(3, 3, 4, 32, 32)
    if layout == "frames_first":
        example = example.transpose(1, 2)
    torch.onnx.export(Mean(), (example,), str(file), dynamo=True, verbose=False)
    opened = open_foreign(str(file), Wanted(mean=(0.0,) * 3, std=(1.0,) * 3))
    assert opened.form["layout"] == layout and opened.form["frames"] == 4
    given = clips() if layout == "channels_first" else clips().transpose(1, 2)
    # Two clips in a session of three, and frames and pixels of another size.
    torch.testing.assert_close(opened.call(clips()), Mean()(given))
    assert opened.call(clips(frames=8, size=40)).shape == (2, 2)
    assert not opened.gradients


def test_what_is_no_model(tmp_path, monkeypatch):
    (tmp_path / "text.onnx").write_text("no model")
    (tmp_path / "text.txt").write_text("no model")
    for spec, message in (
        ("torchvision:r3d_19", "torchvision has no model 'r3d_19'. Did you mean 'r3d_18'"),
        (str(tmp_path / "absent.onnx"), "absent.onnx: no such model file"),
        (str(tmp_path / "absent.pt"), "absent.pt: no such model file"),
        (str(tmp_path / "text.txt"), "names no model; expected runs/NAME"),
    ):
        with pytest.raises(WhyactError, match=message):
            open_foreign(spec, Wanted(classes=2))
    if "onnxruntime" in sys.modules:
        with pytest.raises(WhyactError, match="not a readable ONNX model"):
            open_foreign(str(tmp_path / "text.onnx"), Wanted())
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(WhyactError, match=r"pip install 'whyact\[onnx\]'"):
        open_foreign(str(tmp_path / "text.onnx"), Wanted())


def test_r3d_weights_are_not_shared(tmp_path: Path):
    """Random weights come from the seed and leave torch's own state alone."""
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    opened = open_foreign("torchvision:r3d_18", Wanted(classes=2, seed=7))
    assert torch.equal(torch.rand(1), expected)
    torch.manual_seed(7)
    assert torch.equal(r3d_18(weights=None, num_classes=2).fc.weight, opened.module.fc.weight)
