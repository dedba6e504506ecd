"""A wish for some actions splits the clip graph: the part that is asked for, and the rest."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from whyact.nn.contracts import Guides, Scores
from whyact.nn.graph_prompt_gnn import (
    GatedEdges,
    in_reach,
    node_count,
    normalized,
    shift_frames,
)
from whyact.nn.head import AdditiveHead
from whyact.types import WhyactError


@dataclass(frozen=True)
class Parts:
    """The two parts of region nodes x under n wishes a clip.

    Attributes:
        membership: (B, T', n, K) in [0, 1], share of each node in the specified part.
        code: (B, T', n, K, C), nodes with what they hear inside the specified part. The specified
            part is ``membership * code``, the remaining one ``(1 - membership) * x``.
    """

    membership: Tensor
    code: Tensor


@dataclass(frozen=True)
class Shared:
    """What no wish changes, of E types of edges: the spatial one, and one a temporal offset.

    Attributes:
        nodes: (B, T', K, C), region nodes. inner: the same, normalised, times ``action``.
        action: (B, T', K), how far each is action.
        gates: (B, T', K, Y), of the prompts of all classes. said: (Y, C), what they tell.
        edges: (B, T', K, E, K + 1), as of `GatedEdges.shares` with every node a member.
        heard: (B, T', E * (K + 1), C), the message of every sender; none sends zeros.
        mask: (B, T', K) bool, False for padding; None where every node is real.
    """

    nodes: Tensor
    inner: Tensor
    gates: Tensor
    said: Tensor
    edges: Tensor
    heard: Tensor
    action: Tensor
    mask: Tensor | None


class GraphSplit(nn.Module):
    """Splits the refined clip graph by one prompt a class: the classifier's own row of it.

    A region fits prompt y as much as it speaks for class y, ``r_y = scale * evidence_y + bias``
    with the head's evidence of the region, and the prompts of all classes compete for it, wanted or
    not, with the choice of none: gates ``exp(r_y) / (1 + sum_z exp(r_z))``. Its membership in the
    specified part is the sum of the gates from wanted prompts: 0 without a wish, and never less for
    wishing more. So membership depends on the wish from the first step (prompts that are learnt
    apart from the classifier hardened on one region whatever the wish), a wish for one class reads
    the clip by an attention of that class' own, and who does something else is not asked for.
    Inside the specified part regions then hear the wanted prompts, which scale what a region holds
    and add nothing of their own, so that a wish is no evidence; and, along spatial and temporal
    edges, each other; an edge's prior is the membership of its sender. The remaining part is the
    unprompted graph, each node weighted by what the specified part leaves of it, so that no wish at
    all gives exactly the unprompted scores.

    That prompts name the wanted actions and split a graph in two is the idea of ProDA (NeurIPS
    2025); gates, parts and objectives (`whyact.objectives.specification`) are this project's.
    Attention by a class' own evidence is known from weakly supervised localisation (W-TALC, Paul et
    al., ECCV 2018). Backbone, assignment, region codes and the unprompted graph are the same for
    every wish.

    Args:
        code_width: C. gate_width: of queries and keys. window: of temporal edges.
    """

    def __init__(self, *, code_width: int, gate_width: int = 32, window: int = 1) -> None:
        super().__init__()
        if window < 0:
            raise WhyactError(f"model.specification.window must be at least 0, got {window}.")
        self.log_scale = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(()))
        self.scaling = nn.Linear(code_width, code_width, bias=False)
        self.norm = nn.LayerNorm(code_width)
        self.spatial = GatedEdges(code_width, gate_width)
        self.offsets = [o for o in range(-window, window + 1) if o]
        self.temporal = nn.ModuleList(GatedEdges(code_width, gate_width) for _ in self.offsets)
        self.rebuild = nn.Linear(code_width, code_width)

    def share(
        self, nodes: Tensor, adjacency: Tensor, action: Tensor, evidence: Tensor, prompts: Tensor,
        mask: Tensor | None = None, acts: Tensor | None = None,
    ) -> Shared:  # fmt: skip
        """Make what no wish changes.

        Args:
            nodes: (B, T', K, C), refined region nodes. adjacency: (B, T', K, K).
            action: (B, T', K), how far each region is action, by which it hears and is heard.
            evidence: (B, T', K, Y), what each node says for each class.
            prompts: (Y, C), one a class.
            mask, acts: (B, T', K) bool, see `whyact.nn.graph_prompt_gnn.in_reach`.
        """
        x = self.norm(nodes) * action.unsqueeze(-1)
        fit = F.pad(self.log_scale.exp() * evidence + self.bias, (0, 1))  # the last is none
        shares = [self.spatial.shares(x, x, adjacency * node_count(nodes, mask))]
        heard = [self.spatial.message(x)]
        for offset, edges in zip(self.offsets, self.temporal, strict=True):
            assert isinstance(edges, GatedEdges)
            sender = shift_frames(x, offset)
            shares.append(edges.shares(x, sender, in_reach(x, offset, mask, acts)))
            heard.append(edges.message(sender))
        return Shared(
            nodes, x, fit.softmax(-1)[..., :-1], self.scaling(prompts), torch.stack(shares, 3),
            F.pad(torch.stack(heard, 2), (0, 0, 0, 1)).flatten(2, 3), action, mask,
        )  # fmt: skip

    def forward(self, shared: Shared, specification: Tensor) -> Parts:
        """Split.

        Args:
            shared: see `share`. specification: (B, n, Y) in [0, 1], n wishes a clip.
        """
        # Of the classes that no wish names there is nothing to compute.
        named = specification.flatten(0, 1).any(0)
        wish = specification[..., named].to(shared.gates)[:, None, :, None]
        asked = shared.gates[..., named].unsqueeze(2) * wish
        membership = asked.sum(-1)
        if shared.mask is not None:
            membership = membership * shared.mask.unsqueeze(2)
        # An edge's prior is the membership of its sender, in its own frame; none is always there.
        senders = torch.stack([shift_frames(membership, o) for o in (0, *self.offsets)], 3)
        senders = F.pad(senders, (0, 1), value=1.0).unsqueeze(3)
        gates = normalized(shared.edges.unsqueeze(2) * senders).flatten(4)
        heard = (gates.flatten(2, 3) @ shared.heard).view(*membership.shape, shared.nodes.shape[-1])
        heard = heard + (asked @ shared.said[named]) * shared.inner.unsqueeze(2)
        heard = shared.action[:, :, None, :, None] * F.gelu(heard)
        return Parts(membership, shared.nodes.unsqueeze(2) + heard)


class NoSplit(nn.Module):
    """The null twin: the graph stays one, so that its model cannot be asked."""


def read_parts(
    head: AdditiveHead, parts: Parts, guides: Guides, nodes: Tensor, whole: Scores,
    specification: Tensor, rebuilt: nn.Module,
) -> tuple[Scores, dict[str, Tensor]]:  # fmt: skip
    """Score wanted classes by the specified part and the others by the remaining one.

    Args:
        head: shared with the whole graph. parts: of one wish a clip (n = 1).
        guides: of the last prompts. nodes: (B, T', K, C). whole: scores of the unprompted graph.
        specification: (B, Y) in [0, 1]. rebuilt: maps both parts together back to the nodes.

    Returns:
        The scores, whose contributions still add up; and `whyact.types.ActionOutput.parts`.
    """
    membership, code = parts.membership[:, :, 0], parts.code[:, :, 0]
    inside = head(code, guides.regions, guides.classifier, membership)
    left = whole.contributions * (1 - membership).unsqueeze(-1)
    share = specification.to(left)[:, None, None]
    contributions = share * inside.contributions + (1 - share) * left
    frame_logits = contributions.sum(2) * nodes.shape[1] + head.bias
    specified = membership.unsqueeze(-1) * code
    remaining = (1 - membership).unsqueeze(-1) * nodes
    scores = Scores(frame_logits.mean(1), frame_logits, contributions, whole.region_weights)
    return scores, {
        "membership": membership,
        "specified": specified,
        "remaining": remaining,
        "rebuilt": rebuilt(specified + remaining),
        "logits": torch.stack([inside.logits, left.sum((1, 2)) + head.bias], 1),
        "specification": specification.to(left),
    }
