"""The right clip among all, by hand: cosines of unit codes over a temperature of 0.1."""

import math
from dataclasses import replace

import pytest
import torch
from tests.toys import toy_batch, toy_output
from torch import Tensor, nn

from whyact.objectives.base import View
from whyact.objectives.codes import info_nce
from whyact.objectives.contrast import (
    PromptAlignment,
    SwapConsistency,
    SwapContrast,
    attended_token,
    relative_change,
)
from whyact.types import ActionOutput, Batch, WhyactError

RIGHT, WRONG = math.log(1 + math.exp(-10)), math.log(1 + math.exp(10))
E0, E1 = [1.0, 0.0], [0.0, 1.0]


def output(action: list[list[float]], nuisance: list[list[float]]) -> ActionOutput:
    a, z = (torch.tensor(v)[:, None, None].requires_grad_() for v in (action, nuisance))
    return toy_output(len(action), 1, 1, action_code=a, nuisance_code=z)


def swap_loss(
    pasted: ActionOutput, batch: Batch, clip: ActionOutput | None = None, background: int = 1
) -> Tensor:
    """Of clips with codes e0 and e1; the actor of clip 0 stands before clip 1's background."""
    clip = clip or output([E0, E1], [E0, E1])
    view = View(batch.rows(torch.tensor([0])), torch.tensor([0]), torch.tensor([background]))
    return SwapContrast().loss(
        {"clip": clip, "foreground_paste.pasted": pasted},
        batch,
        {"foreground_paste.pasted": view},
    )


@pytest.mark.parametrize(
    ("action", "nuisance", "expected"),
    [(E0, E1, RIGHT), (E1, E0, WRONG), (E0, E0, (RIGHT + WRONG) / 2)],
)
def test_action_follows_the_actor_and_nuisance_the_background(
    action: list[float], nuisance: list[float], expected: float
) -> None:
    loss = swap_loss(output([action], [nuisance]), toy_batch(2))
    assert loss.item() == pytest.approx(expected, abs=1e-5)


def test_every_code_learns() -> None:
    clip, pasted = output([E0, E1], [E0, E1]), output([[0.6, 0.8]], [[0.6, 0.8]])
    swap_loss(pasted, toy_batch(2), clip).backward()
    for one in (clip, pasted):
        for code in (one.action_code, one.nuisance_code):
            assert code.grad is not None and code.grad.abs().sum() > 0
    # Descent turns the pasted action code from e1, the background's clip, to e0, the actor's.
    assert pasted.action_code.grad.flatten()[0] < 0 < pasted.action_code.grad.flatten()[1]


def test_clips_of_the_same_action_are_no_negatives_and_scenes_are_not_looked_at() -> None:
    wrong = output([E1], [E0])
    same_action = replace(toy_batch(2), label=torch.tensor([1, 1]))
    assert swap_loss(wrong, same_action).item() == pytest.approx(WRONG / 2, rel=1e-5)
    same_scene = replace(same_action, nuisance=torch.tensor([0, 0]))
    assert swap_loss(wrong, same_scene).item() == pytest.approx(WRONG / 2, rel=1e-5)
    # Two unknown labels are not the same label.
    unknown = replace(toy_batch(2), label=torch.full((2,), -1), nuisance=torch.full((2,), -1))
    assert swap_loss(wrong, unknown).item() == pytest.approx(WRONG, rel=1e-5)
    multi = replace(toy_batch(2), label=torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    assert swap_loss(wrong, multi).item() == pytest.approx(WRONG / 2, rel=1e-5)


def test_nothing_pasted_costs_nothing() -> None:
    batch, none = toy_batch(1), torch.zeros(0, dtype=torch.int64)
    clip = toy_output(1)
    outputs = {"clip": clip, "foreground_paste.pasted": clip.rows(0, 0)}
    view = View(batch.rows(none), none, none)
    loss = SwapContrast().loss(outputs, batch, {"foreground_paste.pasted": view})
    loss.backward()
    assert loss.item() == 0


def test_codes_of_width_zero_cost_nothing_of_their_half() -> None:
    clip = toy_output(2, nuisance_code=torch.zeros(2, 4, 2, 0))
    loss = swap_loss(clip.rows(0, 1), toy_batch(2, scenes=1), clip)
    assert loss.isfinite()


def test_info_nce_of_no_information_is_the_log_of_the_candidates() -> None:
    same = torch.ones(3, 2)
    found = info_nce(same, same, torch.tensor([0, 1, 2]), temperature=0.1)
    assert found.item() == pytest.approx(math.log(3))


def aligned(prompts: list[list[float]], tokens: list[list[float]]) -> tuple[Tensor, ActionOutput]:
    """With identities for the maps; one prompt, one region, one cell."""
    p, t = (torch.tensor(v)[:, None, None].requires_grad_() for v in (prompts, tokens))
    clip = replace(toy_output(len(prompts), 1, 1, (1, 1), width=2, tokens=t), prompts=p)
    objective = PromptAlignment()
    for layer in objective.attach(clip).values():  # type: ignore[operator,union-attr]
        nn.init.eye_(layer.weight)
        nn.init.zeros_(layer.bias)
    return objective.loss({"clip": clip}, toy_batch(len(prompts)), {}), clip


def test_prompts_find_their_content_both_ways() -> None:
    assert aligned([E0, E1], [E0, E1])[0].item() == pytest.approx(RIGHT, abs=1e-6)
    assert aligned([E1, E0], [E0, E1])[0].item() == pytest.approx(WRONG, rel=1e-4)
    # Prompts that are the same for all clips: chance from content, and no better from prompts.
    assert aligned([[1.0, 1.0]] * 2, [E0, E1])[0].item() == pytest.approx(math.log(2))
    assert aligned([E0], [E1])[0].item() == 0


def test_prompts_learn_and_content_does_not() -> None:
    loss, clip = aligned([[1.0, 0.2], [0.3, 1.0]], [E0, E1])
    loss.backward()
    assert clip.prompts.grad is not None and clip.prompts.grad.abs().sum() > 0
    assert clip.tokens.grad is None and clip.region_weights.grad is None


def test_content_is_what_the_head_looks_at() -> None:
    # Region 0 is cells 0 and 1, region 1 is cell 2; looked at with 0.5 and 0.5.
    assignment = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])[None, None]
    tokens = torch.tensor([[4.0], [8.0], [2.0]])[None, None]
    clip = toy_output(
        1, 1, 2, (1, 3), assignment=assignment, tokens=tokens,
        region_weights=torch.tensor([[[0.5, 0.5]]]),
    )  # fmt: skip
    assert attended_token(clip).tolist() == [[0.25 * 4 + 0.25 * 8 + 0.5 * 2]]


def test_models_without_prompts_and_bad_temperatures_are_refused() -> None:
    with pytest.raises(WhyactError, match="prompt_alignment needs prompts, but the model has none"):
        PromptAlignment().attach(toy_output(1))
    with pytest.raises(WhyactError, match="swap_contrast_temperature must be above 0, got 0"):
        SwapContrast(temperature=0)


def test_relative_change_by_hand() -> None:
    origins = torch.tensor([[0.0, 5.0], [2.0, 5.0]])
    # First feature: 0, 2 and 2 have variance 8 / 9, the change is 2. The second never varies.
    change = relative_change(torch.tensor([[2.0, 5.0]]), origins, torch.tensor([0]))
    assert change.item() == pytest.approx((4 / (2 * 8 / 9) + 0) / 2, rel=1e-4)
    scaled = relative_change(torch.tensor([[20.0, 50.0]]), 10 * origins, torch.tensor([0]))
    assert scaled.item() == pytest.approx(change.item(), rel=1e-4)  # shrinking does not help
    same = relative_change(origins[1:], origins, torch.tensor([1]))
    assert same.item() == 0


@pytest.mark.parametrize(
    ("action", "nuisance", "right"), [(E0, E1, True), (E1, E1, False), (E0, E0, False)]
)
def test_consistency_wants_the_actors_action_and_the_backgrounds_nuisance(
    action: list[float], nuisance: list[float], right: bool
) -> None:
    clip, pasted, batch = output([E0, E1], [E0, E1]), output([action], [nuisance]), toy_batch(2)
    view = View(batch.rows(torch.tensor([0])), torch.tensor([0]), torch.tensor([1]))
    loss = SwapConsistency().loss(
        {"clip": clip, "foreground_paste.pasted": pasted}, batch, {"foreground_paste.pasted": view}
    )
    assert (loss.item() < 1e-6) == right
    loss.backward()
    assert (pasted.action_code.grad.abs().sum() > 0) == (action != E0)


def test_consistency_without_pasted_clips_is_zero() -> None:
    clip, batch = output([E0, E1], [E0, E1]), toy_batch(2)
    none = torch.zeros(0, dtype=torch.int64)
    view = View(batch.rows(none), none, none)
    loss = SwapConsistency().loss(
        {"clip": clip, "foreground_paste.pasted": clip.rows(0, 0)}, batch,
        {"foreground_paste.pasted": view},
    )  # fmt: skip
    assert loss.item() == 0
