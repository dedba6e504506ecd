"""DPM: prompts made from the clip that evolve with it, and the null twin without prompts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from whyact.config_model import Injection
from whyact.nn.contracts import Guides, Prompts, Regions
from whyact.nn.recurrent import with_gradients
from whyact.types import WhyactError

INJECTIONS: tuple[Injection, ...] = get_args(Injection)
STRATEGIES = ("generated", "retrieved", "static")


class DynamicPrompts(nn.Module):
    """Mixes a bank of prompts by the content so far, and guides what comes after.

    Each of P slots attends to the frame's regions with a query of its own, and a recurrent state of
    its own remembers what it read; with it the slot asks the bank, by cosine, so that slots which
    read different things say different things. ``generated`` takes the softmax over the whole bank
    (prompts conditioned on the input, as in CoCoOp, Zhou et al., CVPR 2022), ``retrieved``
    renormalises its top k (L2P, Wang et al., CVPR 2022), ``static`` has P learned mixtures that
    never see the clip. A region listens to the prompts that fit its code. Every guide is bounded:
    ``max_strength * sigmoid(learned) * tanh(...)``.

    Args:
        code_width: C. prompts: P. bank: M. strategy: one of `STRATEGIES`. top_k: of ``retrieved``.
        inject: subset of `INJECTIONS`, what the prompts guide.
        max_strength: bound of every guide.
    """

    def __init__(
        self,
        *,
        code_width: int,
        prompts: int = 4,
        bank: int = 16,
        strategy: str = "generated",
        top_k: int = 4,
        inject: Sequence[str] = INJECTIONS,
        max_strength: float = 1.0,
    ) -> None:
        super().__init__()
        unknown = sorted(set(inject) - set(INJECTIONS))
        if unknown:
            raise WhyactError(f"Unknown injections {unknown}; choose from {list(INJECTIONS)}.")
        if strategy not in STRATEGIES:
            raise WhyactError(f"Unknown strategy '{strategy}'; choose from {list(STRATEGIES)}.")
        if prompts < 1:
            raise WhyactError(
                f"model.dynamic_prompts.prompts must be at least 1, got {prompts}; "
                "set model.dynamic_prompts.type to none to go without."
            )
        if not max_strength >= 0:
            raise WhyactError(f"max_strength must be at least 0, got {max_strength}.")
        if not 1 <= top_k <= bank:
            raise WhyactError(f"top_k must be in 1 … {bank} (the bank's size), got {top_k}.")
        self.strategy, self.top_k, self.max_strength = strategy, top_k, max_strength
        self.inject = tuple(i for i in INJECTIONS if i in inject)
        # Orthogonal as far as the width allows; entries of size one, like those of the codes.
        self.bank = nn.Parameter(
            nn.init.orthogonal_(torch.empty(bank, code_width)) * math.sqrt(code_width)
        )
        if strategy == "static":
            self.mixture = nn.Parameter(torch.randn(prompts, bank))
        else:
            self.slots = nn.Parameter(torch.randn(prompts, code_width))
            self.content = nn.LayerNorm(code_width)
            self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))
            self.evolve = nn.GRU(code_width, code_width, batch_first=True)
        self.strength = nn.ParameterDict({i: nn.Parameter(torch.zeros(())) for i in self.inject})
        self.guides = nn.ModuleDict(
            {i: nn.Linear(code_width, code_width, bias=False) for i in self.inject}
        )

    def forward(self, regions: Regions) -> Prompts:
        """Make prompts from the regions of a clip."""
        weights = self._mix(regions)
        return Prompts(weights @ self.bank, weights)

    def guide(self, codes: Tensor, prompts: Tensor) -> Guides:
        """What prompts (B, T', P, C) say about region nodes (B, T', K, C)."""
        fit = codes @ prompts.transpose(-1, -2) / math.sqrt(codes.shape[-1])
        heard = fit.softmax(-1)
        said = {i: heard @ self.guides[i](prompts) for i in self.inject}
        regions = codes.new_zeros(codes.shape[:-1])
        fusion, classifier = torch.zeros_like(codes), torch.zeros_like(codes)
        if "regions" in said:
            asked = (codes * said["regions"]).sum(-1) / math.sqrt(codes.shape[-1])
            regions = self._bounded("regions", asked)
        if "fusion" in said:
            fusion = self._bounded("fusion", said["fusion"])
        if "classifier" in said:
            classifier = self._bounded("classifier", said["classifier"])
        return Guides(regions, fusion, classifier)

    def _mix(self, regions: Regions) -> Tensor:
        batch, frames = regions.action_code.shape[:2]
        if self.strategy == "static":
            return self.mixture.softmax(-1).expand(batch, frames, -1, -1)
        # Normalised, a region that is hardly action would say as much as one that is all action.
        content = self.content(regions.action_code) * regions.action_gate.unsqueeze(-1)
        state = self._evolve(content, regions.mask)
        asked = F.normalize(self.slots + state, dim=-1)
        scores = self.log_scale.exp() * asked @ F.normalize(self.bank, dim=-1).T
        if self.strategy == "retrieved":
            best = scores.topk(self.top_k, dim=-1).indices
            scores = torch.full_like(scores, -math.inf).scatter(-1, best, scores.gather(-1, best))
        return scores.softmax(-1)

    def _evolve(self, codes: Tensor, mask: Tensor | None) -> Tensor:
        """What each slot has read so far, (B, T', P, C), from codes (B, T', K, C)."""
        fit = self.slots @ codes.transpose(-1, -2) / math.sqrt(codes.shape[-1])
        if mask is not None:
            fit = fit.masked_fill(~mask.unsqueeze(-2), -math.inf)
        read = (fit.softmax(-1) @ codes).transpose(1, 2)
        with with_gradients(self.evolve):
            state, _ = self.evolve(read.flatten(0, 1))
        return state.view(read.shape).transpose(1, 2)

    def _bounded(self, name: str, raw: Tensor) -> Tensor:
        return self.max_strength * self.strength[name].sigmoid() * raw.tanh()


class NoPrompts(nn.Module):
    """The null twin: P = 0 and guides of zero."""

    def forward(self, regions: Regions) -> Prompts:
        """As `DynamicPrompts.forward`."""
        codes = regions.action_code
        empty = codes.new_zeros(*codes.shape[:2], 0, codes.shape[-1])
        return Prompts(empty, empty[..., :0])

    def guide(self, codes: Tensor, prompts: Tensor) -> Guides:
        """As `DynamicPrompts.guide`: sums over no prompts, hence all zero."""
        nothing = prompts.sum(2).unsqueeze(2).expand_as(codes)
        return Guides(nothing.sum(-1), nothing, nothing)
