"""The adversary descends, the code ascends, and only they learn."""

import math

import pytest
import torch
from tests.toys import toy_batch, toy_output
from torch import Tensor, nn

import whyact.objectives.gradient_reversal as module
from whyact.objectives.base import View
from whyact.objectives.gradient_reversal import GradientReversal, reverse
from whyact.types import ActionOutput, WhyactError


def codes(*rows: list[float]) -> Tensor:
    """(B, 1, 1, C), so that a row is the clip's mean code."""
    return torch.tensor(rows)[:, None, None].requires_grad_()


def attached(target: str, example: ActionOutput) -> GradientReversal:
    """With an adversary that answers with the code itself, where that is positive."""
    objective = GradientReversal(target=target)
    for layer in objective.attach(example):  # type: ignore[union-attr]
        if isinstance(layer, nn.Linear):
            nn.init.eye_(layer.weight)
            nn.init.zeros_(layer.bias)
    return objective


def output(action: Tensor, nuisance: Tensor | None = None) -> ActionOutput:
    other = nuisance if nuisance is not None else torch.zeros_like(action)
    return toy_output(len(action), 1, 1, action_code=action, nuisance_code=other)


def test_reversal_keeps_the_value_and_flips_the_sign_exactly() -> None:
    value = torch.tensor([1.5, -2.0], requires_grad=True)
    same = reverse(value)
    assert torch.equal(same, value)
    (same * torch.tensor([3.0, 0.1])).sum().backward()
    assert value.grad is not None and torch.equal(value.grad, torch.tensor([-3.0, -0.1]))


def test_scene_adversary_by_hand() -> None:
    action = codes([1.0, 0.0])
    clip = output(action)
    objective = attached("scene", clip)
    batch = toy_batch(1)  # of scene 0
    loss = objective.loss({"clip": clip}, batch, {})
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-1)))
    loss.backward()
    right = math.e / (1 + math.e)
    # Descent would raise the first logit; the code does the opposite.
    assert action.grad is not None
    assert action.grad.flatten().tolist() == pytest.approx([1 - right, 0])
    assert objective.adversary is not None
    last = objective.adversary[2]  # type: ignore[index]
    assert last.bias.grad.tolist() == pytest.approx([right - 1, 1 - right])


def test_the_codes_gradient_is_minus_that_of_a_helper(monkeypatch: pytest.MonkeyPatch) -> None:
    gradients = []
    for turned in (True, False):
        if not turned:
            monkeypatch.setattr(module, "reverse", lambda value: value)
        torch.manual_seed(0)
        clip = toy_output(4)
        objective = GradientReversal(target="scene")
        network = objective.attach(clip)
        objective.loss({"clip": clip}, toy_batch(4), {}).backward()
        assert clip.action_code.grad is not None
        gradients.append((clip.action_code.grad, [p.grad for p in network.parameters()]))
    (ours, adversary), (helper, same) = gradients
    assert ours.abs().sum() > 0 and torch.equal(ours, -helper)
    assert all(torch.equal(a, b) for a, b in zip(adversary, same, strict=True))


def test_label_free_adversary_points_at_the_background() -> None:
    clip = output(codes([0.0, 0.0], [0.0, 0.0]), codes([1.0, 0.0], [0.0, 1.0]))
    action = codes([1.0, 1e-3])
    pasted = output(action)
    objective = attached("code", clip)
    batch = toy_batch(2)
    losses = []
    for background in (0, 1):
        view = View(batch.rows(torch.tensor([0])), torch.tensor([0]), torch.tensor([background]))
        outputs = {"clip": clip, "foreground_paste.pasted": pasted}
        losses.append(objective.loss(outputs, batch, {"foreground_paste.pasted": view}))
    # Cosines 1 and 0 over a temperature of 0.1.
    right, wrong = math.log(1 + math.exp(-10)), math.log(1 + math.exp(10))
    assert [x.item() for x in losses] == pytest.approx([right, wrong], abs=0.02)
    losses[1].backward()
    assert clip.nuisance_code.grad is None and clip.action_code.grad is None
    assert action.grad is not None and action.grad.abs().sum() > 0


def test_unknown_scenes_and_a_single_clip_cost_nothing() -> None:
    clip = toy_output(3)
    objective = attached("scene", clip)
    batch = toy_batch(3)
    batch.nuisance.fill_(-1)
    assert objective.loss({"clip": clip}, batch, {}).item() == 0
    one = toy_output(1)
    assert attached("code", one).loss({"clip": one}, toy_batch(1), {}).item() == 0


def test_without_pasted_clips_the_clips_themselves_are_read() -> None:
    clip = toy_output(4)
    objective = attached("code", clip)
    batch, none = toy_batch(4), torch.zeros(0, dtype=torch.int64)
    empty = View(batch.rows(none), none, none)
    outputs = {"clip": clip, "foreground_paste.pasted": clip.rows(0, 0)}
    found = objective.loss(outputs, batch, {"foreground_paste.pasted": empty})
    assert found.item() == objective.loss({"clip": clip}, batch, {}).item() > 0


def test_a_model_or_data_without_scenes_is_refused() -> None:
    plain = toy_output(1, scenes=0, nuisance_code=torch.zeros(1, 4, 2, 0))
    with pytest.raises(WhyactError, match="target is 'scene', but the data name no scenes"):
        GradientReversal(target="scene").attach(plain)
    with pytest.raises(WhyactError, match="target is 'code', but the model has no nuisance code"):
        GradientReversal().attach(plain)
    with pytest.raises(WhyactError, match=r"'place'; choose from \['code', 'scene'\]"):
        GradientReversal(target="place")
