"""Splitting the graph by a wish, on nodes whose answers are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from whyact.config import (
    BackboneConfig,
    DynamicPromptsConfig,
    GraphPromptGnnConfig,
    ModelConfig,
    SpatialGraphConfig,
    SpecificationConfig,
)
from whyact.explainers.native import follow
from whyact.models.builders import build_model
from whyact.models.interventions import Intervention, intervened
from whyact.models.recognizer import ActionRecognizer
from whyact.models.vocabulary import Vocabulary
from whyact.nn.graph_split import GraphSplit, Parts
from whyact.types import ActionOutput, WhyactError

C, Y = 4, 3


def toy_split() -> GraphSplit:
    """Gates are exp(10 evidence) against none; regions pass on what they are, prompts nothing."""
    split = GraphSplit(code_width=C, gate_width=C, window=1)
    split.norm = torch.nn.Identity()
    with torch.no_grad():
        split.log_scale.fill_(math.log(10))
        split.scaling.weight.zero_()
        for edges in (split.spatial, *split.temporal):
            edges.receiver.weight.zero_()
            edges.message.weight.copy_(torch.eye(C))
    return split


def parts_of(split: GraphSplit, x: Tensor, adjacency: Tensor, wishes: Tensor) -> Parts:
    """Of nodes whose channel y is their evidence for class y."""
    return split(
        split.share(x, adjacency, torch.ones(x.shape[:3]), x[..., :Y], torch.eye(C)[:Y]), wishes
    )


def model(kind: str = "split", **changes: object) -> ActionRecognizer:
    changes.setdefault("spatial_graph", SpatialGraphConfig(regions=4))
    changes.setdefault("graph_prompt_gnn", GraphPromptGnnConfig(layers=1))
    config = ModelConfig(
        backbone=changes.pop("backbone", BackboneConfig(type="small", width=16)),  # type: ignore[arg-type]
        specification=SpecificationConfig(type=kind),  # type: ignore[arg-type]
        **changes,  # type: ignore[arg-type]
    )
    made = build_model(config, classes=Y, scenes=2, seed=3).eval()
    assert isinstance(made, ActionRecognizer)
    made.vocabulary = Vocabulary(names=["wave", "sit down", "punch"])
    return made


def clips(count: int = 2) -> Tensor:
    return torch.rand(count, 3, 4, 32, 32, generator=torch.Generator().manual_seed(0))


def test_membership_is_the_sum_of_the_wanted_prompts_gates_for_which_all_compete() -> None:
    x = torch.tensor([[0.2, 0.0, 0.0, 0.0], [0.1, 0.3, 0.0, 0.0]]).view(1, 1, 2, C)
    wishes = torch.tensor([[[1.0, 0, 0], [1, 1, 0], [0, 0, 0]]])
    parts = parts_of(toy_split(), x, torch.zeros(1, 1, 2, 2), wishes)
    e = math.exp
    # Evidence times 10, of three classes and of none, which has 0.
    first, second = e(2) + 1 + 1 + 1, e(1) + e(3) + 1 + 1
    expected = torch.tensor(
        [[e(2) / first, e(1) / second], [(e(2) + 1) / first, (e(1) + e(3)) / second], [0.0, 0.0]]
    ).view(1, 1, 3, 2)
    torch.testing.assert_close(parts.membership, expected)


def test_inside_the_specified_part_a_region_hears_members_only() -> None:
    split = toy_split()
    x = torch.tensor([[5.0, -5, -5, 0], [-5, 5, -5, 0], [0, -5, -5, 1]]).view(1, 1, 3, C)
    adjacency = torch.tensor([[0, 0.5, 0.5], [1, 0, 0], [1, 0, 0]]).view(1, 1, 3, 3)
    parts = parts_of(split, x, adjacency, torch.tensor([[[1.0, 0, 0]]]))
    # Region 0 is in (exp 50), region 1 another class' (exp -50), region 2 half in (exp 0).
    torch.testing.assert_close(parts.membership[0, 0, 0], torch.tensor([1.0, 0.0, 0.5]))
    heard = parts.code[0, 0, 0] - x[0, 0]
    # Region 0 hears region 2 only: prior 3 * 0.5 * 0.5, against none.
    gelu = torch.nn.functional.gelu
    torch.testing.assert_close(heard[0], gelu(0.75 / 1.75 * x[0, 0, 2]))
    # Region 1 hears region 0: prior 3 * 1 * 1.
    torch.testing.assert_close(heard[1], gelu(0.75 * x[0, 0, 0]))


def test_temporal_edges_reach_the_neighbouring_frames_and_stop_at_the_ends() -> None:
    split = toy_split()
    x = torch.zeros(1, 3, 1, C)
    x[0, 0, 0] = torch.tensor([5.0, 0, 0, 0])
    parts = parts_of(split, x, torch.zeros(1, 3, 1, 1), torch.tensor([[[1.0, 0, 0]]]))
    heard = parts.code[0, :, 0, 0, 0] - x[0, :, 0, 0]
    # Frame 1 hears frame 0 with prior 1 against none: half of 5. Others hear zeros.
    expected = torch.nn.functional.gelu(torch.tensor([0.0, 2.5, 0.0]))
    torch.testing.assert_close(heard, expected)


def test_padding_changes_nothing() -> None:
    torch.manual_seed(0)
    split = GraphSplit(code_width=C, gate_width=2)
    x, adjacency = torch.randn(1, 2, 3, C), torch.rand(1, 2, 3, 3)
    mask = torch.tensor([True, True, False]).expand(1, 2, 3)
    adjacency = adjacency * mask.unsqueeze(-2)
    wish = torch.tensor([[[1.0, 0, 1]]])
    evidence, prompts = torch.randn(1, 2, 3, Y), torch.randn(Y, C)
    action = torch.rand(1, 2, 3)
    padded = split(split.share(x, adjacency, action, evidence, prompts, mask), wish)
    bare = split.share(
        x[:, :, :2], adjacency[:, :, :2, :2], action[:, :, :2], evidence[:, :, :2], prompts
    )
    bare = split(bare, wish)
    torch.testing.assert_close(padded.membership[..., :2], bare.membership)
    torch.testing.assert_close(padded.code[..., :2, :], bare.code)
    assert bool((padded.membership[..., 2] == 0).all())


def test_a_masked_node_changes_nothing_whatever_it_holds() -> None:
    torch.manual_seed(0)
    split = GraphSplit(code_width=C, gate_width=2)
    split.norm = torch.nn.Identity()  # which would hide the size of what it holds
    real, evidence, prompts = torch.randn(1, 2, 2, C), torch.randn(1, 2, 3, Y), torch.randn(Y, C)
    mask = torch.tensor([True, True, False]).expand(1, 2, 3)
    adjacency = mask.unsqueeze(-2) / 2.0 * torch.ones(3, 1)

    def found(padding: float) -> tuple[Tensor, Tensor]:
        x = torch.cat([real, torch.full((1, 2, 1, C), padding)], 2).requires_grad_()
        shared = split.share(x, adjacency, torch.ones(1, 2, 3), evidence, prompts, mask)
        code = split(shared, torch.tensor([[[1.0, 0, 1], [0, 1, 0]]])).code[..., :2, :]
        code.square().sum().backward()
        return code, x.grad

    (code, gradient), (other, moved) = found(0.0), found(1e4)
    assert torch.equal(code, other) and torch.equal(gradient, moved)


def test_objects_hear_no_other_object_of_a_neighbouring_frame() -> None:
    torch.manual_seed(0)
    split = GraphSplit(code_width=C, gate_width=2)
    acts = torch.tensor([True, False, False]).expand(1, 3, 3)  # a person, a ball and a net
    evidence, prompts = torch.randn(1, 3, 3, Y), torch.randn(Y, C)

    def code(x: Tensor) -> Tensor:
        adjacency, action = torch.eye(3).expand(1, 3, 3, 3), torch.ones(1, 3, 3)
        shared = split.share(x, adjacency, action, evidence, prompts, acts=acts)
        return split(shared, torch.ones(1, 1, Y)).code[0, :, 0]

    x = torch.randn(1, 3, 3, C)
    net = x.clone()
    net[:, 0, 2] = torch.randn(C)
    moved = (code(x) - code(net)).abs().amax(-1) > 0
    # The net of the first frame is heard by itself, there and one frame on, and by the person then.
    assert moved.tolist() == [[False, False, True], [True, False, True], [False, False, False]]


def test_a_region_that_is_no_action_hears_and_says_nothing() -> None:
    torch.manual_seed(0)
    split = GraphSplit(code_width=C, gate_width=2)
    x, action = torch.randn(1, 2, 3, C), torch.tensor([1.0, 1.0, 0.0]).expand(1, 2, 3)
    evidence, prompts, wish = torch.randn(1, 2, 3, Y), torch.randn(Y, C), torch.ones(1, 1, Y)

    def code(nodes: Tensor) -> Tensor:
        adjacency = torch.full((1, 2, 3, 3), 1 / 3)
        return split(split.share(nodes, adjacency, action, evidence, prompts), wish).code[:, :, 0]

    other = x.clone()
    other[:, :, 2] = torch.randn(1, 2, C)
    assert torch.equal(code(x)[:, :, 2], x[:, :, 2])
    assert torch.equal(code(x)[:, :, :2], code(other)[:, :, :2])


def test_no_wish_gives_the_unprompted_scores() -> None:
    made = model()
    plain, empty = made(clips()), made(clips(), torch.zeros(2, Y))
    torch.testing.assert_close(empty.logits, plain.logits)
    torch.testing.assert_close(empty.contributions, plain.contributions)
    assert plain.parts == {} and bool((empty.parts["membership"] == 0).all())


def test_the_unprompted_model_is_the_one_without_a_split() -> None:
    first, second = model("none")(clips()), model("split")(clips())
    assert torch.equal(first.logits, second.logits)
    assert set(model("none").state_dict()) < set(model("split").state_dict())


def test_contributions_add_up_under_a_wish_and_the_rest_is_read_from_the_remaining_part() -> None:
    output = model()(clips(), wanted=["punch", 0])
    torch.testing.assert_close(output.contributions.sum((1, 2)) + output.bias, output.logits)
    torch.testing.assert_close(output.frame_logits.mean(1), output.logits)
    inside, outside = output.parts["logits"].unbind(1)
    torch.testing.assert_close(output.logits[:, [0, 2]], inside[:, [0, 2]])
    torch.testing.assert_close(output.logits[:, 1], outside[:, 1])


def test_a_wish_moves_the_cells_of_a_class() -> None:
    made, maps = model(), []
    for wanted in (0, [0, 2], 2):
        output = made(clips(), wanted=wanted, traced=True)
        assert not output.parts["membership"].requires_grad
        cells = follow(output, torch.zeros(len(clips()), dtype=torch.int64))
        torch.testing.assert_close(
            cells.contributions.sum((1, 2, 3)), output.logits[:, 0] - output.bias[0]
        )
        maps.append(cells.contributions)
    alone, among, remaining = maps
    assert not torch.allclose(alone, among) and not torch.allclose(alone, remaining)


def test_a_wish_hears_one_frame_further_on_either_side() -> None:
    made = model(
        spatial_graph=SpatialGraphConfig(type="grid", regions=4),
        dynamic_prompts=DynamicPromptsConfig(type="none"),
        graph_prompt_gnn=GraphPromptGnnConfig(type="none"),
    )
    tokens = torch.randn(1, 6, 16, 16)
    changed = tokens.clone()
    changed[:, -1] = torch.randn(1, 16, 16)
    for wish, reach in ((None, 0), (torch.ones(1, Y), 1)):
        before, after = (made.decode(x, (4, 4), wish) for x in (tokens, changed))
        moved = (before.contributions - after.contributions).abs().amax((0, 2, 3)) > 0
        assert moved.tolist() == [t >= 5 - reach for t in range(6)]


def test_a_changed_model_can_be_asked_too() -> None:
    made, wish = model(), torch.tensor([[1.0, 0, 0], [0, 0, 1]])
    output = made(clips(), wish)
    same = intervened(made, Intervention())(clips(), wish)
    assert torch.equal(same.logits, output.logits)
    closed = {k: torch.zeros_like(v) for k, v in output.edge_gates.items()}
    alone = intervened(made, Intervention(keep=closed))(clips(), wish)
    assert all(not bool(g.any()) for g in alone.edge_gates.values())
    assert not torch.allclose(alone.logits, output.logits, atol=1e-6)
    some = intervened(made, Intervention(without={0}))(clips(), wish)
    assert some.prompts.shape[2] == output.prompts.shape[2] - 1


def test_a_clip_s_wish_is_its_own() -> None:
    made = model()
    wishes = torch.tensor([[1.0, 0, 0], [0, 0, 1]])
    both = made(clips(), wishes).logits
    torch.testing.assert_close(both[1:], made(clips()[1:], wishes[1:]).logits, atol=1e-5, rtol=0)


def test_each_wish_scores_as_a_pass_of_its_own() -> None:
    made = model()
    with pytest.raises(WhyactError, match="A wish for nothing has no score"):
        made.score_each(clips(), ["punch", []])
    found = made.score_each(clips(), ["punch", 1, ["wave", "punch"]])
    assert found.logits.shape == (2, 3) and found.frame_logits.shape == (2, 3, 4)
    single = made(clips(), wanted="punch")
    torch.testing.assert_close(found.logits[:, 0], single.logits[:, 2], atol=1e-5, rtol=0)
    torch.testing.assert_close(
        found.frame_logits[:, 0], single.frame_logits[..., 2], atol=1e-5, rtol=0
    )
    several = made(clips(), wanted=["wave", "punch"]).logits[:, [0, 2]].amax(1)
    torch.testing.assert_close(found.logits[:, 2], several, atol=1e-5, rtol=0)


@pytest.mark.parametrize("at_once", [1, 10**9])
def test_no_wishes_and_no_clips_have_no_scores(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whyact.models.recognizer.AT_ONCE", at_once)
    made = model()
    tokens, grid = made.encode(clips())
    with torch.no_grad():
        assert made.score_wishes(tokens, grid, torch.eye(Y)[:0]).logits.shape == (2, 0)
        assert made.score_wishes(tokens[:0], grid, torch.eye(Y)).logits.shape == (0, Y)


@pytest.mark.parametrize("at_once", [1, 10**9])
def test_it_does_not_matter_how_many_wishes_are_in_memory_together(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whyact.models.recognizer.AT_ONCE", at_once)
    made = model()
    tokens, grid = made.encode(clips())
    wishes = torch.tensor([[1.0, 0, 0], [0, 0, 0], [0, 0.5, 1], [0, 0, 1]])
    leaf = tokens.detach().requires_grad_()
    found = made.score_wishes(leaf, grid, wishes)
    assert bool((found.logits[:, 1] == -math.inf).all())  # nothing is wished for
    with torch.no_grad():  # with a gradient all are kept
        torch.testing.assert_close(made.score_wishes(tokens, grid, wishes), found)
    found.logits[:, [0, 2, 3]].sum().backward()
    own = tokens.detach().requires_grad_()
    inside = [made.decode(own, grid, w.expand(2, -1)).parts["logits"][:, 0] for w in wishes]
    expected = torch.stack([inside[0][:, 0], inside[2][:, 1:].amax(1), inside[3][:, 2]], 1)
    torch.testing.assert_close(found.logits[:, [0, 2, 3]], expected, atol=1e-5, rtol=0)
    expected.sum().backward()
    torch.testing.assert_close(leaf.grad, own.grad, atol=1e-6, rtol=1e-4)


def test_a_region_is_asked_for_as_much_as_it_speaks_for_the_wanted_class_and_no_other() -> None:
    made = model()
    output = made(clips(), wanted="punch")
    said = made.head.evidence(output.action_code, made.dynamic_prompts.guide(
        output.action_code, output.prompts).classifier)  # fmt: skip
    torch.testing.assert_close(output.parts["membership"], F.pad(said, (0, 1)).softmax(-1)[..., 2])


def test_in_training_every_class_is_asked_alone_too() -> None:
    made = model().train()
    output = made(clips(), torch.tensor([[1.0, 0, 0], [0, 1, 1]]))
    made.eval()
    assert "alone" not in made(clips(), torch.ones(2, Y)).parts
    made.train()
    tokens, grid = made.encode(clips())
    expected = made.score_wishes(tokens, grid, torch.eye(Y)).logits
    torch.testing.assert_close(output.parts["alone"], expected, atol=1e-5, rtol=0)


def test_every_parameter_of_the_split_learns_from_a_wish() -> None:
    made = model().train()
    output: ActionOutput = made(clips(), torch.tensor([[1.0, 0, 0], [0, 1, 1]]))
    (output.logits.square().sum() + output.parts["rebuilt"].square().sum()).backward()
    idle = [n for n, p in made.specification.named_parameters() if p.grad is None]
    assert idle == []


def test_wishes_by_index_name_and_text() -> None:
    vectors = {"wave": [1.0, 0], "sit down": [0, 1], "punch": [0.8, 0.6], "hit him": [0.79, 0.61]}

    def encoder(sentences: object) -> Tensor:
        return torch.tensor([vectors.get(s, [-1.0, -1.0]) for s in sentences])  # type: ignore[attr-defined]

    words = Vocabulary(names=["wave", "sit_down", "punch"], encoder=encoder)
    assert words.specification(1).tolist() == [0, 1, 0]
    assert words.specification("Sit down").tolist() == [0, 1, 0]
    assert words.specification(["wave", 2]).tolist() == [1, 0, 1]
    assert words.specification("hit him").tolist() == [0, 0, 1]
    assert words.specification([]).tolist() == [0, 0, 0]
    with pytest.raises(
        WhyactError, match=r"like none of the model's classes \(least cosine 0\.3\)"
    ):
        words.specification("fly a kite")
    with pytest.raises(WhyactError, match="no class 3; the model has 3"):
        words.specification(3)
    with pytest.raises(WhyactError, match=r"no class 'pnch'\. Did you mean 'punch'"):
        Vocabulary(names=["punch"]).specification("pnch")


def test_a_wish_and_a_specification_at_once_are_refused() -> None:
    with pytest.raises(WhyactError, match="not both"):
        model()(clips(), torch.zeros(2, Y), wanted=1)


def test_an_index_may_be_of_any_integer_or_in_digits_but_no_flag() -> None:
    words = Vocabulary(names=["wave", "punch", "7"])
    for one in (1, np.int64(1), "1", ["1"], np.array([1])):
        assert words.specification(one).tolist() == [0, 1, 0]  # type: ignore[arg-type]
    assert words.specification("7").tolist() == [0, 0, 1]  # a name comes first
    assert [words.title(w) for w in (np.int64(1), "0", "7", [0, "Punch"])] == [  # type: ignore[arg-type]
        "punch", "wave", "7", "wave + Punch"
    ]  # fmt: skip
    for bad in (True, np.bool_(True), [False, True], 1.0):
        with pytest.raises(WhyactError, match=r"A wish is a class by index.*got"):
            words.specification(bad)  # type: ignore[arg-type]
    with pytest.raises(WhyactError, match=r"There is no class 3; the model has 3, from 0\."):
        words.specification("3")
