"""Gradient explainers on linear models, whose attributions can be written down."""

import pytest
import torch
from captum.attr import LayerGradCam
from torch import Tensor, nn

from whyact.explainers.gradient import GradCam, IntegratedGradients, as_maps
from whyact.types import WhyactError


def clips(count: int = 2, frames: int = 4, size: int = 8, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, frames, size, size, generator=torch.Generator().manual_seed(seed))


class Volume(nn.Module):
    """Two feature maps a pixel, averaged over space-time, then linear; frames stay together."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.features = nn.Conv3d(3, 2, 1)
        colors = torch.tensor([[1.0, -1.0, 0.2], [-0.5, 1.0, -0.2]])
        self.features.weight.data = colors.view(2, 3, 1, 1, 1)
        self.features.bias.data.zero_()
        self.act = nn.ReLU(inplace=inplace)
        self.classify = nn.Linear(2, 3)
        self.classify.weight.data = torch.tensor([[1.0, -0.5], [-1.0, 0.2], [0.3, 1.0]])
        self.classify.bias.data = torch.tensor([0.1, 0.2, -0.1])

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.act(self.features(x)).mean((2, 3, 4)))


class PerFrame(Volume):
    """The same network, run on all frames as one batch of images."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Conv2d(3, 2, 1)
        self.image.weight.data = self.features.weight.data[..., 0]
        self.image.bias.data = self.features.bias.data

    def forward(self, x: Tensor) -> Tensor:
        maps = self.act(self.image(x.transpose(1, 2).flatten(0, 1)))
        return self.classify(maps.mean((2, 3)).unflatten(0, (len(x), -1)).mean(1))


class Tokens(Volume):
    """The same network on tokens (B, 1 + T * h * w, 3), with a class token that is not read."""

    def __init__(self, per_frame: bool = False) -> None:
        super().__init__()
        self.per_frame = per_frame
        self.embed = nn.Linear(3, 2)
        self.embed.weight.data = self.features.weight.data.flatten(1)
        self.embed.bias.data = self.features.bias.data

    def forward(self, x: Tensor) -> Tensor:
        axes = (1, 2) if self.per_frame else (1, 3)
        images = x.transpose(*axes).flatten(0, 1) if self.per_frame else x
        tokens = images.flatten(2).transpose(1, 2)
        first = torch.full_like(tokens[:, :1], 9.0)
        made = self.act(self.embed(torch.cat([first, tokens], 1)))[:, 1:].mean(1)
        if self.per_frame:
            made = made.unflatten(0, (len(x), -1)).mean(1)
        return self.classify(made)


def by_hand(model: Volume, x: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """Maps of the ``features`` layer: the gradient is ``w_c / cells`` where the unit is on."""
    cells = x[0, 0].numel()
    activation = model.features(x).detach()
    on = (activation > 0).float()
    gradient = on * model.classify.weight[targets].detach()[:, :, None, None, None] / cells
    mean = gradient.mean((2, 3, 4), keepdim=True)
    return {
        "grad_cam": (mean * activation).sum(1).relu(),
        "hires_cam": (gradient * activation).sum(1).relu(),
        "layer_cam": (gradient.relu() * activation).sum(1).relu(),
    }


@pytest.mark.parametrize("variant", ["grad_cam", "hires_cam", "layer_cam"])
def test_cam_by_hand_for_every_kind_of_network(variant: str) -> None:
    x, targets = clips(), torch.tensor([0, 2])
    wanted = by_hand(Volume(), x, targets)[variant]
    assert float(wanted.amax((1, 2, 3)).min()) > 0
    for model, layer, shape in (
        (Volume(), "features", {}),
        (PerFrame(), "image", {}),
        (Tokens(), "embed", {"grid": (4, 8, 8), "prefix": 1}),
        (Tokens(per_frame=True), "embed", {"grid": (8, 8), "prefix": 1}),
    ):
        explainer = GradCam(model=model, layer=getattr(model, layer), variant=variant, **shape)
        for found, heat in zip(explainer(x, targets), wanted, strict=True):
            assert torch.allclose(found.heat, heat, atol=1e-6)
            assert found.method == variant


def test_grad_cam_agrees_with_captum_on_volumes() -> None:
    model, x, targets = Volume(), clips(), torch.tensor([1, 2])
    theirs = LayerGradCam(model, model.features).attribute(x, targets, relu_attributions=True)
    ours = GradCam(model=model, layer=model.features)(x, targets)
    assert torch.allclose(torch.stack([e.heat for e in ours]), theirs[:, 0].detach(), atol=1e-4)


def test_captum_is_wrong_on_tokens() -> None:
    """Why there is own code: Captum averages over channels and keeps one value a channel."""
    model, x, targets = Tokens(), clips(), torch.tensor([1, 2])
    theirs = LayerGradCam(model, model.embed).attribute(x, targets)
    assert theirs.shape == (2, 1, 2)  # 257 tokens went in


def test_layers_that_work_in_place_change_nothing() -> None:
    x, targets = clips(), torch.tensor([0, 2])
    safe, unsafe = Volume(), Volume(inplace=True)
    a = GradCam(model=safe, layer=safe.features)(x, targets)
    b = GradCam(model=unsafe, layer=unsafe.features)(x, targets)
    assert all(torch.equal(p.heat, q.heat) for p, q in zip(a, b, strict=True))
    assert not safe.features._forward_hooks


def test_frozen_models_are_explained() -> None:
    model = Volume().requires_grad_(False)
    with torch.no_grad():
        (one,) = GradCam(model=model, layer=model.features)(clips(1))
    assert one.target == int(model(clips(1)).argmax())
    assert one.score == pytest.approx(float(model(clips(1)).max()))


def test_errors_of_layers() -> None:
    model = Volume()
    twice = nn.Module()
    twice.forward = lambda x: model(x) + model(x)  # type: ignore[method-assign]
    with pytest.raises(WhyactError, match="Conv3d ran 2 times"):
        GradCam(model=twice, layer=model.features)(clips())
    with pytest.raises(WhyactError, match="ran 0 times"):
        GradCam(model=model, layer=nn.Linear(2, 2))(clips())
    with pytest.raises(WhyactError, match="needs its grid"):
        tokens = Tokens()
        GradCam(model=tokens, layer=tokens.embed)(clips())
    with pytest.raises(WhyactError, match=r"Cannot read a map .* \(2, 3\) for 2 clips"):
        GradCam(model=model, layer=model.classify)(clips())
    pair = nn.GRU(2, 2)
    with pytest.raises(WhyactError, match="GRU gives a tuple, not a tensor; name a layer inside"):
        GradCam(model=lambda x: pair(x[:, 0, 0, :, :2])[0].sum(1), layer=pair)(clips())
    with pytest.raises(WhyactError, match="choose grad_cam, hires_cam or layer_cam"):
        GradCam(model=model, layer=model.features, variant="gradcam")  # type: ignore[arg-type]


def test_as_maps_reads_channels_last() -> None:
    x = torch.arange(2 * 3 * 4 * 5 * 6.0).view(2, 3, 4, 5, 6)  # B, T, h, w, C
    assert torch.equal(as_maps(x, 2, channels_last=True), x.permute(0, 4, 1, 2, 3))
    frames = x.flatten(0, 1)
    assert torch.equal(as_maps(frames, 2, channels_last=True), x.permute(0, 4, 1, 2, 3))


class Linear(nn.Module):
    """A weighted sum of pixels for each of two classes."""

    def __init__(self, frames: int = 4, size: int = 8) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.weight = torch.randn(2, 3, frames, size, size, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("bcthw,ycthw->by", x, self.weight)


def test_integrated_gradients_of_a_linear_model() -> None:
    model, x, targets = Linear(), clips(), torch.tensor([0, 1])
    found = IntegratedGradients(model=model, steps=4, baseline="mean")(x, targets)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1, 1)
    wanted = ((x - mean) * model.weight[targets]).sum(1)
    for one, signed in zip(found, wanted, strict=True):
        assert torch.allclose(one.heat, signed.clamp_min(0), atol=1e-5)
        assert one.extra["completeness_gap"] < 1e-4


def test_integrated_gradients_do_not_depend_on_the_batch() -> None:
    model, x = Volume(), clips(3)
    few = IntegratedGradients(model=model, steps=8, batch_size=2)
    many = IntegratedGradients(model=model, steps=8, batch_size=64)
    for b, one in enumerate(many(x)):
        (alone,) = few(x[b : b + 1])
        assert torch.allclose(one.heat, alone.heat, atol=1e-6)
