"""The head: per-region, per-frame evidence that adds up to the logit, and the nuisance head."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from whyact.nn.contracts import Regions, Scores, WishScores
from whyact.nn.graph_prompt_gnn import normalized, shares_of
from whyact.types import WhyactError


class AdditiveHead(nn.Module):
    """Scores region nodes so that the logit is a sum over (frame, region), plus a bias.

    ``contribution[t, k, y] = weight[t, k] * (W_y . (code[t, k] * (1 + guide[t, k])))`` with weights
    that sum to one over the regions of a frame and over the clip; in the spirit of CALM and of
    attention-based MIL (Ilse et al., ICML 2018), whose attention is over one bag. Codes are not
    normalised: a frame in which little happens would otherwise say as much as one with the action.

    Args:
        code_width: C. classes: Y. dropout: on the codes.
        noise: deviation of Gaussian noise on the codes in training, before all else.
    """

    def __init__(
        self, *, code_width: int, classes: int, dropout: float = 0.0, noise: float = 0.0
    ) -> None:
        super().__init__()
        if not noise >= 0:
            raise WhyactError(f"model.code_noise must be at least 0, got {noise}.")
        self.noise = noise
        self.attend = nn.Sequential(
            nn.Linear(code_width, code_width), nn.Tanh(), nn.Linear(code_width, 1)
        )
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(code_width, classes)

    @property
    def bias(self) -> Tensor:
        """(Y,), the part of the logit that no region earns."""
        return self.classify.bias

    def forward(
        self, code: Tensor, region_guide: Tensor, classifier_guide: Tensor,
        membership: Tensor | None = None, mask: Tensor | None = None,
    ) -> Scores:  # fmt: skip
        """Score.

        Args:
            code: (B, T', K, C), action codes. region_guide: (B, T', K).
            classifier_guide: (B, T', K, C).
            membership: (B, T', K) in [0, 1], see `weigh`. mask: (B, T', K) bool, see `weigh`.
        """
        code = self._noisy(code)
        weights = self.weigh(code, region_guide, membership, mask)
        contributions = weights.unsqueeze(-1) * self.evidence(self.dropout(code), classifier_guide)
        frame_logits = contributions.sum(2) * code.shape[1] + self.bias
        return Scores(frame_logits.mean(1), frame_logits, contributions, weights)

    def _noisy(self, code: Tensor) -> Tensor:
        return code + self.noise * torch.randn_like(code) if self.training and self.noise else code

    def evidence(self, code: Tensor, classifier_guide: Tensor) -> Tensor:
        """What each node of codes (..., C) says for each class, before it is weighted, (..., Y)."""
        return (code * (1 + classifier_guide)) @ self.classify.weight.T

    def weigh(
        self, code: Tensor, region_guide: Tensor, membership: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """How much the head listens to each region, (..., T', K).

        Args:
            code: (..., T', K, C). region_guide: (..., T', K).
            membership: (..., T', K), how far each region is in the part that is read. The weights
                are then a softmax over regions *and* none of them, in proportion to it: they add
                up to at most one, and to none where nothing is in the part.
            mask: (..., T', K) bool; padding has weight 0. Every frame has a real region.
        """
        raw = self.attend(code).squeeze(-1) + region_guide
        if membership is not None:
            return normalized(shares_of(raw, membership))[..., :-1] / code.shape[-3]
        raw = raw if mask is None else raw.masked_fill(~mask, -math.inf)
        return raw.softmax(-1) / code.shape[-3]

    def score_wishes(
        self, code: Tensor, region_guide: Tensor, classifier_guide: Tensor, membership: Tensor,
        wished: Tensor,
    ) -> WishScores:  # fmt: skip
        """Score each of n wishes by its own part, without the contributions.

        Args:
            code: (B, T', n, K, C). region_guide: (B, T', K). classifier_guide: (B, T', K, C).
            membership: (B, T', n, K).
            wished: (n, Y), the classes of each wish; of several the best counts.
        """
        code = self._noisy(code)
        # As `weigh`; but PyTorch's tanh, 2 sigmoid(2x) - 1, is what took longest on a CPU.
        first, _, last = self.attend
        raw = last(2 * (2 * first(code)).sigmoid() - 1).squeeze(-1)
        weights = normalized(shares_of(raw + region_guide.unsqueeze(2), membership))[..., :-1]
        read = self.dropout(code) * (1 + classifier_guide.unsqueeze(2))
        # Classes that no wish names are not scored; where no wish names any, all are.
        named = wished.any(0) | ~wished.any()
        weight, bias = self.classify.weight[named], self.bias[named]
        frames = (weights.unsqueeze(-2) @ read).squeeze(-2) @ weight.T + bias
        return best_wished(frames.transpose(1, 2), wished[:, named])


def best_wished(frame_logits: Tensor, wished: Tensor) -> WishScores:
    """Scores of wishes from frame logits (B, n, T', Y) under each of them.

    Args:
        frame_logits: see above. wished: (n, Y), above 0 for the classes of each wish.
    """
    others = (wished <= 0)[:, None]
    logits = frame_logits.mean(2).masked_fill(others.squeeze(1), -math.inf).amax(-1)
    return WishScores(logits, frame_logits.masked_fill(others, -math.inf).amax(-1))


class NuisanceHead(nn.Module):
    """Reads the scene from the nuisance code, averaged over regions (by mass) and frames.

    Args:
        code_width: C. scenes: S, 0 where no scene is labelled.
    """

    def __init__(self, *, code_width: int, scenes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(scenes, code_width))
        self.bias = nn.Parameter(torch.zeros(scenes))

    def forward(self, regions: Regions) -> Tensor:
        """Logits (B, S)."""
        code = (regions.mass.unsqueeze(-1) * regions.nuisance_code).sum(2).mean(1)
        return code @ self.weight.T + self.bias
