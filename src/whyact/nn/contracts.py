"""What each slot of the recogniser takes and gives. A slot's variants and its null twin share it.

Order: tokens → regions → codes → prompts → clip graph → head. Prompts reweight regions and never
the assignment; the graph refines nodes; one shared head scores before and after each module.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class Regions:
    """What a `spatial_graph` makes of tokens (B, T', N, D).

    Attributes:
        assignment: (B, T', K, N), in [0, 1], sums to one over K.
        action_code, nuisance_code: (B, T', K, C), scaled by the share and by the rest.
        action_gate: (B, T', K) in [0, 1], how much of each region is action.
        adjacency: (B, T', K, K), rows sum to one, or are zero where a variant has no edges.
        position: (B, T', K, 2), mass centre of each region as (x, y) in [-1, 1].
        mass: (B, T', K), share of the frame's cells; sums to one over K.
        mask: (B, T', K) bool, False for padding; None where every region is real.
        acts: (B, T', K) bool, False for nodes that hear, and are heard by, those that act only;
            None where all hear all. ``adjacency`` knows it already.
    """

    assignment: Tensor
    action_code: Tensor
    nuisance_code: Tensor
    action_gate: Tensor
    adjacency: Tensor
    position: Tensor
    mass: Tensor
    mask: Tensor | None = None
    acts: Tensor | None = None


@dataclass(frozen=True)
class Prompts:
    """What `dynamic_prompts` makes of regions.

    Attributes:
        prompts: (B, T', P, C); P = 0 in the null twin.
        weights: (B, T', P, M), mixture of the bank.
    """

    prompts: Tensor
    weights: Tensor


@dataclass(frozen=True)
class Guides:
    """How prompts guide what comes after them. All zero, hence neutral, where P = 0.

    Attributes:
        regions: (B, T', K), added to the head's log weight of each region.
        fusion: (B, T', K, C), added to each region's action code.
        classifier: (B, T', K, C), the classifier reads ``code * (1 + classifier)``.
    """

    regions: Tensor
    fusion: Tensor
    classifier: Tensor


@dataclass(frozen=True)
class Refined:
    """What `graph_prompt_gnn` makes of region nodes (B, T', K, C) and prompts (B, T', P, C).

    Attributes:
        action_code: (B, T', K, C), refined region nodes.
        prompts: (B, T', P, C), refined prompt nodes.
        edge_gates: as in `whyact.types.ActionOutput.edge_gates`.
    """

    action_code: Tensor
    prompts: Tensor
    edge_gates: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Scores:
    """What the head reads out of region nodes.

    Attributes:
        logits: (B, Y). frame_logits: (B, T', Y). contributions: (B, T', K, Y).
        region_weights: (B, T', K), sums to one over (T', K).
    """

    logits: Tensor
    frame_logits: Tensor
    contributions: Tensor
    region_weights: Tensor


@dataclass(frozen=True)
class WishScores:
    """Scores of n wishes, each asked on its own; of a wish for several classes the best counts.

    Attributes:
        logits: (B, n). frame_logits: (B, n, T').
    """

    logits: Tensor
    frame_logits: Tensor
