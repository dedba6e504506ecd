"""An adversary reads the scene from the action code, and the code learns to mislead it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from whyact.objectives.base import Objective, View
from whyact.objectives.codes import first_row, gather_rows, info_nce
from whyact.objectives.terms import label_loss
from whyact.types import ActionOutput, Batch, WhyactError

TARGETS = ("code", "scene")
TEMPERATURE = 0.1


class GradientReversal(Objective):
    """The loss of an adversary that reads the scene from the mean action code.

    The adversary, an MLP with one hidden layer, descends this loss; on its way to the code the
    gradient changes its sign, so the code ascends it. The value that is logged is the adversary's:
    at chance the scene is hidden from *this* adversary, which is no proof that it is gone (probe
    for it), and published use of one hurt (SDN, Choi et al., NeurIPS 2019).

    It reads the clips that `foreground_paste` made, whose scene is apart from their action, and
    where it is off or made none the clips themselves, where misleading the adversary contradicts
    the right action as far as action and scene go together.

    Source: the gradient reversal layer of Ganin and Lempitsky, Unsupervised Domain Adaptation by
    Backpropagation (ICML 2015). Deviations: the sign is turned in full from the first step, instead
    of by a share that grows over the run (the objective's weight sets the strength); the adversary
    has a learning rate of its own; and the target below without labels is this project's.

    Args:
        target: what the adversary reads. ``scene`` is the scene's label (clips without one don't
            count; chance is the log of the number of scenes). ``code`` needs no labels: among all
            clips of the batch, the adversary must point at the one whose background it sees, by
            that clip's nuisance code (which gets no gradient; chance is the log of the clips).
    """

    name = "gradient_reversal"

    def __init__(self, *, target: str = "code") -> None:
        if target not in TARGETS:
            raise WhyactError(
                f"Unknown gradient_reversal_target '{target}'; choose from {list(TARGETS)}."
            )
        self.target = target
        self.adversary: nn.Module | None = None

    def attach(self, example: ActionOutput) -> nn.Module:
        """The adversary."""
        width = example.action_code.shape[-1]
        code = self.target == "code"
        answers = example.nuisance_code.shape[-1] if code else example.nuisance_logits.shape[-1]
        if answers == 0:
            lacks = "the model has no nuisance code" if code else "the data name no scenes"
            cure = "take model.type: whyact" if code else "set it to code"
            raise WhyactError(
                f"objective_settings.gradient_reversal_target is '{self.target}', but {lacks}; "
                f"{cure}, or set objectives.gradient_reversal to 0."
            )
        self.adversary = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, answers)
        )
        return self.adversary

    def loss(
        self, outputs: Mapping[str, ActionOutput], batch: Batch, views: Mapping[str, View]
    ) -> Tensor:
        """Mean over the clips whose scene is known."""
        assert self.adversary is not None, "attach comes first"
        rows = torch.arange(len(batch), device=batch.label.device)
        seen, view = outputs["clip"], View(batch, rows, rows)
        pasted = "foreground_paste.pasted"
        if pasted in views and len(views[pasted].batch):
            seen, view = outputs[pasted], views[pasted]
        answer = self.adversary(reverse(seen.mean_code(seen.action_code)))
        if self.target == "scene":
            return label_loss(answer, view.batch.nuisance)
        clip = outputs["clip"]
        backgrounds = clip.mean_code(clip.nuisance_code).detach()
        start = first_row(len(batch), backgrounds.device)
        return info_nce(
            answer, gather_rows(backgrounds), view.background + start, temperature=TEMPERATURE
        )


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return -gradient


def reverse(value: Tensor) -> Tensor:
    """The same value, whose gradient has the other sign."""
    reversed_value: Tensor = _Reverse.apply(value)
    return reversed_value
