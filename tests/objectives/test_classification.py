"""Cross-entropies against logarithms worked out by hand."""

import math

import pytest
import torch
from tests.toys import toy_batch, toy_output

from whyact.objectives.base import View
from whyact.objectives.classification import (
    BinaryCrossEntropy,
    CrossEntropy,
    DeepSupervision,
    Nuisance,
)
from whyact.types import Batch, WhyactError


def with_labels(label: torch.Tensor, nuisance: torch.Tensor | None = None) -> Batch:
    batch = toy_batch(count=len(label))
    nuisance = batch.nuisance if nuisance is None else nuisance
    return Batch(video=batch.video, label=label, ids=batch.ids, nuisance=nuisance)


def odds(*shares: float) -> torch.Tensor:
    return torch.tensor(shares).log()


def test_cross_entropy_is_the_mean_over_labelled_clips() -> None:
    logits = torch.stack([odds(0.5, 0.25, 0.25), odds(0.1, 0.8, 0.1), odds(1 / 3, 1 / 3, 1 / 3)])
    output = {"clip": toy_output(3, logits=logits.requires_grad_())}
    loss = CrossEntropy().loss(output, with_labels(torch.tensor([0, -1, 2])), {})
    assert loss.item() == pytest.approx((math.log(2) + math.log(3)) / 2)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[1].abs().sum() == 0 and logits.grad[0].abs().sum() > 0


def test_cross_entropy_smoothing_spreads_the_target() -> None:
    output = {"clip": toy_output(1, logits=odds(0.5, 0.25, 0.25)[None])}
    loss = CrossEntropy(smoothing=0.3).loss(output, with_labels(torch.tensor([0])), {})
    # The target is 0.7 + 0.1 on the label and 0.1 on the others.
    assert loss.item() == pytest.approx(0.8 * math.log(2) + 0.2 * math.log(4))


def test_no_labelled_clip_gives_zero_with_a_gradient() -> None:
    output = toy_output(2)
    loss = CrossEntropy().loss({"clip": output}, with_labels(torch.tensor([-1, -1])), {})
    loss.backward()
    assert loss.item() == 0
    assert output.contributions.grad is not None


def test_binary_cross_entropy() -> None:
    logits = torch.tensor([[0.0, math.log(3.0)]])
    loss = BinaryCrossEntropy().loss(
        {"clip": toy_output(1, classes=2, logits=logits)},
        with_labels(torch.tensor([[1.0, 0.0]])),
        {},
    )
    # Probabilities 1/2 and 3/4; the targets are 1 and 0.
    assert loss.item() == pytest.approx((math.log(2) + math.log(4)) / 2)


def test_wrong_kind_of_label_names_the_other_objective() -> None:
    output = {"clip": toy_output(2)}
    with pytest.raises(WhyactError, match=r"multi-hot \(2, 3\).*binary_cross_entropy"):
        CrossEntropy().loss(output, with_labels(torch.zeros(2, 3)), {})
    with pytest.raises(WhyactError, match=r"\(2,\): set it to 0 and use objectives.cross_entropy"):
        BinaryCrossEntropy().loss(output, with_labels(torch.tensor([0, 1])), {})
    with pytest.raises(WhyactError, match=r"below 1, got 1\.5"):
        CrossEntropy(smoothing=1.5)


def test_deep_supervision_averages_the_modules_and_reads_nothing_else() -> None:
    output = toy_output(
        1,
        module_spatial_graph=odds(0.5, 0.25, 0.25)[None].requires_grad_(),
        module_graph_prompt_gnn=odds(0.25, 0.5, 0.25)[None].requires_grad_(),
    )
    loss = DeepSupervision().loss({"clip": output}, with_labels(torch.tensor([0])), {})
    assert loss.item() == pytest.approx((math.log(2) + math.log(4)) / 2)
    loss.backward()
    assert all(m.grad.abs().sum() > 0 for m in output.module_logits.values())
    assert output.contributions.grad is None


def test_deep_supervision_counts_labelled_views() -> None:
    rows = torch.tensor([0])
    right, wrong = odds(0.5, 0.25, 0.25)[None], odds(0.25, 0.5, 0.25)[None]
    outputs = {
        "clip": toy_output(1, modules=("m",), module_m=right),
        "other.kept": toy_output(1, modules=("m",), module_m=wrong),
        "other.lost": toy_output(1, modules=("m",), module_m=wrong),
    }
    batch, lost = with_labels(torch.tensor([0])), with_labels(torch.tensor([-1]))
    views = {"other.kept": View(batch, rows, rows), "other.lost": View(lost, rows, rows)}
    loss = DeepSupervision().loss(outputs, batch, views)
    assert loss.item() == pytest.approx((math.log(2) + math.log(4)) / 2)


def test_deep_supervision_of_a_model_without_modules_is_zero() -> None:
    output = toy_output(2, modules=())
    assert DeepSupervision().loss({"clip": output}, toy_batch(2), {}).item() == 0


def test_nuisance_ignores_unknown_scenes() -> None:
    logits = torch.stack([odds(0.25, 0.75), odds(0.5, 0.5)]).requires_grad_()
    output = toy_output(2, nuisance_logits=logits)
    batch = with_labels(torch.tensor([0, 1]), nuisance=torch.tensor([0, -1]))
    loss = Nuisance().loss({"clip": output}, batch, {})
    assert loss.item() == pytest.approx(math.log(4))
    loss.backward()
    assert logits.grad is not None and logits.grad[1].abs().sum() == 0
    assert output.contributions.grad is None


@pytest.mark.parametrize("scenes", [0, 2])
def test_nuisance_without_scenes_is_a_zero_that_can_be_trained_on(scenes: int) -> None:
    output = toy_output(2, scenes=scenes)
    batch = with_labels(torch.tensor([0, 1]), nuisance=torch.tensor([-1, -1]))
    loss = Nuisance().loss({"clip": output}, batch, {})
    loss.backward()
    assert loss.item() == 0
