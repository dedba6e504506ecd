"""Any subset of the objectives trains, in one forward pass, the same way every time."""

from dataclasses import asdict, replace

import pytest
import torch
from tests.toys import ToyModel, toy_batch

from whyact.config import Config, ObjectivesConfig, ObjectiveSettings
from whyact.objectives.background_mix import BackgroundMix
from whyact.objectives.builders import TABLE, build_objectives, objectives_of
from whyact.objectives.classification import CrossEntropy
from whyact.objectives.set import ObjectiveSet
from whyact.objectives.static_entropy import StaticEntropy
from whyact.types import Batch, WhyactError

OFF = dict.fromkeys(TABLE, 0.0)
SEVERAL = (
    "binary_cross_entropy", "specification", "part_decorrelation", "part_reconstruction",
)  # fmt: skip
"""Objectives of clips with several actions."""
SINGLE = [name for name in TABLE if name not in SEVERAL]


def batch_of(count: int = 6) -> Batch:
    """Clips on which a white square moves, so that the motion mask finds something."""
    batch = toy_batch(count, size=32)
    video = 0.2 + 0.02 * batch.video + torch.linspace(0, 0.3, count).view(-1, 1, 1, 1, 1)
    for t in range(4):
        video[:, :, t, 10:20, 2 + 6 * t : 10 + 6 * t] = 1
    return replace(batch, video=video)


def run(names: list[str], seed: int = 0, batch: Batch | None = None):  # type: ignore[no-untyped-def]
    objectives = build_objectives(
        ObjectivesConfig(**{**OFF, **dict.fromkeys(names, 1.0)}),
        ObjectiveSettings(static_entropy_pan=1.0, hsic_permutations=3),
    )
    torch.manual_seed(0)
    model = ToyModel()
    objectives.attach(model(batch_of(1).video), lambda name: None)
    model.calls.clear()
    total, terms, output = objectives(
        model, batch or batch_of(), torch.Generator().manual_seed(seed)
    )
    return model, total, terms, output


def test_table_and_config_have_the_same_names() -> None:
    assert list(TABLE) == list(asdict(ObjectivesConfig()))
    assert all(TABLE[n](ObjectiveSettings()).name == n for n in TABLE)


@pytest.mark.parametrize("names", [*[[n] for n in SINGLE], SINGLE, SINGLE[::2], SINGLE[1::3]])
def test_any_subset_trains(names: list[str]) -> None:
    swaps = {"swap_contrast", "swap_consistency", "whitened_consistency"}
    if swaps & {*names} and "foreground_paste" not in names:
        names = ["foreground_paste", *names]
    model, total, terms, output = run(names)
    assert total.ndim == 0 and total.isfinite()
    assert {t for t in terms if t not in ("hsic_p", "club_fit")} == set(names)
    assert total.item() == pytest.approx(sum(terms[n].item() for n in names), rel=1e-5)
    total.backward()
    assert len(model.calls) == 1  # one forward pass
    assert len(output.logits) == 6
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_objectives_of_regions_are_refused_for_models_without() -> None:
    config = Config(objectives=ObjectivesConfig(**{**OFF, "foreground_paste": 1.0}))
    config.model.type = "pooled"
    assert objectives_of(config).names == ("foreground_paste",)
    config.objectives.foreground = config.objectives.hsic = 1.0
    with pytest.raises(WhyactError, match=r"hsic, foreground: model\.type 'pooled' has no regions"):
        objectives_of(config)


def test_reconstruction_needs_pasted_clips_in_their_own_tempo() -> None:
    weights = ObjectivesConfig(**{**OFF, "foreground_paste": 1.0, "reconstruction": 1.0})
    for settings in ({"foreground_paste_tempo": 1.7}, {"foreground_paste_camera": 0.2}):
        with pytest.raises(
            WhyactError, match=r"with .*foreground_paste_tempo above 1 it shows ano"
        ):
            build_objectives(weights, ObjectiveSettings(**settings))
    build_objectives(
        weights, ObjectiveSettings(foreground_paste_tempo=1.7, reconstruction_swap=0.0)
    )


def test_everything_together_moves_every_parameter() -> None:
    model, total, _, _ = run(SINGLE)
    total.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_views_run_after_the_batch_in_one_pass() -> None:
    model, _, _, _ = run(["cross_entropy", "static_entropy", "background_mix", "foreground_paste"])
    # 6 clips, a quarter of them static (two, as 1.5 rounds to 2), half mixed, half pasted.
    assert model.calls == [6 + 2 + 3 + 3]


def test_multi_hot_labels() -> None:
    batch = replace(batch_of(), label=torch.eye(3)[torch.arange(6) % 3])
    names = ["binary_cross_entropy", "background_mix", "foreground_paste", "deep_supervision"]
    _, total, terms, _ = run([*names, "static_entropy"], batch=batch)
    total.backward()
    assert set(terms) == {*names, "static_entropy"}


def test_one_clip_a_clip_without_labels_and_one_without_an_actor_train() -> None:
    still = batch_of(1).video[:, :, :1].expand(-1, -1, 4, -1, -1).clone()
    unknown = torch.full((6,), -1)
    for batch in (
        batch_of(1),
        replace(batch_of(1), video=still),
        replace(batch_of(6), label=unknown, nuisance=unknown),
    ):
        model, total, terms, _ = run(SINGLE, batch=batch)
        total.backward()
        assert total.isfinite() and all(v.isfinite() for v in terms.values())
        assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
        if batch.label[0] < 0:
            assert terms["cross_entropy"] == terms["foreground_paste"] == terms["nuisance"] == 0


def test_same_generator_same_loss() -> None:
    losses = [run(SINGLE, seed=s)[1].item() for s in (1, 1, 2)]
    assert losses[0] == losses[1] != losses[2]


def test_split_undoes_inputs() -> None:
    batch = toy_batch(4)
    objectives = ObjectiveSet(terms=[(StaticEntropy(share=0.5), 1.0), (BackgroundMix(), 1.0)])
    views = objectives.views(batch, torch.Generator().manual_seed(0))
    assert list(views) == ["static_entropy.static", "background_mix.mixed"]
    model = ToyModel()
    parts = objectives.split(model(objectives.inputs(batch, views)), batch, views)
    assert torch.allclose(parts["clip"].logits, model(batch.video).logits)
    for name, view in views.items():
        assert torch.allclose(parts[name].logits, model(view.batch.video).logits)


def test_weights_scale_the_sum_and_not_the_terms() -> None:
    objectives = ObjectiveSet(terms=[(CrossEntropy(), 0.25)])
    total, terms, _ = objectives(ToyModel(), toy_batch(), torch.Generator())
    assert total.item() == pytest.approx(0.25 * terms["cross_entropy"].item())


def test_foreground_is_made_once_and_only_when_needed() -> None:
    batch = batch_of(2)
    plain = build_objectives(ObjectivesConfig(), ObjectiveSettings())
    assert plain.prepare(batch) is batch
    needy = build_objectives(ObjectivesConfig(foreground=1.0), ObjectiveSettings())
    ready = needy.prepare(batch)
    assert ready.foreground is not None and ready.foreground.shape == (2, 4, 32, 32)
    assert needy.prepare(ready) is ready


def test_off_objectives_are_not_built() -> None:
    built = build_objectives(ObjectivesConfig(hsic=0.5), ObjectiveSettings())
    assert [(o.name, w) for o, w in built.terms] == [("cross_entropy", 1.0), ("hsic", 0.5)]
    assert built.names == ("cross_entropy", "hsic")


def test_cached_tokens_refuse_objectives_that_need_pixels() -> None:
    build_objectives(ObjectivesConfig(hsic=1.0), ObjectiveSettings()).refuse_views("x", "y")
    wanted = ObjectivesConfig(background_mix=1.0, foreground=1.0)
    with pytest.raises(WhyactError, match=r"^x has no pixels, .*: background_mix\. .* or x to 0\."):
        build_objectives(wanted, ObjectiveSettings()).refuse_views("x has no pixels", "x to 0")


def test_errors_list_the_choices() -> None:
    with pytest.raises(WhyactError, match=r"nothing to train.*cross_entropy, .*reconstruction\}"):
        build_objectives(ObjectivesConfig(cross_entropy=0.0), ObjectiveSettings())
    for bad in (-1.0, float("nan"), float("inf")):
        with pytest.raises(WhyactError, match=r"objectives\.hsic must be 0"):
            build_objectives(ObjectivesConfig(hsic=bad), ObjectiveSettings())
    with pytest.raises(WhyactError, match="none twice"):
        ObjectiveSet(terms=[(CrossEntropy(), 1.0), (CrossEntropy(), 1.0)])


def test_an_objective_without_the_views_that_it_reads_is_refused() -> None:
    with pytest.raises(
        WhyactError, match=r"swap_contrast reads the clips that objectives\.foreground_paste makes"
    ):
        build_objectives(ObjectivesConfig(swap_contrast=1.0), ObjectiveSettings())


def test_networks_do_not_depend_on_the_other_objectives() -> None:
    def attached(**weights: float) -> torch.nn.ModuleDict:
        objectives = build_objectives(ObjectivesConfig(**weights), ObjectiveSettings())
        example = ToyModel()(batch_of(1).video)
        return objectives.attach(example, lambda name: torch.manual_seed(sum(map(ord, name))))

    alone, both = attached(club=1.0), attached(club=1.0, gradient_reversal=1.0)
    assert list(alone) == ["club"] and list(both) == ["gradient_reversal", "club"]
    for name, value in alone["club"].state_dict().items():
        assert torch.equal(value, both["club"].state_dict()[name])
    assert not attached()


def test_attention_comes_from_a_pass_of_its_own_in_evaluation_mode() -> None:
    settings = ObjectiveSettings(foreground_paste_mask="regions")
    objectives = build_objectives(ObjectivesConfig(foreground_paste=1.0), settings)
    modes = []

    class Watched(ToyModel):
        def forward(self, video: torch.Tensor):  # type: ignore[no-untyped-def]
            modes.append((self.training, torch.is_grad_enabled()))
            return super().forward(video)

    model = Watched().train()
    total, _, _ = objectives(model, batch_of(), torch.Generator().manual_seed(0))
    assert modes == [(False, False), (True, True)] and model.calls == [6, 6 + 3]
    assert model.training
    total.backward()


def test_pixels_are_made_in_full_precision_under_autocast(monkeypatch) -> None:
    """GPUs refuse to solve with operands of two precisions, which autocast would give."""
    kinds, solve = [], torch.linalg.solve

    def spy(a, b):
        kinds.append((a.dtype, b.dtype))
        return solve(a, b)

    monkeypatch.setattr(torch.linalg, "solve", spy)
    objectives = build_objectives(ObjectivesConfig(foreground_paste=1.0), ObjectiveSettings())
    batch = replace(batch_of(), foreground=None, background=None)
    with torch.autocast("cpu", torch.bfloat16):
        ready = objectives.prepare(batch)
        objectives.views(ready, torch.Generator().manual_seed(0))
    assert kinds and set(kinds) == {(torch.float32, torch.float32)}
