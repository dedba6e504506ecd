"""GPNN: one gated graph over the regions and prompts of all frames, and its null twin."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from whyact.nn.contracts import Refined
from whyact.types import WhyactError


class GatedEdges(nn.Module):
    """Gated messages along one edge type.

    The gates of a receiver are a softmax over its edges *and* the choice of none of them, whose
    score is 0: ``exp(s) / (1 + sum exp(s))``, ``s = q(receiver) . k(sender) / sqrt(c) + b``. One
    edge can so carry the whole message, and none has to; with a single edge it is a sigmoid. (A
    softmax without the choice of none would cancel the gate of a receiver with one edge, and the
    drawn link would not act; a mean of sigmoids leaves every edge a K-th of a say.)
    """

    def __init__(self, width: int, gate_width: int) -> None:
        super().__init__()
        self.receiver = nn.Linear(width, gate_width, bias=False)
        self.sender = nn.Linear(width, gate_width, bias=False)
        self.bias = nn.Parameter(torch.zeros(()))
        self.message = nn.Linear(width, width, bias=False)

    def gates(self, receivers: Tensor, senders: Tensor, prior: Tensor | None = None) -> Tensor:
        """Gates (..., R, S); a receiver's add up to at most one.

        Args:
            receivers: (..., R, C). senders: (..., S, C).
            prior: (..., R, S), at least 0; what ``exp(s)`` is multiplied by, 0 where no edge is.
        """
        return normalized(self.shares(receivers, senders, prior))[..., :-1]

    def shares(self, receivers: Tensor, senders: Tensor, prior: Tensor | None = None) -> Tensor:
        """As `gates`, but not `normalized` yet and with none as the last, (..., R, S + 1)."""
        key = self.sender(senders)
        score = self.receiver(receivers) @ key.transpose(-1, -2) / math.sqrt(key.shape[-1])
        return shares_of(score + self.bias, prior)

    def messages(self, gates: Tensor, senders: Tensor) -> Tensor:
        """Gated message of each receiver, (..., R, C)."""
        return gates @ self.message(senders)


def shares_of(score: Tensor, prior: Tensor | None = None) -> Tensor:
    """``prior * exp(score)`` and, as the last, one for none, up to a common factor, (..., S + 1).

    Args:
        score: (..., S). prior: as the score, at least 0.
    """
    score = F.pad(score, (0, 1))
    if prior is not None:
        # What cannot be chosen must not set the scale: the others' shares would vanish beside it.
        prior = F.pad(prior, (0, 1), value=1.0)
        score = score.masked_fill(prior <= 0, -math.inf)
    share = (score - score.amax(-1, keepdim=True)).exp()
    return share if prior is None else share * prior


def normalized(share: Tensor) -> Tensor:
    """Shares that add up to one over the last axis, or are all zero."""
    return share / share.sum(-1, keepdim=True).clamp_min(1e-9)


def shift_frames(x: Tensor, offset: int) -> Tensor:
    """What frame t sees at frame ``t + offset``, zeros outside the clip; x is (B, T', ...)."""
    frames = x.shape[1]
    if abs(offset) >= frames:
        return torch.zeros_like(x)
    pad = torch.zeros_like(x[:, : abs(offset)])
    if offset > 0:
        return torch.cat([x[:, offset:], pad], dim=1)
    return torch.cat([pad, x[:, :offset]], dim=1) if offset < 0 else x


def node_count(nodes: Tensor, mask: Tensor | None) -> Tensor | int:
    """K of nodes (..., K, C), or how many of them are real by a mask (..., K), (..., 1, 1)."""
    return nodes.shape[-2] if mask is None else mask.sum(-1)[..., None, None]


def in_reach(nodes: Tensor, offset: int, mask: Tensor | None, acts: Tensor | None) -> Tensor:
    """Prior of temporal edges: 1 where a node may hear one of frame ``t + offset``, 0 elsewhere.

    Args:
        nodes: (B, T', K, C), whose slot k is the same thing in every frame.
        offset: in frames. mask: (B, T', K) bool, False for padding; None where every node is real.
        acts: (B, T', K) bool, False for nodes that hear those that act and themselves only, and
            that those hear; None where all hear all.

    Returns:
        (B, T', K or 1, K); nothing is heard from outside the clip.
    """
    there = nodes.new_ones(nodes.shape[:-1]) if mask is None else mask.to(nodes)
    there = shift_frames(there, offset).unsqueeze(-2)
    if acts is None:
        return there
    itself = torch.eye(nodes.shape[-2], dtype=torch.bool, device=nodes.device)
    return there * (acts.unsqueeze(-1) | shift_frames(acts, offset).unsqueeze(-2) | itself)


class _Round(nn.Module):
    """One round of messages over all edge types, then a gated update of every node."""

    def __init__(self, width: int, gate_width: int, window: int) -> None:
        super().__init__()
        self.offsets = [o for o in range(-window, window + 1) if o]
        self.spatial = GatedEdges(width, gate_width)
        self.temporal = nn.ModuleList(GatedEdges(width, gate_width) for _ in self.offsets)
        self.prompt_to_region = GatedEdges(width, gate_width)
        self.region_to_prompt = GatedEdges(width, gate_width)
        self.prompt_to_prompt = GatedEdges(width, gate_width)
        self.norm_region, self.norm_prompt = nn.LayerNorm(width), nn.LayerNorm(width)
        self.update_region = nn.Linear(2 * width, width)
        self.update_prompt = nn.Linear(2 * width, width)

    def forward(
        self, regions: Tensor, prompts: Tensor, adjacency: Tensor, share: Tensor,
        keep: Mapping[str, Tensor], mask: Tensor | None, acts: Tensor | None,
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:  # fmt: skip
        # Normalised, a region that is hardly action would say as much as one that is all action.
        r, p = self.norm_region(regions) * share.unsqueeze(-1), self.norm_prompt(prompts)
        real = None if mask is None else mask.to(r).unsqueeze(-2)
        gates = {
            # The region graph of the frame is the prior of its spatial edges; K * adjacency has
            # mean one over a row.
            "spatial": self.spatial.gates(r, r, adjacency * node_count(r, mask)),
            "temporal": self._temporal_gates(r, mask, acts),
            "prompt_to_region": self.prompt_to_region.gates(r, p),
            "region_to_prompt": self.region_to_prompt.gates(p, r, real),
            "prompt_to_prompt": self.prompt_to_prompt.gates(p, p),
        }
        gates = {k: v * keep[k] if k in keep else v for k, v in gates.items()}
        to_region = self.spatial.messages(gates["spatial"], r)
        to_region = to_region + self.prompt_to_region.messages(gates["prompt_to_region"], p)
        for i, (offset, edges) in enumerate(zip(self.offsets, self.temporal, strict=True)):
            assert isinstance(edges, GatedEdges)
            to_region = to_region + edges.messages(
                gates["temporal"][:, :, i], shift_frames(r, offset)
            )
        to_prompt = self.region_to_prompt.messages(gates["region_to_prompt"], r)
        to_prompt = to_prompt + self.prompt_to_prompt.messages(gates["prompt_to_prompt"], p)
        regions = regions + self._update(self.update_region, r, to_region)
        prompts = prompts + self._update(self.update_prompt, p, to_prompt)
        return regions, prompts, gates

    def _temporal_gates(self, r: Tensor, mask: Tensor | None, acts: Tensor | None) -> Tensor:
        gates = []
        for offset, edges in zip(self.offsets, self.temporal, strict=True):
            assert isinstance(edges, GatedEdges)
            prior = in_reach(r, offset, mask, acts)
            gates.append(edges.gates(r, shift_frames(r, offset), prior))
        return torch.stack(gates, dim=2)

    @staticmethod
    def _update(gate: nn.Linear, node: Tensor, message: Tensor) -> Tensor:
        return gate(torch.cat([node, message], dim=-1)).sigmoid() * F.gelu(message)


class GraphPromptGnn(nn.Module):
    """Refines region and prompt nodes with gated messages along five types of edges.

    Spatial edges follow the region graph of each frame; temporal edges join every region to all
    regions of the frames at most ``window`` away (boxes by their kinds, `in_reach`), so the cost
    grows linearly with T; prompts and regions of a frame are joined both ways, prompts of a frame
    with each other. The gated update follows GGNN (Li et al., ICLR 2016) with a sigmoid gate a
    residual step instead of a GRU cell.

    Args:
        code_width: C. layers: rounds. window: reach of temporal edges in frames.
        gate_width: width of the gates' queries and keys.
    """

    def __init__(
        self, *, code_width: int, layers: int = 2, window: int = 1, gate_width: int = 32
    ) -> None:
        super().__init__()
        if layers < 1 or window < 1:
            raise WhyactError(
                "model.graph_prompt_gnn needs at least 1 layer and a window of at least 1, got "
                f"layers {layers}, window {window}; set its type to none to go without it."
            )
        self.rounds = nn.ModuleList(_Round(code_width, gate_width, window) for _ in range(layers))

    def forward(
        self,
        nodes: Tensor,
        prompts: Tensor,
        adjacency: Tensor,
        share: Tensor,
        keep: Mapping[str, Tensor] | None = None,
        mask: Tensor | None = None,
        acts: Tensor | None = None,
    ) -> Refined:
        """Refine nodes.

        Args:
            nodes: (B, T', K, C), region nodes.
            prompts: (B, T', P, C), prompt nodes.
            adjacency: (B, T', K, K), region graph of each frame.
            share: (B, T', K), how far each region is action, by which it is heard.
            keep: by edge type, shaped like its gates: what they are multiplied by in every round,
                0 deletes an edge. None, or a type that is missing, keeps all.
            mask: (B, T', K) bool, False for padding, which sends nothing; None where all are real.
            acts: (B, T', K) bool, see `in_reach`.

        Returns:
            Refined nodes and the gates of the last round, which the explanation follows.
        """
        gates: dict[str, Tensor] = {}
        for step in self.rounds:
            nodes, prompts, gates = step(nodes, prompts, adjacency, share, keep or {}, mask, acts)
        return Refined(nodes, prompts, gates)


class NoGraph(nn.Module):
    """The null twin: nodes pass unchanged, there are no edges."""

    def forward(
        self,
        nodes: Tensor,
        prompts: Tensor,
        adjacency: Tensor,
        share: Tensor,
        keep: Mapping[str, Tensor] | None = None,
        mask: Tensor | None = None,
        acts: Tensor | None = None,
    ) -> Refined:
        """As `GraphPromptGnn.forward`; there is nothing to delete."""
        return Refined(nodes, prompts, {})
