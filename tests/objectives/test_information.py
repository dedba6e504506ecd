"""CLUB and the bottleneck, on numbers that can be worked out by hand."""

import math

import pytest
import torch
from tests.toys import toy_batch, toy_output
from torch import Tensor

from whyact.objectives.information import (
    Bottleneck,
    Club,
    GaussianCritic,
    club,
    log_ratio,
    standardised,
)
from whyact.types import ActionOutput

PAIR = torch.tensor([[1.0], [-1.0]])


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def output(action: Tensor, nuisance: Tensor) -> ActionOutput:
    """Whose mean codes are the rows given, as leaves."""
    a, z = (v.clone()[:, None, None].requires_grad_() for v in (action, nuisance))
    return toy_output(len(action), 1, 1, action_code=a, nuisance_code=z)


@pytest.mark.parametrize("variance", [1.0, 0.5])
def test_estimate_by_hand(variance: float) -> None:
    spread = torch.full((2, 1), math.log(variance))
    # A critic that says 0 of every clip: own and other errors are the same.
    assert club(torch.zeros(2, 1), spread, PAIR).item() == 0
    # One that is right: own error 0, mean error over all (0 + 4) / 2, halved, over the variance.
    assert club(PAIR, spread, PAIR).item() == pytest.approx(1 / variance)
    # One that says the opposite: own error 4, mean error 2.
    assert club(-PAIR, spread, PAIR).item() == pytest.approx(-1 / variance)


def test_fit_is_the_gain_over_the_standard_normal() -> None:
    # -log N(z; 0, 1) + log N(z; z, v) = z^2 / 2 - log(v) / 2.
    ratio = log_ratio(PAIR, torch.full((2, 1), math.log(0.25)), PAIR)
    assert ratio.tolist() == pytest.approx([0.5 + math.log(2)] * 2)
    assert log_ratio(torch.zeros(2, 1), torch.zeros(2, 1), PAIR).tolist() == [0, 0]


def test_standardised_codes_have_no_scale_and_constant_channels_vanish() -> None:
    code = normal(16, 3)
    code[:, 2] = 7
    found = standardised(100 * code + 5)
    assert torch.allclose(found[:, :2], standardised(code)[:, :2], atol=1e-4)
    assert found[:, :2].square().mean(0).tolist() == pytest.approx([1, 1], abs=1e-3)
    assert found[:, 2].abs().max() < 1e-3


def test_codes_and_critic_do_not_get_each_others_gradient() -> None:
    objective, batch = Club(), toy_batch(8)
    action, nuisance = normal(8, 3), normal(8, 3, seed=1)
    torch.manual_seed(0)
    critic = objective.attach(output(action, nuisance))
    both = output(action, nuisance)
    objective.loss({"clip": both}, batch, {}).backward()

    # What the codes learn is the estimate with a critic that cannot learn, and nothing of the fit.
    fixed = output(action, nuisance)
    critic.requires_grad_(False)
    a, z = (standardised(c.mean((1, 2))) for c in (fixed.action_code, fixed.nuisance_code))
    club(*critic(a), z).backward()
    assert both.action_code.grad is not None and fixed.action_code.grad is not None
    assert torch.allclose(both.action_code.grad, fixed.action_code.grad, atol=1e-7)
    assert both.action_code.grad.abs().sum() > 0
    assert torch.allclose(both.nuisance_code.grad, fixed.nuisance_code.grad, atol=1e-7)

    # What the critic learns is to fit, and nothing of the estimate.
    learnt = [p.grad.clone() for p in critic.parameters()]
    critic.requires_grad_(True).zero_grad()
    (-log_ratio(*critic(a.detach()), z.detach()).mean()).backward()
    for gradient, parameter in zip(learnt, critic.parameters(), strict=True):
        assert torch.allclose(gradient, parameter.grad, atol=1e-7)
    assert sum(float(g.abs().sum()) for g in learnt) > 0


@pytest.mark.parametrize("dependent", [True, False])
def test_the_fit_tells_a_critic_that_knows_from_one_that_does_not(dependent: bool) -> None:
    objective = Club()
    torch.manual_seed(0)
    critic = objective.attach(toy_output(1, width=2))
    optimizer = torch.optim.Adam(critic.parameters(), 0.01)
    generator = torch.Generator()
    fits, estimates = [], []
    for step in range(400):
        action = normal(64, 2, seed=2 * step)
        nuisance = -action if dependent else normal(64, 2, seed=2 * step + 1)
        outputs = {"clip": output(action, nuisance)}
        loss = objective.loss(outputs, toy_batch(64), {})
        fits.append(objective.measures(outputs, toy_batch(64), {}, generator)["club_fit"].item())
        estimates.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if dependent:
        # The best that log-variances of at least -1 allow: a nat a channel, and e a channel.
        assert fits[0] < 0.5 and fits[-1] == pytest.approx(2, abs=0.15)
        assert estimates[-1] == pytest.approx(2 * math.e, abs=0.5)
    else:
        late = torch.tensor(fits[-50:]).mean(), torch.tensor(estimates[-50:]).mean()
        assert late[0] == pytest.approx(0, abs=0.05) and late[1] == pytest.approx(0, abs=0.1)


def test_the_value_is_the_estimate_alone() -> None:
    objective, clip = Club(), output(normal(8, 3), normal(8, 3, seed=1))
    critic = objective.attach(clip)
    a, z = (standardised(c.mean((1, 2))) for c in (clip.action_code, clip.nuisance_code))
    found = objective.loss({"clip": clip}, toy_batch(8), {})
    assert found.item() == pytest.approx(club(*critic(a), z).item(), abs=1e-6)


def test_pasted_clips_are_read_where_there_are_enough() -> None:
    objective, clip = Club(), output(normal(8, 3), normal(8, 3, seed=1))
    objective.attach(clip)
    pasted = output(normal(5, 3, seed=2), normal(5, 3, seed=3))
    outputs = {"clip": clip, "foreground_paste.pasted": pasted}
    objective.loss(outputs, toy_batch(8), {}).backward()
    assert clip.action_code.grad is None and pasted.action_code.grad is not None


def test_too_few_clips_cost_nothing() -> None:
    objective, clip = Club(), toy_output(3)
    objective.attach(clip)
    loss = objective.loss({"clip": clip}, toy_batch(3), {})
    loss.backward()
    assert loss.item() == 0
    assert objective.measures({"clip": clip}, toy_batch(3), {}, torch.Generator()) == {
        "club_fit": 0
    }


def test_the_critics_variance_is_bounded() -> None:
    _, spread = GaussianCritic(given=2, guessed=3)(1e6 * normal(5, 2))
    assert spread.shape == (5, 3) and spread.abs().max() <= 1


def test_bottleneck_is_half_the_square_where_the_head_looks() -> None:
    # Two regions in one frame: lengths 5 and 1, looked at with 3/4 and 1/4.
    code = torch.tensor([[[[3.0, 4.0], [1.0, 0.0]]]]).requires_grad_()
    weights = torch.tensor([[[0.75, 0.25]]]).requires_grad_()
    clip = toy_output(1, 1, 2, action_code=code, region_weights=weights)
    loss = Bottleneck().loss({"clip": clip}, toy_batch(1), {})
    assert loss.item() == pytest.approx(0.75 * 12.5 + 0.25 * 0.5)
    loss.backward()
    assert weights.grad is None and clip.nuisance_code.grad is None
    assert code.grad is not None and code.grad[0, 0].tolist() == [[2.25, 3.0], [0.25, 0.0]]
