"""A decoder that copies its codes, so that every error is known."""

import pytest
import torch
from tests.toys import toy_batch, toy_output
from torch import Tensor, nn

from whyact.objectives.base import View
from whyact.objectives.reconstruction import Reconstruction
from whyact.types import ActionOutput, Batch, WhyactError


class Copy(nn.Module):
    """Of one action channel and one nuisance channel, a token of two."""

    def forward(self, codes: Tensor) -> Tensor:
        return codes


def clips(action: list[float], nuisance: list[float], first: list[float]) -> ActionOutput:
    """One frame, one region, one cell; tokens whose normalised channels are (first, -first)."""
    a, z = (torch.tensor(v).view(-1, 1, 1, 1).requires_grad_() for v in (action, nuisance))
    token = 1000 * torch.tensor([[f, -f] for f in first]).view(-1, 1, 1, 2) + 77
    return toy_output(
        len(action), 1, 1, (1, 1), action_code=a, nuisance_code=z, tokens=token.requires_grad_(),
        assignment=torch.ones(len(action), 1, 1, 1).requires_grad_(),
    )  # fmt: skip


def loss(clip: ActionOutput, pasted: ActionOutput | None = None, swap: float = 1.0) -> Tensor:
    """The actor of clip 0 before the background of clip 1."""
    objective = Reconstruction(swap=swap)
    objective.decoder = Copy()
    batch: Batch = toy_batch(len(clip.logits))
    if pasted is None:
        return objective.loss({"clip": clip}, batch, {})
    rows, background = torch.tensor([0]), torch.tensor([1])
    view = View(batch.rows(rows), rows, background)
    return objective.loss(
        {"clip": clip, "foreground_paste.pasted": pasted}, batch, {"foreground_paste.pasted": view}
    )


def test_error_by_hand() -> None:
    assert loss(clips([1.0, -1.0], [-1.0, 1.0], [1.0, -1.0])).item() == pytest.approx(0, abs=1e-6)
    # Says nothing: both channels are off by one.
    assert loss(clips([0.0], [0.0], [1.0])).item() == pytest.approx(1, abs=1e-4)
    # One channel of two is off by two.
    assert loss(clips([-1.0], [-1.0], [1.0])).item() == pytest.approx(2, abs=1e-4)


def test_recombined_codes_must_give_the_pasted_clip() -> None:
    clip = clips([1.0, -1.0], [-1.0, 1.0], [1.0, -1.0])  # each by itself is right
    # Action 1 of clip 0 and nuisance 1 of clip 1: off by two in the second channel.
    pasted = clips([9.0], [9.0], [1.0])
    assert loss(clip, pasted).item() == pytest.approx(2, abs=1e-4)
    assert loss(clip, pasted, swap=0.25).item() == pytest.approx(0.5, abs=1e-4)
    assert loss(clip, pasted, swap=0).item() == pytest.approx(0, abs=1e-6)


def test_gradient_reaches_codes_and_regions_and_not_the_tokens() -> None:
    clip, pasted = clips([0.5, 0.0], [0.0, 0.5], [1.0, -1.0]), clips([9.0], [9.0], [1.0])
    loss(clip, pasted).backward()
    assert clip.tokens.grad is None and pasted.tokens.grad is None
    assert pasted.action_code.grad is None and pasted.nuisance_code.grad is None
    for value in (clip.action_code, clip.nuisance_code, clip.assignment, pasted.assignment):
        assert value.grad is not None and value.grad.abs().sum() > 0


def test_cells_mix_their_regions() -> None:
    # The cell is three quarters region 0, which says (1, -1), and a quarter region 1, (-3, 3).
    codes = torch.tensor([1.0, -3.0]).view(1, 1, 2, 1)
    clip = toy_output(
        1, 1, 2, (1, 1), action_code=codes, nuisance_code=-codes,
        assignment=torch.tensor([0.75, 0.25]).view(1, 1, 2, 1),
        tokens=1000 * torch.tensor([1.0, -1.0]).view(1, 1, 1, 2),
    )  # fmt: skip
    assert loss(clip).item() == pytest.approx(1, abs=1e-4)  # (0, 0) against (1, -1)


def test_nothing_pasted_and_a_model_without_nuisance_codes() -> None:
    batch, none = toy_batch(2), torch.zeros(0, dtype=torch.int64)
    clip = toy_output(2, nuisance_code=torch.zeros(2, 4, 2, 0))
    objective = Reconstruction()
    objective.attach(clip)
    outputs = {"clip": clip, "foreground_paste.pasted": clip.rows(0, 0)}
    views = {"foreground_paste.pasted": View(batch.rows(none), none, none)}
    found = objective.loss(outputs, batch, views)
    assert found.item() == objective.loss({"clip": clip}, batch, {}).item() > 0
    with pytest.raises(WhyactError, match="reconstruction_swap must be at least 0, got -1"):
        Reconstruction(swap=-1)
