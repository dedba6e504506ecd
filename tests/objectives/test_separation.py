"""Descending an objective takes the nuisance out of the action code, as far as it can."""

import pytest
import torch
from tests.toys import toy_batch, toy_output
from torch import Tensor

from whyact.objectives.base import Objective, View
from whyact.objectives.contrast import SwapContrast
from whyact.objectives.gradient_reversal import GradientReversal
from whyact.objectives.information import Club
from whyact.types import ActionOutput

CLIPS = 64


def encoded(action: Tensor, nuisance: Tensor, mixing: Tensor) -> ActionOutput:
    """The action code mixes both factors; the nuisance code's direction tells the nuisance."""
    code = torch.stack([action, nuisance], 1) @ mixing
    other = torch.stack([nuisance, torch.ones_like(nuisance)], 1)
    return toy_output(
        len(action), 1, 1, action_code=code[:, None, None], nuisance_code=other[:, None, None]
    )


def read(mixing: Tensor) -> float:
    """Share of the nuisance in the variance of the action code's channels, the larger one."""
    share = mixing.detach().square()
    return float((share[1] / share.sum(0)).max())


@pytest.mark.parametrize(
    "objective",
    [Club(), GradientReversal(target="scene"), GradientReversal(target="code"), SwapContrast()],
    ids=["club", "scene", "code", "swap"],
)
def test_the_nuisance_leaves_the_action_code(objective: Objective) -> None:
    torch.manual_seed(0)
    mixing = torch.tensor([[1.0, 0.7], [0.7, 1.0]], requires_grad=True)
    assert read(mixing) == pytest.approx(1 / 1.49)
    batch, rows = toy_batch(CLIPS, size=1, classes=CLIPS), torch.arange(CLIPS)
    example = encoded(torch.ones(1), torch.ones(1), mixing)
    network = objective.attach(example)
    groups = [{"params": [mixing], "lr": 0.005}]
    if network is not None:
        groups.append({"params": [*network.parameters()], "lr": 0.02})
    optimizer = torch.optim.Adam(groups)
    for _ in range(400):
        action, nuisance = torch.randn(2, CLIPS)
        partner = rows.roll(int(torch.randint(1, CLIPS, ())))
        pasted = View(batch, rows, partner)
        pasted.batch.nuisance.copy_((nuisance[partner] > 0).long())
        outputs = {
            "clip": encoded(action, nuisance, mixing),
            "foreground_paste.pasted": encoded(action, nuisance[partner], mixing),
        }
        optimizer.zero_grad()
        objective.loss(outputs, batch, {"foreground_paste.pasted": pasted}).backward()
        optimizer.step()
    assert read(mixing) < 0.25  # adversaries oscillate, so not 0
