"""What was split can be put together again, also crosswise."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from whyact.objectives.base import Objective, View
from whyact.types import ActionOutput, Batch, WhyactError


class Reconstruction(Objective):
    """The backbone's tokens from action code and nuisance code together, so that no code is empty.

    A decoder makes a token of each region from its two codes, and every cell gets the mixture of
    its regions. The error is the mean squared difference to the tokens, each normalised to mean 0
    and variance 1 over its channels, so a decoder that says nothing costs 1. Tokens get no
    gradient as targets, or the backbone would learn to be easy to guess.

    With ``swap``, clips that `foreground_paste` made are put together crosswise: the decoder gets
    the action code of the actor's own clip and the nuisance code of the background's own clip,
    region by region, and must give the pasted clip's tokens. So the action code may not rely on
    its old background. Without pasted clips this part is 0.

    Source: features decoded from slots as in DINOSAUR (Seitzer et al., ICLR 2023); recombined codes
    as in DrNet (Denton and Birodkar, NeurIPS 2017) and MUNIT (Huang et al., ECCV 2018).
    Deviations: cells are mixed by the regions' own assignment, and regions know no place, so that
    the assignment has to tell it; the recombined target is a real input rather than a generated one
    that is encoded again.

    Args:
        swap: weight of the crosswise part.
    """

    name = "reconstruction"
    needs_regions = True

    def __init__(self, *, swap: float = 1.0) -> None:
        if not swap >= 0:
            raise WhyactError(f"reconstruction_swap must be at least 0, got {swap}.")
        self.swap = swap
        self.decoder: nn.Module | None = None

    def attach(self, example: ActionOutput) -> nn.Module:
        """The decoder."""
        width = example.action_code.shape[-1] + example.nuisance_code.shape[-1]
        self.decoder = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.Linear(width, example.tokens.shape[-1])
        )
        return self.decoder

    def loss(
        self, outputs: Mapping[str, ActionOutput], batch: Batch, views: Mapping[str, View]
    ) -> Tensor:
        """Mean over clips, frames, cells and channels."""
        clip = outputs["clip"]
        own = self._error(clip.action_code, clip.nuisance_code, clip)
        name = "foreground_paste.pasted"
        if not self.swap or name not in outputs or len(views[name].batch) == 0:
            return own
        action = clip.action_code[views[name].rows]
        nuisance = clip.nuisance_code[views[name].background]
        return own + self.swap * self._error(action, nuisance, outputs[name])

    def _error(self, action: Tensor, nuisance: Tensor, target: ActionOutput) -> Tensor:
        """Of codes (n, T', K, C) each, spread over cells by the target's own regions."""
        assert self.decoder is not None, "attach comes first"
        made = self.decoder(torch.cat([action, nuisance], -1))
        guess = (target.assignment.transpose(-1, -2) @ made).float()
        tokens = target.tokens.detach().float()
        return F.mse_loss(guess, F.layer_norm(tokens, tokens.shape[-1:]))
