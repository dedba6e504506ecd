"""Bounds on what a code holds: of the other code (CLUB), and of the clip (the bottleneck)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from whyact.objectives.base import Objective, View
from whyact.objectives.codes import crossed_codes
from whyact.objectives.terms import zero
from whyact.ops.independence import MIN_CLIPS
from whyact.types import ActionOutput, Batch


class Club(Objective):
    """CLUB, an estimate of the mutual information of action code and nuisance code, in nats.

    ``mean_i log q(z_i | a_i) - mean_ij log q(z_j | a_i)``, where a Gaussian critic q guesses the
    nuisance code z from the action code a. It bounds the information from above only while q is
    close to the true conditional, and before that it is no bound of anything: so the critic's fit
    is logged as ``club_fit``, the nats by which it guesses better than from no code at all. A fit
    at or below 0 says that the penalty means nothing yet, or that there is nothing to find.

    The codes learn from the estimate with the critic held fixed; the critic learns to guess from
    codes held fixed, in the same backward pass, and steps with a learning rate of its own.

    Source: the variational estimate (vCLUB) of Cheng et al., CLUB (ICML 2020), and its algorithm.
    Deviations: codes are standardised over the batch, so that none looks independent by shrinking
    and the fit has a zero; critic and model step together, once a batch, the critic not first;
    clips are those of `whyact.objectives.codes.crossed_codes`, gathered over processes.
    """

    name = "club"
    needs_regions = True

    def __init__(self) -> None:
        self.critic: nn.Module | None = None

    def attach(self, example: ActionOutput) -> nn.Module:
        """The critic."""
        self.critic = GaussianCritic(
            given=example.action_code.shape[-1], guessed=example.nuisance_code.shape[-1]
        )
        return self.critic

    def loss(
        self, outputs: Mapping[str, ActionOutput], batch: Batch, views: Mapping[str, View]
    ) -> Tensor:
        """The estimate, which may be negative; 0 for fewer than four clips."""
        assert self.critic is not None, "attach comes first"
        action, nuisance = crossed_codes(outputs)
        if len(action) < MIN_CLIPS:
            return zero(outputs["clip"])
        with torch.autocast(action.device.type, enabled=False):
            a, z = standardised(action), standardised(nuisance)
            fixed = {name: value.detach() for name, value in self.critic.named_parameters()}
            mean, log_variance = functional_call(self.critic, fixed, (a,))
            estimate = club(mean, log_variance, z)
            mean, log_variance = self.critic(a.detach())
            fit = log_ratio(mean, log_variance, z.detach()).mean()
        # Worth nothing, and yet with the critic's gradient: one backward pass serves both.
        return estimate + (fit.detach() - fit)

    @torch.no_grad()
    def measures(
        self,
        outputs: Mapping[str, ActionOutput],
        batch: Batch,
        views: Mapping[str, View],
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """``club_fit``, on clips that the critic has not learnt from yet."""
        assert self.critic is not None, "attach comes first"
        action, nuisance = crossed_codes(outputs)
        if len(action) < MIN_CLIPS:
            return {"club_fit": action.new_zeros(())}
        with torch.autocast(action.device.type, enabled=False):
            mean, log_variance = self.critic(standardised(action))
            ratio = log_ratio(mean, log_variance, standardised(nuisance))
        return {"club_fit": ratio.mean()}


class GaussianCritic(nn.Module):
    """Guesses a code (n, guessed) from a code (n, given): mean and log-variance, in [-1, 1].

    The bounds of the log-variance are the authors' (their public code): a critic that is sure of
    itself would make the estimate's gradient explode.
    """

    def __init__(self, *, given: int, guessed: int) -> None:
        super().__init__()
        self.mean = nn.Sequential(nn.Linear(given, given), nn.ReLU(), nn.Linear(given, guessed))
        self.log_variance = nn.Sequential(
            nn.Linear(given, given), nn.ReLU(), nn.Linear(given, guessed), nn.Tanh()
        )

    def forward(self, code: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance, (n, guessed) each."""
        return self.mean(code), self.log_variance(code)


def standardised(code: Tensor) -> Tensor:
    """(n, C) with mean 0 and variance 1 over the clips; channels that never vary become 0."""
    centred = code - code.mean(0)
    return centred / (centred.square().mean(0) + 1e-6).sqrt()


def log_ratio(mean: Tensor, log_variance: Tensor, code: Tensor) -> Tensor:
    """Log of the critic's density of each code over the standard normal's, (n,)."""
    own = log_variance + (code - mean).square() / log_variance.exp()
    return 0.5 * (code.square() - own).sum(1)


def club(mean: Tensor, log_variance: Tensor, code: Tensor) -> Tensor:
    """Scalar, see `Club`; the log-variance's own term is the same in both parts and cancels."""
    own = (code - mean).square()
    others = (code[None] - mean[:, None]).square().mean(1)
    return 0.5 * ((others - own) / log_variance.exp()).sum(1).mean()


class Bottleneck(Objective):
    """The variational information bottleneck of the action code, up to a constant, in nats.

    With ``model.code_noise`` above 0 the head reads the action code a with noise of that deviation,
    N(a, s^2), and the divergence from the prior N(0, 1) bounds from above what the noisy code holds
    of the clip. What is returned is the part of it that depends on the code, ``|a|^2 / 2``, where
    the head looks: regions that it does not read need not be short, and its look does not learn
    from this, or it would turn to what says little. What prompts say of the code, which is bounded,
    comes from it without noise: with prompts the bound holds for what the head reads, not for
    what guides it.

    Source: Alemi et al., Deep Variational Information Bottleneck (ICLR 2017), eq. 17. Deviations:
    the noise has a fixed deviation, the same for every channel, so the encoder keeps its form; the
    mean over regions and frames in place of their sum, which would grow with the clip's length.
    """

    name = "bottleneck"

    def loss(
        self, outputs: Mapping[str, ActionOutput], batch: Batch, views: Mapping[str, View]
    ) -> Tensor:
        """Mean over clips."""
        output = outputs["clip"]
        rate = 0.5 * output.action_code.float().square().sum(-1)
        return (output.region_weights.detach() * rate).sum((1, 2)).mean()
