"""Counting passes."""

import torch
from tests.toys import ToyModel
from torch import Tensor

from whyact.explainers.cost import CountedModel
from whyact.explainers.gradient import IntegratedGradients
from whyact.explainers.native import Native
from whyact.explainers.perturbation import Occlusion
from whyact.explainers.sampled import SmoothGrad


def clips() -> Tensor:
    return torch.rand(2, 3, 4, 16, 16, generator=torch.Generator().manual_seed(0))


def test_passes_of_explainers() -> None:
    run = CountedModel(ToyModel())
    Native(model=run)(clips())
    assert (run.forward, run.backward, run.passes) == (2, 2, 4)
    run.reset()
    SmoothGrad(model=run, samples=3)(clips())
    assert (run.forward, run.backward) == (2 + 6, 6)
    run.reset()
    IntegratedGradients(model=run, steps=16)(clips())
    assert (run.forward, run.backward) == (2 * 18, 2 * 16)
    assert run.passes <= 1.2 * 2 * 2 * 16
    run.reset()
    Occlusion(model=run, tube=(2, 8, 8))(clips())
    assert (run.forward, run.backward) == (2 * (8 + 2), 0)


def test_logits_alone_are_counted_too() -> None:
    run = CountedModel(lambda x: x.mean((2, 3, 4)))
    x = clips().requires_grad_()
    torch.autograd.grad(run(x).sum(), x)
    assert (run.forward, run.backward) == (2, 2)
