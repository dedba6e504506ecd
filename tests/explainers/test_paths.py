"""Reasoning paths on clip graphs whose gates are set by hand."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from tests.toys import toy_output
from torch import Tensor

from whyact.explainers.paths import clip_graph, strongest_chain, strongest_path
from whyact.types import ActionOutput, Step


def graph_output(frames: int = 3, regions: int = 2, prompts: int = 2) -> ActionOutput:
    """One clip whose gates are all 0."""
    output = toy_output(count=1, frames=frames, regions=regions).detach()
    k, p = regions, prompts
    shapes = {
        "spatial": (k, k), "temporal": (2, k, k), "prompt_to_region": (k, p),
        "region_to_prompt": (p, k), "prompt_to_prompt": (p, p),
    }  # fmt: skip
    gates = {name: torch.zeros(1, frames, *shape) for name, shape in shapes.items()}
    return replace(output, prompts=torch.zeros(1, frames, p, 3), edge_gates=gates)


def contributions(frames: int, regions: int, best: tuple[int, int]) -> Tensor:
    values = torch.full((frames, regions), -1.0)
    values[best] = 2.0
    return values


def test_path_by_hand() -> None:
    # Ends in region 1 of step 1. Weights: temporal gates count 1/2 (two regions send), prompt
    # gates 1/2 (two prompts send), spatial gates 1.
    output = graph_output()
    gates = output.edge_gates
    gates["temporal"][0, 1, 0, 1, 0] = 0.9  # region 0 of step 0, weight 0.45
    gates["spatial"][0, 1, 1, 0] = 0.4  # region 0 of step 1, weight 0.40
    gates["spatial"][0, 0, 0, 1] = 0.1  # on from step 0: 0.45 * 0.1 = 0.045
    gates["region_to_prompt"][0, 1, 0, 0] = 1.0
    gates["prompt_to_region"][0, 1, 0, 1] = 0.8  # on from step 1: 0.40 * 0.8 / 2 = 0.16
    found = strongest_path(output, contributions(3, 2, (1, 1)), length=2)
    assert found == (
        Step("prompt_to_region", (1, 3), (1, 0), pytest.approx(0.8)),
        Step("spatial", (1, 0), (1, 1), pytest.approx(0.4)),
    )
    # One edge alone: the temporal one is the strongest.
    (step,) = strongest_path(output, contributions(3, 2, (1, 1)), length=1)
    assert step == Step("temporal", (0, 0), (1, 1), pytest.approx(0.9))


def test_later_senders_and_prompt_edges_are_found() -> None:
    output = graph_output()
    gates = output.edge_gates
    gates["temporal"][0, 0, 1, 0, 1] = 0.5  # step 1 (offset +1), region 1 -> step 0, region 0
    gates["prompt_to_region"][0, 1, 1, 0] = 0.6
    gates["prompt_to_prompt"][0, 1, 0, 1] = 0.7
    gates["region_to_prompt"][0, 1, 1, 0] = 0.3
    path = strongest_path(output, contributions(3, 2, (0, 0)), length=4)
    assert [(s.kind, s.source, s.target) for s in path] == [
        ("region_to_prompt", (1, 0), (1, 3)),
        ("prompt_to_prompt", (1, 3), (1, 2)),
        ("prompt_to_region", (1, 2), (1, 1)),
        ("temporal", (1, 1), (0, 0)),
    ]
    assert [s.gate for s in path] == pytest.approx([0.3, 0.7, 0.6, 0.5])


def test_path_is_shorter_where_the_graph_ends_and_empty_without_edges() -> None:
    output = graph_output()
    assert strongest_path(output, contributions(3, 2, (1, 1)), length=3) == ()
    output.edge_gates["spatial"][0, 1, 1, 0] = 0.4
    output.edge_gates["spatial"][0, 1, 0, 1] = 0.9  # back to the start, which is no new node
    assert len(strongest_path(output, contributions(3, 2, (1, 1)), length=3)) == 1
    bare = replace(output, edge_gates={})
    assert strongest_path(bare, contributions(3, 2, (1, 1)), length=3) == ()


def test_edges_out_of_the_clip_and_to_oneself_do_not_exist() -> None:
    output = graph_output()
    for gate in output.edge_gates.values():
        gate.fill_(1.0)  # padding too, as a careless model might leave it
    gates = clip_graph(output)
    assert gates.diagonal().abs().max() == 0
    assert gates[0, 8] == 0 and gates[8, 0] == 0  # two steps apart
    assert gates[0, 4] == gates[0, 1] == gates[0, 2] == gates[2, 0] == 1


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_chain_is_the_best_of_all(seed: int, length: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weights = torch.rand(7, 7, generator=generator).double()
    weights = torch.where(torch.rand(7, 7, generator=generator) < 0.6, weights, 0.0)
    weights.fill_diagonal_(0)

    def product(nodes: tuple[int, ...]) -> float:
        return math.prod(float(weights[a, b]) for a, b in itertools.pairwise(nodes))

    others = [n for n in range(7) if n != 2]
    every = [(2, *rest) for rest in itertools.permutations(others, length)]
    best = max(product(nodes) for nodes in every)
    found = strongest_chain(weights, 2, length)
    if best > 0:
        assert product(tuple(found)) == pytest.approx(best)
        assert len(set(found)) == length + 1
    else:
        assert len(found) <= length
