"""What holds for every combination of modules, every variant and every baseline."""

import itertools
from dataclasses import replace

import pytest
import torch

from whyact.config import (
    BackboneConfig,
    DynamicPromptsConfig,
    GraphPromptGnnConfig,
    ModelConfig,
    SpatialGraphConfig,
)
from whyact.explainers.native import follow
from whyact.models.builders import build_model
from whyact.types import ActionOutput, WhyactError

B, T, SIZE, CLASSES, SCENES, K, P, M = 2, 4, 32, 5, 3, 4, 3, 6
BACKBONE = BackboneConfig(type="small", width=16)


def config(graph="learned", prompts="generated", gnn="gated", **changes) -> ModelConfig:
    return ModelConfig(
        backbone=BACKBONE,
        spatial_graph=SpatialGraphConfig(type=graph, regions=K, **changes.pop("graph_", {})),
        dynamic_prompts=DynamicPromptsConfig(
            type=prompts, prompts=P, bank=M, top_k=2, **changes.pop("prompts_", {})
        ),
        graph_prompt_gnn=GraphPromptGnnConfig(type=gnn, **changes.pop("gnn_", {})),
        **changes,
    )


COMBINATIONS = {
    f"{a}-{b}-{c}": config(a, b, c)
    for a, b, c in itertools.product(("learned", "grid"), ("generated", "none"), ("gated", "none"))
}
VARIANTS = {
    "retrieved": config(prompts="retrieved"),
    "static": config(prompts="static"),
    "addition": config(graph_={"fusion": "addition"}),
    "no-layers": config(graph_={"layers": 0}),
    "two-layers": config(graph_={"layers": 2}),
    "window-2": config(gnn_={"window": 2, "layers": 1}),
    **{f"cue-{c}": config(graph_={"cues": [c]}) for c in ("proximity", "coactivation", "position")},
    **{f"dynamics-{d}": config(graph_={"dynamics": d}) for d in ("region", "frame", "shared")},
    "dynamics-lags": config(graph_={"dynamics": "frame", "lags": [1, 2]}),
    "grid-dynamics-region": config("grid", graph_={"dynamics": "region"}),
    "no-cues": config(graph_={"cues": []}),
    "compact": config(graph_={"compact": 2}),
    "no-gate": config(graph_={"gate": False}),
    **{
        f"inject-{i}": config(prompts_={"inject": [i]}) for i in ("regions", "fusion", "classifier")
    },
}
BASELINES = {
    "pooled": ModelConfig(type="pooled", backbone=BACKBONE),
    "cnn_lstm": ModelConfig(type="cnn_lstm", backbone=BACKBONE),
    "pooled-difference": ModelConfig(
        type="pooled", backbone=BackboneConfig(width=16, motion="difference")
    ),
}
ALL = {**COMBINATIONS, **VARIANTS, **BASELINES}


def build(name: str):
    return build_model(ALL[name], classes=CLASSES, scenes=SCENES, seed=1)


def clips(seed: int = 0) -> torch.Tensor:
    return torch.rand(B, 3, T, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=ALL)
def name(request) -> str:
    return request.param


def test_shapes(name):
    output = build(name).eval()(clips())
    h, w = output.grid
    steps, regions, cells = output.assignment.shape[1:]
    assert (h, w) == (4, 4) and cells == h * w and steps == T
    assert output.logits.shape == (B, CLASSES)
    assert output.frame_logits.shape == (B, T, CLASSES)
    assert output.contributions.shape == (B, T, regions, CLASSES)
    assert output.adjacency.shape == (B, T, regions, regions)
    assert output.region_weights.shape == (B, T, regions)
    assert output.action_code.shape[:3] == (B, T, regions)
    assert output.region_code.shape == output.action_code.shape
    bare = output.prompts.shape[2] == 0 and not output.edge_gates
    assert torch.equal(output.region_code, output.action_code) == bare
    if ALL[name].type == "whyact":
        assert regions == K and output.action_code.shape[-1] == 64
        assert output.nuisance_code.shape == output.action_code.shape
        assert output.nuisance_logits.shape == (B, SCENES)
        assert set(output.module_logits) == {
            "spatial_graph", "dynamic_prompts", "graph_prompt_gnn"
        }  # fmt: skip


def test_contributions_add_up_to_the_logit(name):
    model = build(name).eval()
    for seed in range(3):
        output = model(clips(seed))
        total = output.contributions.sum((1, 2)) + output.bias
        assert torch.allclose(total, output.logits, atol=1e-4)
        assert torch.allclose(output.frame_logits.mean(1), output.logits, atol=1e-4)


def test_weights_and_assignment_are_shares(name):
    output = build(name).eval()(clips())
    assert torch.allclose(output.assignment.sum(2), torch.ones(()), atol=1e-5)
    assert torch.allclose(output.region_weights.sum((1, 2)), torch.ones(()), atol=1e-5)
    rows = output.adjacency.sum(-1)
    assert torch.allclose(rows, torch.ones(())) or torch.equal(rows, torch.zeros_like(rows))
    for gates in output.edge_gates.values():
        assert gates.ge(0).all() and gates.le(1).all()


def test_every_parameter_gets_a_gradient(name):
    model = build(name)
    if ALL[name].type == "whyact" and len(ALL[name].dynamic_prompts.inject) < 3:
        pytest.skip("prompts that guide nothing of the last scores leave the last update idle")
    output = model(clips())
    loss = output.logits.square().sum() + output.nuisance_logits.sum()
    (loss + output.nuisance_code.square().sum()).backward()
    idle = [n for n, p in model.named_parameters() if p.numel() and p.grad is None]
    assert idle == []
    # But edges of what a null twin does not have, and an offset that a softmax takes away.
    gone = ["head.attend.2.bias"]
    if output.prompts.shape[2] == 0:
        gone += ["prompt"]
    if not output.adjacency.any():
        gone += [".spatial.", "convolutions"]
    if ALL[name].type == "whyact" and len(ALL[name].spatial_graph.cues) == 1:
        gone += ["adjacency.weight"]  # rows add up to one, which takes the only cue's strength away
    still = [n for n, p in model.named_parameters() if p.numel() and not p.grad.any()]
    short = [n.removeprefix("graph_prompt_gnn") for n in still]
    assert [n for n in short if not any(part in n for part in gone)] == []


def test_clips_do_not_see_one_another(name):
    model, video = build(name).eval(), clips()
    both, second = model(video).logits[1], model(video[1:]).logits[0]
    assert torch.allclose(both, second, atol=1e-5)


def test_same_seed_same_weights(name):
    first, second = build(name).state_dict(), build(name).state_dict()
    assert all(torch.equal(first[k], second[k]) for k in first)


def test_rows_of_the_output_are_the_output_of_the_rows(name):
    output = build(name).eval()(clips())
    one = output.rows(1, 2)
    assert isinstance(one, ActionOutput)
    assert torch.equal(one.logits[0], output.logits[1]) and torch.equal(one.bias, output.bias)
    for key, gates in output.edge_gates.items():
        assert torch.equal(one.edge_gates[key][0], gates[1])


@pytest.mark.parametrize("gnn", ["gated", "none"])
@pytest.mark.parametrize("prompts", ["generated", "none"])
def test_permuting_the_regions_permutes_the_explanation_and_keeps_the_logits(prompts, gnn):
    model = build_model(config("learned", prompts, gnn), classes=CLASSES, scenes=SCENES).eval()
    before = model(clips())
    order = torch.tensor([2, 0, 3, 1])
    with torch.no_grad():
        model.spatial_graph.queries.copy_(model.spatial_graph.queries[order])
    after = model(clips())
    assert torch.allclose(after.logits, before.logits, atol=1e-5)
    assert torch.allclose(after.contributions, before.contributions[:, :, order], atol=1e-5)
    assert torch.allclose(after.assignment, before.assignment[:, :, order], atol=1e-5)


def test_removing_a_module_does_not_change_the_others():
    full, without = build("learned-generated-gated"), build("learned-none-gated")
    for slot in ("backbone", "spatial_graph", "graph_prompt_gnn", "head"):
        a, b = getattr(full, slot).state_dict(), getattr(without, slot).state_dict()
        assert all(torch.equal(a[k], b[k]) for k in a), slot


def test_static_prompts_do_not_see_the_clip_and_generated_ones_do():
    static = build("static").eval()
    assert torch.equal(static(clips(0)).prompt_weights, static(clips(1)).prompt_weights)
    generated = build("learned-generated-gated").eval()
    assert not torch.allclose(
        generated(clips(0)).prompt_weights, generated(clips(1)).prompt_weights
    )


def test_prompts_see_no_later_frame():
    model, video = build("learned-generated-none").eval(), clips()
    # Regions are refined over the whole clip, so the state is asked with fixed regions.
    regions = model.spatial_graph(*model.encode(video))
    codes = regions.action_code.clone()
    codes[:, -1, :, 0] += 1  # not all channels alike: the layer norm would take that away
    changed = replace(regions, action_code=codes)
    first, second = model.dynamic_prompts(regions), model.dynamic_prompts(changed)
    assert torch.equal(first.prompts[:, :-1], second.prompts[:, :-1])
    assert not torch.allclose(first.prompts[:, -1], second.prompts[:, -1])


def test_retrieved_prompts_mix_k_of_the_bank():
    weights = build("retrieved").eval()(clips()).prompt_weights
    assert ((weights > 0).sum(-1) == 2).all()


def test_retrieved_prompts_mix_k_of_the_bank_where_scores_tie():
    model = build("retrieved").eval()
    with torch.no_grad():
        model.dynamic_prompts.bank.copy_(model.dynamic_prompts.bank[:1].expand(M, -1))
    assert ((model(clips()).prompt_weights > 0).sum(-1) == 2).all()


def test_what_is_shut_can_open_again():
    """Attention to a region that is no action at all still tells its gate to open."""
    model = build("learned-none-none").eval()
    gate = model.spatial_graph.codes.share
    with torch.no_grad():
        gate.weight.zero_()
        gate.bias.fill_(-2.5)  # the gate is shut from -2.4 down
        model.head.attend[2].weight.zero_()  # so that attention follows the share alone
    output = model(clips())
    assert not output.action_gate.any()
    (slope,) = torch.autograd.grad(output.region_weights[:, :, 0].sum(), gate.weight)
    assert slope.abs().max() > 1e-3


@pytest.mark.parametrize("name", ["learned-generated-gated", "pooled"])
def test_models_without_a_split_cannot_be_asked(name):
    model = build(name).eval() if name != "pooled" else build_model(
        ModelConfig(type="pooled", backbone=BACKBONE), classes=CLASSES
    ).eval()  # fmt: skip
    with pytest.raises(WhyactError, match="This model cannot be asked for actions"):
        model(clips(), torch.ones(B, CLASSES))
    scores = model.score_wishes(*model.encode(clips()), torch.eye(CLASSES)[[2, 0]])
    assert torch.allclose(scores.logits, model(clips()).logits[:, [2, 0]], atol=1e-6)


def test_temporal_gates_stay_inside_the_clip_and_the_window():
    gates = build("window-2").eval()(clips()).edge_gates["temporal"]
    assert gates.shape == (B, T, 4, K, K)  # offsets -2, -1, 1, 2
    for i, offset in enumerate((-2, -1, 1, 2)):
        inside = torch.tensor([0 <= t + offset < T for t in range(T)])
        assert (gates[:, ~inside, i] == 0).all() and (gates[:, inside, i] > 0).all()


def test_wrong_settings_list_the_choices():
    with pytest.raises(WhyactError, match="at least 64"):
        build_model(config(code_width=32), classes=2)
    with pytest.raises(WhyactError, match="Unknown edge cues"):
        build_model(config(graph_={"cues": ["colour"]}), classes=2)
    with pytest.raises(WhyactError, match="weights is 'default', but 'small' is trained from"):
        build_model(ModelConfig(backbone=BackboneConfig(weights="default")), classes=2)
    with pytest.raises(WhyactError, match="resnet18"):
        build_model(ModelConfig(backbone=BackboneConfig(type="resnet_18")), classes=2)
    with pytest.raises(WhyactError, match="top_k must be in"):
        build_model(config(prompts_={}).__class__(
            backbone=BACKBONE, dynamic_prompts=DynamicPromptsConfig(bank=2, top_k=3)), classes=2
        )  # fmt: skip


def test_wrong_videos_are_refused_with_their_shape():
    model = build("pooled")
    with pytest.raises(WhyactError, match=r"\(B, 3, T, H, W\), got \(2, 3, 4\)"):
        model(torch.zeros(2, 3, 4))
    with pytest.raises(WhyactError, match="divide uint8 by 255"):
        model(torch.zeros(1, 3, 2, 32, 32, dtype=torch.uint8))


def test_tracing_changes_nothing_and_cells_add_up_to_the_logit(name):
    model = build(name).eval()
    with torch.no_grad():
        plain, traced = model(clips()), model(clips(), traced=True)
    torch.testing.assert_close(traced.logits, plain.logits)
    torch.testing.assert_close(traced.contributions, plain.contributions)
    targets = torch.tensor([0, 3])
    cells = follow(traced, targets).contributions
    assert cells.shape == (B, plain.frame_logits.shape[1], *plain.grid)
    scores = plain.logits.gather(1, targets[:, None])[:, 0]
    torch.testing.assert_close(cells.sum((1, 2, 3)) + plain.bias[targets], scores)
    for wrong in (plain, model(clips()), traced.rows(0, 2)):
        with pytest.raises(WhyactError, match="cannot be followed back to its cells"):
            follow(wrong, targets)


def test_a_model_explains_itself_whatever_the_mode_around_it():
    model = build("learned-generated-gated").eval()
    with torch.inference_mode():
        inside = follow(model(clips(), traced=True), torch.tensor([0, 3])).contributions
    outside = follow(model(clips(), traced=True), torch.tensor([0, 3])).contributions
    torch.testing.assert_close(inside.clone(), outside)


def test_without_constants_all_of_the_logit_is_followed_back(name):
    """Every gate of a decoder is held: what is left is linear in the tokens."""
    model = build(name).eval()
    if name == "cnn_lstm":
        pytest.skip("An LSTM is not linear whatever is held.")
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if not key.startswith("backbone") and key.endswith("bias"):
                parameter.zero_()
        if hasattr(model, "dynamic_prompts") and hasattr(model.dynamic_prompts, "bank"):
            model.dynamic_prompts.bank.zero_()
        output = model(clips(), traced=True)
    score = output.logits[:, 1]
    (gradient,) = torch.autograd.grad(score.sum(), output.tokens)
    followed = (gradient * output.tokens).sum((1, 2, 3))
    torch.testing.assert_close(followed, score.detach(), rtol=1e-3, atol=1e-5)


def test_whatever_weighs_is_held(name):
    output = build(name).eval()(clips(), traced=True)
    weighing = {
        "assignment": output.assignment, "adjacency": output.adjacency,
        "action_gate": output.action_gate, "region_weights": output.region_weights,
        "prompt_weights": output.prompt_weights, **output.edge_gates,
    }  # fmt: skip

    def followed(value: torch.Tensor) -> bool:
        if not value.requires_grad:
            return False
        (found,) = torch.autograd.grad(
            value.sum(), output.tokens, retain_graph=True, allow_unused=True
        )
        return found is not None

    assert followed(output.logits) and not [k for k, v in weighing.items() if followed(v)]
