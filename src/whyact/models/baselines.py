"""Baselines behind the recogniser's interface: pooled features, and an LSTM over time."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from whyact.models.recognizer import VideoModel
from whyact.nn.recurrent import with_gradients
from whyact.types import ActionOutput


def _plain_output(
    *,
    contributions: Tensor,
    bias: Tensor,
    assignment: Tensor,
    grid: tuple[int, int],
    code: Tensor,
    tokens: Tensor,
) -> ActionOutput:
    """An output whose only explanation is the linear one; the other parts are empty."""
    batch, frames, regions, _ = contributions.shape
    frame_logits = contributions.sum(2) * frames + bias
    empty = contributions.new_zeros(batch, frames, 0, 0)
    uniform = contributions.new_full((batch, frames, regions), 1 / (frames * regions))
    return ActionOutput(
        logits=contributions.sum((1, 2)) + bias,
        frame_logits=frame_logits,
        contributions=contributions,
        bias=bias,
        assignment=assignment,
        grid=grid,
        action_code=code,
        region_code=code,
        nuisance_code=code[..., :0],
        action_gate=torch.ones_like(uniform),
        # A region graph over single cells would be N x N zeros; without edges it stays virtual.
        adjacency=contributions.new_zeros(()).expand(batch, frames, regions, regions),
        prompts=empty,
        prompt_weights=empty,
        edge_gates={},
        module_logits={},
        nuisance_logits=contributions.new_zeros(batch, 0),
        region_weights=uniform,
        tokens=tokens,
    )


class PooledModel(VideoModel):
    """The plain model: backbone, average over space and time, linear classifier.

    Its logit is additive over cells (CAM, Zhou et al., CVPR 2016), so it has a native explanation:
    every cell is a region of its own.

    Args:
        backbone, frozen: see `VideoModel`. width: D. classes: Y. dropout: on the tokens.
    """

    def __init__(
        self,
        *,
        backbone: nn.Module,
        width: int,
        classes: int,
        dropout: float = 0.0,
        frozen: bool = False,
    ) -> None:
        super().__init__(backbone=backbone, frozen=frozen)
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(width, classes)

    def decode(
        self, tokens: Tensor, grid: tuple[int, int], specification: Tensor | None = None,
        boxes: Tensor | None = None,
    ) -> ActionOutput:  # fmt: skip
        """As `VideoModel.decode`; a specification has no effect."""
        frames, cells = tokens.shape[1:3]
        evidence = self.dropout(tokens) @ self.classify.weight.T
        identity = torch.eye(cells, device=tokens.device, dtype=tokens.dtype)
        return _plain_output(
            contributions=evidence / (frames * cells),
            bias=self.classify.bias,
            assignment=identity.expand(*tokens.shape[:2], cells, cells),
            grid=grid,
            code=tokens,
            tokens=tokens,
        )


class CnnLstm(VideoModel):
    """A per-frame network, average over space, an LSTM over time, linear classifier.

    After Donahue et al. (CVPR 2015), with the hidden states averaged over time. Additive over
    frames only: each frame is one region.

    Args:
        backbone, frozen: see `VideoModel`. width: D. classes: Y. hidden: of the LSTM.
        dropout: on the hidden states.
    """

    def __init__(
        self,
        *,
        backbone: nn.Module,
        width: int,
        classes: int,
        hidden: int = 128,
        dropout: float = 0.0,
        frozen: bool = False,
    ) -> None:
        super().__init__(backbone=backbone, frozen=frozen)
        self.lstm = nn.LSTM(width, hidden, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(hidden, classes)

    def decode(
        self, tokens: Tensor, grid: tuple[int, int], specification: Tensor | None = None,
        boxes: Tensor | None = None,
    ) -> ActionOutput:  # fmt: skip
        """As `VideoModel.decode`; a specification has no effect."""
        with with_gradients(self.lstm):
            hidden, _ = self.lstm(tokens.mean(2))
        code = hidden.unsqueeze(2)
        evidence = self.dropout(code) @ self.classify.weight.T
        return _plain_output(
            contributions=evidence / tokens.shape[1],
            bias=self.classify.bias,
            assignment=tokens.new_ones(*tokens.shape[:2], 1, tokens.shape[2]),
            grid=grid,
            code=code,
            tokens=tokens,
        )
