"""The model's own reasons: edges that are deleted, prompts that are swapped, frames that go."""

import copy

import pytest
import torch
from tests.tasks.test_explanations import clips, masks, model
from torch import Tensor

from whyact.explainers.paths import clip_graph, random_chain, without_chains
from whyact.models.interventions import Intervention, intervened, prompt_bank, wishing
from whyact.models.recognizer import ActionRecognizer
from whyact.models.vocabulary import Vocabulary
from whyact.nn.dynamic_prompts import NoPrompts
from whyact.nn.graph_split import GraphSplit
from whyact.tasks.counterfactual import add_counterfactual, in_words
from whyact.tasks.explain import explain_classes
from whyact.tasks.reasoning import Reasons, _constant_share, measure_reasons, summarise_reasons
from whyact.types import Explanation, WhyactError


def test_deleting_no_edge_changes_nothing_and_all_edges_leave_the_nodes_alone() -> None:
    made = model()
    with torch.no_grad():
        tokens, grid = made.encode(clips(2))
        output = made.decode(tokens, grid)
        same = intervened(made, Intervention()).decode(tokens, grid)
        assert torch.equal(same.logits, output.logits)
        none = {k: torch.zeros_like(v) for k, v in output.edge_gates.items()}
        alone = intervened(made, Intervention(keep=none)).decode(tokens, grid)
        again = made.decode(tokens, grid)
    assert all(float(g.abs().max()) == 0 for g in alone.edge_gates.values())
    assert not torch.allclose(alone.logits, output.logits, atol=1e-6)
    assert torch.equal(again.logits, output.logits)  # the model itself is as it was


def test_a_deleted_chain_closes_its_edges_and_no_others() -> None:
    made = model()
    with torch.no_grad():
        tokens, grid = made.encode(clips(1))
        output = made.decode(tokens, grid)
        gates = clip_graph(output)
        generator = torch.Generator().manual_seed(0)
        chains = [random_chain(gates, 9, 2, generator) for _ in range(20)]
        keep = without_chains(output, chains)
        cut = intervened(made, Intervention(keep=keep))
        rows = cut.decode(tokens.expand(20, -1, -1, -1), grid)
    for n, chain in enumerate(chains):
        assert len(set(chain)) == 3 and chain[0] == 9
        closed = clip_graph(rows.rows(n, n + 1))
        gone = ((gates > 0) & (closed == 0)).nonzero().tolist()
        assert sorted(map(tuple, gone)) == sorted([(chain[0], chain[1]), (chain[1], chain[2])])


def test_random_chains_end_where_there_is_no_way_on() -> None:
    weights = torch.zeros(3, 3)
    weights[0, 1] = 0.5
    assert random_chain(weights, 0, 2, torch.Generator()) == [0, 1]
    assert random_chain(weights, 2, 2, torch.Generator()) == [2]


def test_prompts_of_another_clip() -> None:
    made = model()

    def swap(donor: Tensor) -> ActionRecognizer:
        return intervened(made, Intervention(donor=donor))

    with torch.no_grad():
        tokens, grid = made.encode(clips(2))
        output = made.decode(tokens, grid)
        same = swap(torch.tensor([0, 1])).decode(tokens, grid)
        swapped = swap(torch.tensor([1, 0])).decode(tokens, grid)
    assert torch.equal(same.logits, output.logits)
    assert torch.equal(swapped.prompt_weights, output.prompt_weights.flip(0))
    assert not torch.allclose(swapped.logits, output.logits, atol=1e-6)
    with pytest.raises(WhyactError, match="Expected 2 donors"):
        swap(torch.tensor([1])).decode(tokens, grid)
    bank = prompt_bank(made)
    assert bank is not None and bank.shape == (16, 64)


def test_prompts_that_are_switched_off() -> None:
    made = model()
    with torch.no_grad():
        tokens, grid = made.encode(clips(1))
        output = made.decode(tokens, grid)
        fewer, none = (
            intervened(made, Intervention(without=off)).decode(tokens, grid)
            for off in ({0, 2}, {0, 1, 2, 3})
        )
        without = copy.deepcopy(made)
        without.dynamic_prompts = NoPrompts()
        expected = without.decode(tokens, grid)
    assert torch.equal(fewer.prompt_weights, output.prompt_weights[:, :, [1, 3]])
    assert not torch.allclose(fewer.logits, output.logits, atol=1e-6)
    assert fewer.edge_gates["prompt_to_region"].shape[-1] == 2
    assert none.prompts.shape[2] == 0 and torch.allclose(none.logits, expected.logits, atol=1e-6)
    with pytest.raises(WhyactError, match="no prompt 4; the model has 4"):
        intervened(made, Intervention(without={4})).decode(tokens, grid)


def test_all_reasons_are_measured_and_counted() -> None:
    made, found = model(), Reasons()
    for start in (0, 4):
        part = Reasons()
        measure_reasons(made, clips(8)[start : start + 4], masks(), 2, part)
        found.add(part)
    table = summarise_reasons(made, [found])
    for name in (
        "path", "path_minus_path_same_end", "frames_minus_random_frames", "region_fit",
        "prompt_swap_similarity", "prompt_redundancy", "action_code_stability",
    ):  # fmt: skip
        assert table[name]["clips"] == 8, name
        assert table[name]["low"] <= table[name]["mean"] <= table[name]["high"]
    assert table["completeness_gap"]["mean"] < 1e-5
    assert 0 < table["constant_share"]["mean"] < 1
    assert 1 <= table["prompt_bank"]["effective_rank"] <= 16
    assert table["prompt_alignment"]["candidates"] == 4
    without: Reasons = Reasons()
    measure_reasons(made, clips(1), None, 0, without)
    assert "path" not in without.values and "region_fit" not in without.values
    # One clip has no other to take prompts from, which is counted, not left out.
    alone = summarise_reasons(made, [without])
    assert alone["prompt_redundancy"]["clips"] == 1
    assert alone["prompt_swap_drop"]["clips"] == 0 and alone["prompt_swap_drop"]["undefined"] == 1


def test_a_counterfactual_is_added_and_told() -> None:
    made = model()
    video: Tensor = clips(1)[0]
    (explanation,), _ = explain_classes(made, video, count=1, shares=False)
    assert in_words(explanation, ("a", "b", "c")) == ""
    found = add_counterfactual(made, video, explanation)
    values = found.extra["counterfactual"]
    assert values["prediction"] == explanation.target and values["passes"] <= 16
    told = in_words(found, ("a", "b", "c"))
    assert told.startswith("without region") or told.startswith("no set of regions")


def test_the_share_of_constants_is_of_their_size_and_undefined_where_nothing_is_said() -> None:
    def one(constant: float, earned: float) -> Explanation:
        return Explanation(
            method="native", target=0, heat=torch.zeros(1, 1, 1), score=earned + 0.5, bias=0.5,
            extra={"constant": constant},
        )  # fmt: skip

    found = _constant_share([one(1.0, 4.0), one(-1.0, 2.0), one(0.0, 2.0), one(0.0, 0.0)])
    assert found[:3].tolist() == pytest.approx([1 / 4, 1 / 4, 0])
    assert bool(found[3].isnan())


def test_changes_compose_in_either_order() -> None:
    made = model()
    made.specification = GraphSplit(code_width=64).eval()
    x = clips(2)
    cut = Intervention(without={0, 1})
    wish = "wave"
    made.vocabulary = Vocabulary(names=("jump", "wave", "bow"))
    inside, outside = intervened(wishing(made, wish), cut), wishing(intervened(made, cut), wish)
    expected = intervened(made, cut)(x, wanted=wish)
    for one in (inside, outside):
        output = one(x)
        assert output.prompts.shape[2] == expected.prompts.shape[2] == made(x).prompts.shape[2] - 2
        torch.testing.assert_close(output.logits, expected.logits)
    assert not torch.equal(expected.logits, intervened(made, cut)(x).logits)
    twice = intervened(intervened(made, Intervention(without={0})), Intervention(without={0}))
    assert twice(x).prompts.shape[2] == expected.prompts.shape[2]
