"""The head: per-region, per-frame evidence that adds up to the logit, and the nuisance head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from whyact.nn.contracts import Regions, Scores
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

    def forward(self, code: Tensor, region_guide: Tensor, classifier_guide: Tensor) -> Scores:
        """Score.

        Args:
            code: (B, T', K, C), action codes. region_guide: (B, T', K).
            classifier_guide: (B, T', K, C).
        """
        if self.training and self.noise:
            code = code + self.noise * torch.randn_like(code)
        frames = code.shape[1]
        raw = self.attend(code).squeeze(-1) + region_guide
        weights = raw.softmax(-1) / frames
        read = self.dropout(code) * (1 + classifier_guide)
        contributions = weights.unsqueeze(-1) * (read @ self.classify.weight.T)
        frame_logits = contributions.sum(2) * frames + self.bias
        return Scores(frame_logits.mean(1), frame_logits, contributions, weights)


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
