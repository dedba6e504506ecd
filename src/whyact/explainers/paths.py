"""Reasoning paths: the strongest chain of messages through the clip graph."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from whyact.types import ActionOutput, Step

_KINDS = (("spatial", "prompt_to_region"), ("region_to_prompt", "prompt_to_prompt"))
"""Edge types within a time step, by (receiver is a prompt, sender is a prompt)."""


def clip_graph(output: ActionOutput) -> Tensor:
    """All edges of one clip as one matrix.

    Nodes are numbered ``t * (K + P) + i``; i below K is region i, the others are prompts. A gate is
    a share of what its receiver hears along an edge type, so gates of all types compare.

    Args:
        output: of a single clip, with ``edge_gates``.

    Returns:
        Gates (n, n), as (receiver, sender); 0 where there is no edge, and from a node to itself.
    """
    gates = {k: v[0] for k, v in output.edge_gates.items()}
    frames, regions = output.assignment.shape[1:3]
    prompts = output.prompts.shape[2]
    width = regions + prompts
    matrix = gates["temporal"].new_zeros(frames, width, frames, width)
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
    size = frames * width
    return matrix.reshape(size, size).fill_diagonal_(0)


def strongest_chain(weights: Tensor, end: int, length: int) -> list[int]:
    """The chain of different nodes that ends in ``end`` with the largest product of weights.

    Exact: dynamic programming over walks bounds what a chain can still reach, and the best-first
    search that uses the bound (A*) opens hardly more than the chain itself.

    Args:
        weights: (n, n) in [0, 1], as (receiver, sender). end: last receiver.
        length: edges of the chain; it is shorter where there is no such chain.

    Returns:
        Nodes from ``end`` backwards; ties go to the lower number.
    """
    logs = weights.double().clamp_min(0).log()
    bound = [torch.zeros(len(weights), dtype=torch.float64)]
    for _ in range(length):
        bound.append((logs + bound[-1]).amax(1))
    for edges in range(length, 0, -1):
        heap = [(-float(bound[edges][end]), [end], 0.0)]
        while heap and heap[0][0] < float("inf"):
            _, nodes, score = heapq.heappop(heap)
            left = edges - len(nodes) + 1
            if left == 0:
                return nodes
            row = logs[nodes[-1]]
            for sender in (weights[nodes[-1]] > 0).nonzero().flatten().tolist():
                if sender not in nodes:
                    now = score + float(row[sender])
                    rest = now + float(bound[left - 1][sender])
                    heapq.heappush(heap, (-rest, [*nodes, sender], now))
    return [end]


def random_chain(weights: Tensor, end: int, length: int, generator: torch.Generator) -> list[int]:
    """A chain of different nodes that ends in ``end``, each sender drawn from all that there are.

    Args:
        weights: (n, n), an edge where above 0. end: last receiver. length: edges; fewer where the
            chain cannot go on. generator: of the draws, on the CPU.
    """
    nodes = [end]
    while len(nodes) <= length:
        senders = [s for s in (weights[nodes[-1]] > 0).nonzero().flatten().tolist()
                   if s not in nodes]  # fmt: skip
        if not senders:
            break
        nodes.append(senders[int(torch.randint(len(senders), (), generator=generator))])
    return nodes


def without_chains(output: ActionOutput, chains: Sequence[Sequence[int]]) -> dict[str, Tensor]:
    """What the gates of the graph are multiplied by to delete the edges of each chain.

    Args:
        output: of a single clip, with ``edge_gates``. chains: nodes from the end backwards, as
            numbered by `clip_graph`.

    Returns:
        By edge type, (len(chains), ...) of ones and zeros, shaped like the gates.
    """
    keep = {k: v.new_ones(len(chains), *v.shape[1:]) for k, v in output.edge_gates.items()}
    regions = output.assignment.shape[2]
    width = regions + output.prompts.shape[2]
    window = output.edge_gates["temporal"].shape[2] // 2
    offsets = [o for o in range(-window, window + 1) if o]
    for n, chain in enumerate(chains):
        for receiver, sender in pairwise(chain):
            (t, to), (s, source) = divmod(receiver, width), divmod(sender, width)
            if s != t:
                keep["temporal"][n, t, offsets.index(s - t), to, source] = 0
                continue
            kind = _KINDS[to >= regions][source >= regions]
            to, source = (i - regions if i >= regions else i for i in (to, source))
            keep[kind][n, t, to, source] = 0
    return keep


def strongest_path(
    output: ActionOutput, contributions: Tensor, *, length: int = 2
) -> tuple[Step, ...]:
    """The strongest chain of messages that ends in the region with the largest contribution.

    The gates are those of the last round; the strength of a chain is their product.

    Args:
        output: of a single clip. contributions: (T', K), of the explained class.
        length: edges of the chain. A message travels one edge a round, so a chain longer than the
            graph's rounds is none that the model has used.

    Returns:
        Steps in the order of the flow, from the first sender to the most contributing region;
        empty without a graph.
    """
    if not output.edge_gates or not contributions.numel():
        return ()
    gates = clip_graph(output)
    regions = contributions.shape[1]
    width = regions + output.prompts.shape[2]
    t, k = divmod(int(contributions.argmax()), regions)
    steps = []
    for receiver, sender in pairwise(strongest_chain(gates, t * width + k, length)):
        target, source = divmod(receiver, width), divmod(sender, width)
        same = target[0] == source[0]
        kind = _KINDS[target[1] >= regions][source[1] >= regions] if same else "temporal"
        steps.append(Step(kind, source, target, float(gates[receiver, sender])))
    return tuple(reversed(steps))
