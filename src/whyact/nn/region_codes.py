"""The split of regions into action and nuisance codes, and what regions are made of."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from whyact.types import WhyactError

DYNAMICS = ("none", "region", "frame", "shared", "moving")
STRETCH = 0.1
"""How far the share of action goes beyond [0, 1] before it is cut: a region can be none at all."""
MOTION_GAIN = 4.0
"""Features of neighbouring frames differ by a fraction of their spread; this makes up for it."""


def pool(assignment: Tensor, tokens: Tensor) -> Tensor:
    """Mean token of each region, (..., K, D), from assignment (..., K, N), tokens (..., N, D)."""
    share = assignment / assignment.sum(-1, keepdim=True).clamp_min(1e-6)
    return share @ tokens


def dynamics(regions: Tensor, lags: Sequence[int] = (1,), whole: Tensor | None = None) -> Tensor:
    """How regions (B, T', K, C) change, (B, T', K, (2 * L + 1) * C): what no sum over time tells.

    Rises and falls since the frame that is each of L ``lags`` before (zero where there is none),
    and the distance from the clip's mean. Action recognition by differences of features at
    neighbouring times goes back to TDN (Wang et al., CVPR 2021) and STM (Jiang et al., ICCV 2019);
    here the same region is compared.

    What counts as a rise is decided by ``whole`` (B, T', 1, C) where it is given, of which the
    regions are parts: then their dynamics add up to those of the whole.
    """
    whole = regions if whole is None else whole
    parts = []
    for lag in lags:
        change, sign = _since(regions, lag), _since(whole, lag)
        parts += [change * (sign > 0), -change * (sign < 0)]
    distance, sign = (x - x.mean(1, keepdim=True) for x in (regions, whole))
    return torch.cat([*parts, distance * sign.sign()], dim=-1)


def _since(regions: Tensor, lag: int) -> Tensor:
    """Change (B, T', K, C) since the frame ``lag`` before; zero where there is none."""
    shift = min(lag, regions.shape[1])
    change = regions[:, shift:] - regions[:, : regions.shape[1] - shift]
    return F.pad(change, (0, 0, 0, 0, shift, 0))


def shared_out(assignment: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """What each region has of the frame's normalised mean token.

    Args:
        assignment: (B, T', K, N), summing to one over K. tokens: (B, T', N, D).

    Returns:
        (B, T', K, D), whose mean over K is the second, the frame's (B, T', 1, D).
    """
    mean = tokens.mean(2, keepdim=True)
    spread, middle = torch.var_mean(mean, -1, correction=0, keepdim=True)
    cells = (tokens - middle) * (spread + 1e-5).rsqrt()
    return assignment.shape[2] * (assignment @ cells) / tokens.shape[2], cells.mean(2, keepdim=True)


def moving(tokens: Tensor) -> Tensor:
    """What moves in each frame: mean `novelty` over its root mean square in the clip.

    The normalised mean token has the still background in it, and counts as a change that someone
    steps before it; both tie what is learnt to the place.

    Args:
        tokens: (B, T', N, D).

    Returns:
        (B, T', 1, D); zero in a clip in which nothing moves.
    """
    frames = novelty(tokens).mean(2, keepdim=True)
    return frames * (frames.square().mean((1, 3), keepdim=True) + 1e-12).rsqrt()


def novelty(tokens: Tensor) -> Tensor:
    """What cells show beyond their mean over the clip, (B, T', N, D).

    Background subtraction in the space of features: only what is above the mean counts, since what
    falls below is mostly the background that is covered. What is no stronger than in the median
    cell of its frame is noise, and shrunk as by a Wiener filter. Meant for features that are
    positive where something is seen, as after a ReLU.
    """
    above = (tokens - tokens.mean(1, keepdim=True)).clamp_min(0)
    power = above.square().mean(-1, keepdim=True)
    noise = power.median(2, keepdim=True).values
    return (1 - noise / power.clamp_min(1e-12)).clamp_min(0) * above


def hard_share(logit: Tensor) -> Tensor:
    """A sigmoid that reaches 0 and 1, as in hard concrete gates (Louizos et al., ICLR 2018).

    Beyond the cut the gradient is that of the sigmoid, so what was shut can open again.
    """
    soft = logit.sigmoid() * (1 + 2 * STRETCH) - STRETCH
    return soft + (soft.clamp(0, 1) - soft).detach()


class RegionCodes(nn.Module):
    """Splits every region into an action code and a nuisance code, (..., C) each.

    A gate says which share of the region is action; what is not is nuisance. The action code is
    scaled by the share and the nuisance code by the rest, so a region of the background has nothing
    to say about the action, and one on the actor nothing about the scene. Without the gate, the
    codes of regions that the head ignores keep all that is to be seen there.

    The action code reads what the graph made of the region and, by choice, `dynamics` of the
    tokens; the nuisance code the former only, as a scene does not act. The dynamics are those of
    the tokens and not of their embedding, in which rises and falls of many features are mixed, and
    tokens are averaged before they are normalised: a cell where little is to be seen would
    otherwise weigh as much as one where all happens.

    Args:
        token_width: D. inputs: width of a region after the graph. code_width: C.
        motion: one of `DYNAMICS`: whose dynamics the action code reads. lags: of `dynamics`.
        gate: without it every region is all action and all nuisance, with a share of 1.
    """

    def __init__(
        self, *, token_width: int, inputs: int, code_width: int, motion: str, gate: bool = True,
        lags: Sequence[int] = (1,),
    ) -> None:  # fmt: skip
        super().__init__()
        if motion not in DYNAMICS:
            raise WhyactError(
                f"Unknown model.spatial_graph.dynamics '{motion}'; choose from {list(DYNAMICS)}."
            )
        if not lags or min(lags) < 1:
            raise WhyactError(
                f"model.spatial_graph.lags is {list(lags)}; name at least one, each from 1 on."
            )
        self.dynamics, self.lags = motion, tuple(lags)
        self.norm = nn.LayerNorm(inputs)
        self.action = nn.Linear(inputs, code_width)
        self.nuisance = nn.Linear(inputs, code_width)
        self.share = nn.Linear(inputs, 1) if gate else None
        if motion != "none":
            self.motion = nn.Linear((2 * len(lags) + 1) * token_width, code_width, bias=False)

    def forward(
        self, regions: Tensor, assignment: Tensor, tokens: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Split.

        Args:
            regions: (B, T', K, inputs), after the graph.
            assignment: (B, T', K, N). tokens: (B, T', N, D), as the backbone made them.

        Returns:
            Action code and nuisance code, (B, T', K, C) each, and the share of action (B, T', K).
        """
        looks = self.norm(regions)
        action = self.action(looks)
        if self.dynamics != "none":
            action = action + self.motion(self._dynamics(assignment, tokens))
        if self.share is None:
            return action, self.nuisance(looks), torch.ones_like(assignment[..., 0])
        share = hard_share(self.share(looks))
        return share * action, (1 - share) * self.nuisance(looks), share.squeeze(-1)

    def _dynamics(self, assignment: Tensor, tokens: Tensor) -> Tensor:
        if self.dynamics == "moving":
            return dynamics(moving(tokens), self.lags)
        if self.dynamics == "shared":
            shares, frame = shared_out(assignment, tokens)
            return MOTION_GAIN * dynamics(shares, self.lags, frame)
        whole = self.dynamics == "frame"
        pooled = tokens.mean(2, keepdim=True) if whole else pool(assignment, tokens)
        return MOTION_GAIN * dynamics(F.layer_norm(pooled, pooled.shape[-1:]), self.lags)
