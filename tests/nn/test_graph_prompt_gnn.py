"""Gates that act, on a toy graph whose messages are known."""

import math

import torch

from whyact.nn.graph_prompt_gnn import GatedEdges, GraphPromptGnn, NoGraph, shift_frames


def test_a_gate_scales_the_message_of_a_receiver_with_one_edge():
    """The fault to avoid: dividing by the gates would cancel them for a single edge."""
    edges = GatedEdges(2, 2)
    with torch.no_grad():
        edges.message.weight.copy_(torch.eye(2))
    sender = torch.tensor([[3.0, -1.0]])
    for gate in (0.0, 0.25, 1.0):
        assert torch.allclose(edges.messages(torch.tensor([[gate]]), sender), gate * sender)


def test_gates_follow_the_formula():
    edges = GatedEdges(1, 1)
    with torch.no_grad():
        edges.receiver.weight.fill_(2.0)
        edges.sender.weight.fill_(1.0)
        edges.bias.fill_(-1.0)
    receiver, senders = torch.tensor([[1.0]]), torch.tensor([[0.5], [1.5]])
    one, seven = 1.0, math.exp(2)  # exp(2 * 1 * sender - 1)
    expected = torch.tensor([[one, seven]]) / (1 + one + seven)
    assert torch.allclose(edges.gates(receiver, senders), expected)
    # A single edge has a sigmoid, an edge that the prior rules out nothing, a doubled one twice.
    assert torch.allclose(edges.gates(receiver, senders[1:]), torch.tensor([[2.0]]).sigmoid())
    prior = torch.tensor([[0.0, 2.0]])
    expected = torch.tensor([[0.0, 2 * seven / (1 + 2 * seven)]])
    assert torch.allclose(edges.gates(receiver, senders, prior), expected)


def test_one_edge_can_carry_the_whole_message():
    edges = GatedEdges(1, 1)
    with torch.no_grad():
        edges.receiver.weight.fill_(30.0)
        edges.sender.weight.fill_(1.0)
    gates = edges.gates(torch.tensor([[1.0]]), torch.tensor([[1.0], [-1.0], [0.0], [-2.0]]))
    assert torch.allclose(gates, torch.tensor([[1.0, 0.0, 0.0, 0.0]]), atol=1e-6)
    none = edges.gates(torch.tensor([[1.0]]), torch.tensor([[-1.0], [-2.0]]))
    assert none.max() < 1e-6


def test_shift_frames_brings_the_neighbour_and_zeros_outside():
    x = torch.arange(3.0).view(1, 3, 1) + 1
    assert shift_frames(x, 1).flatten().tolist() == [2, 3, 0]
    assert shift_frames(x, -1).flatten().tolist() == [0, 1, 2]
    assert shift_frames(x, 5).flatten().tolist() == [0, 0, 0]


def test_information_travels_one_window_a_layer():
    torch.manual_seed(0)
    for layers, window, reach in ((1, 1, 1), (2, 1, 2), (1, 2, 2)):
        graph = GraphPromptGnn(code_width=8, layers=layers, window=window).eval()
        nodes = torch.randn(1, 6, 2, 8)
        prompts = torch.zeros(1, 6, 0, 8)
        adjacency = torch.full((1, 6, 2, 2), 0.5)
        changed = nodes.clone()
        changed[:, 0] = torch.randn(1, 2, 8)
        share = torch.ones(1, 6, 2)
        delta = (graph(changed, prompts, adjacency, share).action_code
                 - graph(nodes, prompts, adjacency, share).action_code)  # fmt: skip
        moved = [bool(delta[0, t].abs().max() > 1e-6) for t in range(6)]
        assert moved == [t <= reach for t in range(6)]


def test_a_missing_spatial_edge_carries_nothing():
    torch.manual_seed(0)
    graph = GraphPromptGnn(code_width=8, layers=1, window=1)
    nodes, prompts = torch.randn(1, 1, 2, 8), torch.zeros(1, 1, 0, 8)
    adjacency = torch.tensor([[[[1.0, 0.0], [0.5, 0.5]]]])
    changed = nodes.clone()
    changed[:, :, 1] += 1
    share = torch.ones(1, 1, 2)
    delta = (graph(changed, prompts, adjacency, share).action_code
             - graph(nodes, prompts, adjacency, share).action_code)  # fmt: skip
    assert delta[0, 0, 0].abs().max() == 0 and delta[0, 0, 1].abs().max() > 0


def test_spatial_gates_have_a_mean_prior_of_one_over_the_real_nodes():
    """At scores of 0 the gates of a row a are ``n a / (1 + n)``, with n real nodes."""
    graph = GraphPromptGnn(code_width=8, layers=1, window=1)
    torch.nn.init.zeros_(graph.rounds[0].spatial.receiver.weight)
    nodes, prompts, share = torch.randn(1, 1, 3, 8), torch.zeros(1, 1, 0, 8), torch.ones(1, 1, 3)
    adjacency = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 0.0]])
    for count, mask in ((3, None), (2, torch.tensor([[[True, True, False]]]))):
        gates = graph(nodes, prompts, adjacency[None, None], share, mask=mask).edge_gates["spatial"]
        torch.testing.assert_close(gates[0, 0], count / (1 + count) * adjacency)


def test_a_region_is_heard_as_far_as_it_is_action():
    """Two regions alike in direction: what the second says falls with its share, down to nothing.

    A normalised node of a share of 0.01 would say as much as one of a share of 1.
    """
    torch.manual_seed(0)
    graph = GraphPromptGnn(code_width=8, layers=1, window=1)
    first, second, other = torch.randn(3, 1, 1, 1, 8).unbind()
    prompts, adjacency = torch.randn(1, 1, 1, 8), torch.full((1, 1, 2, 2), 0.5)

    def moved(share):
        """How the first region and the prompt change with what the second holds."""
        made = [graph(torch.cat([first, share * held], 2), prompts, adjacency,
                      torch.tensor([[[1.0, share]]])) for held in (second, other)]  # fmt: skip
        return [(a - b)[0, 0, 0].norm() for a, b in (
            (made[0].action_code, made[1].action_code), (made[0].prompts, made[1].prompts)
        )]  # fmt: skip

    whole, tenth, hundredth = moved(1.0), moved(0.1), moved(0.01)
    assert all(a > 0.05 for a in whole)
    for some, least in zip(tenth, hundredth, strict=True):
        assert least < 0.2 * some  # about linear
    assert all(a < 0.03 * b for a, b in zip(hundredth, whole, strict=True))
    assert moved(0.0) == [0, 0]


def test_the_null_twin_is_the_identity():
    nodes, prompts = torch.randn(1, 2, 3, 8), torch.randn(1, 2, 1, 8)
    refined = NoGraph()(nodes, prompts, torch.zeros(1, 2, 3, 3), torch.ones(1, 2, 3))
    assert refined.action_code is nodes and refined.prompts is prompts and not refined.edge_gates


def test_a_sender_that_is_not_there_changes_no_gate_whatever_its_key():
    edges = GatedEdges(1, 1)
    with torch.no_grad():
        for parameter in (edges.receiver.weight, edges.sender.weight):
            parameter.fill_(1.0)

    def found(keys, prior):
        edges.zero_grad()
        gates = edges.gates(torch.tensor([[1.0], [2.0]]), torch.tensor(keys).unsqueeze(-1), prior)
        gates.square().sum().backward()
        return gates, [p.grad for p in (edges.receiver.weight, edges.sender.weight, edges.bias)]

    alone, expected = found([2.0], torch.ones(2, 1))
    for key in (200.0, 1e4, -1e4):
        gates, gradients = found([2.0, key], torch.tensor([1.0, 0.0]).expand(2, 2))
        assert torch.equal(gates[:, :1], alone) and not gates[:, 1].any()
        torch.testing.assert_close(gradients, expected)
    gates, gradients = found([1e4, 200.0], torch.zeros(2, 2))  # nobody is there
    assert not gates.any() and not any(g.any() for g in gradients)


def test_a_masked_node_changes_nothing_whatever_it_holds():
    torch.manual_seed(0)
    graph = GraphPromptGnn(code_width=8, layers=2, window=1)
    for step in graph.rounds:
        step.norm_region = torch.nn.Identity()  # which would hide the size of what it holds
    mask = torch.tensor([True, True, False]).expand(1, 3, 3)
    prompts = torch.randn(1, 3, 1, 8)

    def found(padding):
        nodes = torch.full((1, 3, 3, 8), padding)
        nodes[:, :, :2] = torch.randn(1, 3, 2, 8, generator=torch.Generator().manual_seed(1))
        nodes.requires_grad_()
        adjacency = mask.unsqueeze(-2) / 2.0 * torch.ones(3, 1)
        refined = graph(nodes, prompts, adjacency, torch.ones(1, 3, 3), mask=mask)
        refined.action_code[:, :, :2].square().sum().backward()
        return refined.action_code[:, :, :2], nodes.grad

    (code, gradient), (other, moved) = found(0.0), found(1e4)
    assert torch.equal(code, other) and torch.equal(gradient, moved)
    assert not gradient[:, :, 2].any()


def test_boxes_hear_those_that_act_and_themselves_in_neighbouring_frames():
    graph = GraphPromptGnn(code_width=8, layers=1, window=1)
    for edges in graph.rounds[0].temporal:
        torch.nn.init.zeros_(edges.receiver.weight)  # every edge has the share of none
    acts = torch.tensor([True, False, False, False]).expand(1, 3, 4)  # a person, ball, net, nobody
    mask = torch.tensor([True, True, True, False]).expand(1, 3, 4)
    nodes, prompts = torch.randn(1, 3, 4, 8), torch.zeros(1, 3, 0, 8)
    refined = graph(
        nodes, prompts, torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4), mask=mask, acts=acts
    )
    gates = refined.edge_gates["temporal"][0]  # frames, offsets -1 and 1
    expected = torch.tensor([[0.25, 0.25, 0.25, 0], [1 / 3, 1 / 3, 0, 0], [1 / 3, 0, 1 / 3, 0]])
    for frame, offset in ((0, 1), (1, 0), (1, 1), (2, 0)):
        torch.testing.assert_close(gates[frame, offset, :3], expected)
    assert not gates[0, 0].any() and not gates[2, 1].any()  # outside the clip
