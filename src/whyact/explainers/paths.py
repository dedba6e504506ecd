"""Reasoning paths: the strongest chain of gates through the clip graph."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

from whyact.types import ActionOutput, Step

Node = tuple[int, int]


def clip_graph(output: ActionOutput) -> tuple[Tensor, list[list[str]]]:
    """All gates of one clip as a matrix.

    Nodes are numbered ``t * (K + P) + i``; i below K is region i, the others are prompts.

    Args:
        output: of a single clip, with ``edge_gates``.

    Returns:
        Gates (n, n) as (receiver, sender), 0 where there is no edge, and ``kinds``, the edge types
        by (receiver is a prompt, sender is a prompt) within a frame.
    """
    gates = {k: v[0] for k, v in output.edge_gates.items()}
    frames, regions = output.assignment.shape[1:3]
    prompts = output.prompts.shape[2]
    width = regions + prompts
    matrix = torch.zeros(frames, width, frames, width)
    window = gates["temporal"].shape[1] // 2
    offsets = [o for o in range(-window, window + 1) if o]
    for t in range(frames):
        matrix[t, :regions, t, :regions] = gates["spatial"][t]
        matrix[t, :regions, t, regions:] = gates["prompt_to_region"][t]
        matrix[t, regions:, t, :regions] = gates["region_to_prompt"][t]
        matrix[t, regions:, t, regions:] = gates["prompt_to_prompt"][t]
        for i, offset in enumerate(offsets):
            if 0 <= t + offset < frames:
                matrix[t, :regions, t + offset, :regions] = gates["temporal"][t, i]
    kinds = [["spatial", "prompt_to_region"], ["region_to_prompt", "prompt_to_prompt"]]
    flat = matrix.reshape(frames * width, frames * width)
    return flat.fill_diagonal_(0), kinds


def strongest_path(
    output: ActionOutput, contributions: Tensor, *, length: int = 4, beam: int = 16
) -> tuple[Step, ...]:
    """The chain of edges with the largest product of gates that ends in the strongest region.

    Found backwards by beam search over chains without repeated nodes; ties go to the lower node.

    Args:
        output: of a single clip. contributions: (T', K), of the explained class.
        length: edges of the chain. beam: chains kept a step.

    Returns:
        Steps in the order of the flow, from the first sender to the most contributing region;
        empty without a graph.
    """
    if not output.edge_gates or not contributions.numel():
        return ()
    matrix, kinds = clip_graph(output)
    regions = contributions.shape[1]
    width = regions + output.prompts.shape[2]
    t, k = divmod(int(contributions.argmax()), regions)
    chains: list[tuple[float, list[int]]] = [(0.0, [t * width + k])]
    for _ in range(length):
        longer = []
        for score, nodes in chains:
            row = matrix[nodes[-1]]
            best = torch.sort(row, descending=True, stable=True).indices[: beam + len(nodes)]
            for sender in best.tolist():
                gate = float(row[sender])
                if gate > 0 and sender not in nodes:
                    longer.append((score + math.log(gate), [*nodes, sender]))
        if not longer:
            break
        chains = sorted(longer, key=lambda c: (-c[0], c[1]))[:beam]
    nodes = chains[0][1]
    steps = []
    for receiver, sender in pairwise(nodes):
        target, source = divmod(receiver, width), divmod(sender, width)
        same = target[0] == source[0]
        kind = kinds[target[1] >= regions][source[1] >= regions] if same else "temporal"
        steps.append(Step(kind, source, target, float(matrix[receiver, sender])))
    return tuple(reversed(steps))
