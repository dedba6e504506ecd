"""SmoothGrad, GradientSHAP and RISE on models whose attributions can be written down."""

import pytest
import torch
from captum.attr import GradientShap as CaptumGradientShap
from captum.attr import NoiseTunnel, Saliency
from torch import Tensor

from whyact.explainers.sampled import GradientShap, Rise, SmoothGrad
from whyact.ops.fill import filling
from whyact.types import WhyactError

WEIGHT = torch.randn(2, 3, 4, 8, 8, generator=torch.Generator().manual_seed(3))


def linear(x: Tensor) -> Tensor:
    """A weighted sum of pixels for each of two classes."""
    return torch.einsum("bcthw,ycthw->by", x, WEIGHT)


def quadratic(x: Tensor) -> Tensor:
    return torch.einsum("bcthw,ycthw->by", x.square(), WEIGHT)


def clips(count: int = 2) -> Tensor:
    return torch.rand(count, 3, 4, 8, 8, generator=torch.Generator().manual_seed(0))


def stacked(found: list) -> Tensor:
    return torch.stack([e.heat for e in found])


def test_smooth_grad_of_linear_and_quadratic_models() -> None:
    x, targets = clips(), torch.tensor([0, 1])
    found = SmoothGrad(model=linear)(x, targets)
    assert torch.allclose(stacked(found), WEIGHT[targets].abs().sum(1), atol=1e-5)
    theirs = NoiseTunnel(Saliency(linear)).attribute(
        x, nt_samples=4, stdevs=0.1, target=targets, abs=False
    )
    assert torch.allclose(stacked(found), theirs.abs().sum(1), atol=1e-4)
    assert found[0].method == "smooth_grad"
    assert found[0].score == pytest.approx(float(linear(x)[0, 0]), abs=1e-4)
    # 2 * w * (x + mean of the noise): with many samples the noise is gone.
    many = SmoothGrad(model=quadratic, samples=400, deviation=0.1)(x, targets)
    wanted = (2 * WEIGHT[targets] * x).abs().sum(1)
    assert float((stacked(many) - wanted).abs().mean()) < 0.05


def test_gradient_shap_of_a_linear_model() -> None:
    x, targets = clips(), torch.tensor([0, 1])
    start = filling(x, torch.ones_like(x[:, 0]), "mean")
    found = GradientShap(model=linear, baselines=("mean",))(x, targets)
    wanted = ((x - start) * WEIGHT[targets]).sum(1)
    assert torch.allclose(stacked(found), wanted.clamp_min(0), atol=1e-5)
    theirs = CaptumGradientShap(linear).attribute(x, start, n_samples=3, target=targets)
    assert torch.allclose(stacked(found), theirs.sum(1).clamp_min(0).float(), atol=1e-4)
    both = GradientShap(model=linear, samples=2)(x, targets)
    blurry = filling(x, torch.ones_like(x[:, 0]), "blur")
    wanted = ((x - (start + blurry) / 2) * WEIGHT[targets]).sum(1)
    assert torch.allclose(stacked(both), wanted.clamp_min(0), atol=1e-5)


def test_gradient_shap_adds_up_on_average() -> None:
    """The integral of ``2 w z`` from baseline to clip is ``w (x^2 - b^2)``."""
    x, targets = clips(1), torch.tensor([0])
    seen = GradientShap(model=quadratic, samples=800, baselines=("mean",))
    start = filling(x, torch.ones_like(x[:, 0]), "mean")
    wanted = (WEIGHT[targets] * (x.square() - start.square())).sum(1).clamp_min(0)
    assert float((stacked(seen(x, targets)) - wanted).abs().mean()) < 0.03


def tube(x: Tensor) -> Tensor:
    """Class 0: how white the first quarter of frames 0 and 1 is."""
    share = x[:, :, :2, :4, :4].mean((1, 2, 3, 4))
    return torch.stack([share, 1 - share], 1)


def test_rise_finds_the_tube_that_counts() -> None:
    x = torch.zeros(1, 3, 4, 8, 8)
    x[:, :, :2, :4, :4] = 1
    explainer = Rise(model=tube, masks=600, grid=(2, 2, 2), fill="mean")
    (one,) = explainer(x, torch.tensor([0]))
    inside = one.heat[:2, :4, :4]
    outside = one.heat[2:, 4:, 4:]
    assert float(inside.mean()) > 10 * float(outside.mean())
    (against,) = explainer(x, torch.tensor([1]))
    assert float(against.heat[:2, :4, :4].max()) == 0  # evidence against the class is no heat


def test_rise_gives_the_slope_of_an_additive_model() -> None:
    """With one mask cell a pixel and no smoothing the covariance is the cell's own weight."""
    generator = torch.Generator().manual_seed(1)
    weight = torch.rand(1, 2, 2, generator=generator)

    def model(x: Tensor) -> Tensor:
        score = (x[:, 0] * weight).sum((1, 2, 3)) / 4
        return torch.stack([score.exp(), score.exp()], 1).log() * torch.tensor([1.0, -1.0])

    x = torch.ones(1, 3, 1, 2, 2)
    (one,) = Rise(model=model, masks=4000, grid=(1, 2, 2), fill="mean")(x, torch.tensor([0]))
    order = one.heat.flatten().argsort()
    assert order.tolist() == weight.flatten().argsort().tolist()


@pytest.mark.parametrize("kind", ["smooth", "shap", "rise"])
def test_neither_batch_nor_batch_size_changes_a_map_and_passes_are_few(kind: str) -> None:
    sizes: list[int] = []

    def model(x: Tensor) -> Tensor:
        sizes.append(len(x))
        return quadratic(x)

    def run(x: Tensor, batch_size: int) -> Tensor:
        explainer = {
            "smooth": lambda: SmoothGrad(model=model, samples=6, batch_size=batch_size),
            "shap": lambda: GradientShap(model=model, samples=6, batch_size=batch_size),
            "rise": lambda: Rise(model=model, masks=20, batch_size=batch_size),
        }[kind]()
        return stacked(explainer(x, torch.zeros(len(x)).long()))

    x = clips(3)
    large = run(x, 64)
    assert sum(sizes) == 3 * ((20 if kind == "rise" else 6) + 1)
    sizes.clear()
    small = run(x, 4)
    assert max(sizes) <= 4
    scale = float(large.max())
    assert torch.allclose(large, small, atol=1e-5 * scale)
    assert torch.allclose(large[1:2], run(x[1:2], 4), atol=1e-5 * scale)


def test_captum_depends_on_the_batch() -> None:
    """Why there is own code: Captum draws its noise for the whole batch at once."""
    x, targets = clips(2), torch.tensor([0, 0])

    def theirs(batch: Tensor, t: Tensor) -> Tensor:
        torch.manual_seed(0)
        return NoiseTunnel(Saliency(quadratic)).attribute(
            batch, nt_samples=4, stdevs=0.1, target=t, abs=False
        )

    assert not torch.allclose(theirs(x, targets)[1:], theirs(x[1:], targets[1:]), atol=1e-3)


def test_errors() -> None:
    with pytest.raises(WhyactError, match="at least one baseline"):
        GradientShap(model=linear, baselines=())


def test_rise_reads_the_probabilities_that_the_model_means() -> None:
    """Where a clip may have several actions, a second one must not hide the first."""

    def both(x: Tensor) -> Tensor:
        share = tube(x)[:, 0]
        return torch.stack([8 * share - 4, torch.full_like(share, 20.0)], 1)

    x = torch.zeros(1, 3, 4, 8, 8)
    x[:, :, :2, :4, :4] = 1
    heat = {}
    for chances in (torch.sigmoid, lambda logits: logits.softmax(-1)):
        rise = Rise(model=both, masks=200, grid=(2, 2, 2), fill="mean", probabilities=chances)
        heat[chances is torch.sigmoid] = float(rise(x, torch.tensor([0]))[0].heat.max())
    assert heat[True] > 1e3 * heat[False]
