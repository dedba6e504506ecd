"""The native explanation of outputs written by hand."""

from dataclasses import replace

import pytest
import torch
from tests.toys import ToyModel, toy_output

from whyact.explainers.native import (
    Native,
    action_share,
    along_track,
    cell_evidence,
    check_completeness,
    explain_output,
    region_tracks,
    upsample,
)
from whyact.types import ActionOutput, WhyactError


def by_hand() -> ActionOutput:
    """Two steps, two regions, a 1 x 2 grid; class 0 is earned by region 0 only."""
    contributions = torch.zeros(1, 2, 2, 2)
    contributions[0, :, :, 0] = torch.tensor([[3.0, -1.0], [0.5, 0.0]])
    contributions[0, :, :, 1] = torch.tensor([[0.0, 1.0], [0.0, 0.25]])
    assignment = torch.tensor([[[[0.75, 0.25], [0.25, 0.75]], [[1.0, 1.0], [0.0, 0.0]]]])
    return toy_output(
        count=1, frames=2, regions=2, grid=(1, 2), classes=2,
        contributions=contributions, bias=torch.tensor([0.5, -0.5]), assignment=assignment,
        region_weights=torch.tensor([[[0.4, 0.1], [0.3, 0.2]]]),
    ).detach()  # fmt: skip


def test_explanation_by_hand() -> None:
    (one,) = explain_output(by_hand(), (2, 1, 2))
    assert one.target == 0  # logits are 2.5 + 0.5 and 1.25 - 0.5
    assert one.score == pytest.approx(3.0)
    assert one.bias == pytest.approx(0.5)
    assert one.contributions.tolist() == [[3.0, -1.0], [0.5, 0.0]]
    # A step's evidence is T' times its contributions, plus the bias; the mean is the score.
    assert one.frame_evidence.tolist() == pytest.approx([4.5, 1.5])
    # 3 is spread 0.75 : 0.25 over the cells of step 0, 0.5 evenly over those of step 1; the
    # negative contribution of region 1 is no heat.
    assert torch.allclose(one.heat, torch.tensor([[[2.25, 0.75]], [[0.25, 0.25]]]))
    assert one.assignment.shape == (2, 2, 1, 2)
    assert one.path == () and one.action_share is None
    assert one.extra["completeness_gap"] < 1e-6


def test_evidence_is_shared_along_the_track_as_far_as_the_model_reaches() -> None:
    values = torch.tensor([6.0, 0.0, 0.0, 12.0]).view(1, 4, 1)
    assert along_track(values, 0).flatten().tolist() == [6, 0, 0, 12]
    # The first step has one neighbour, 6 / 2; the last too, 12 / 2.
    assert along_track(values, 1).flatten().tolist() == [3, 3, 6, 6]
    assert along_track(values, 9).flatten().tolist() == pytest.approx([4.5] * 4)
    (one,) = explain_output(replace(by_hand(), temporal_reach=1), (2, 1, 2))
    # Region 0 earns 3.5, half of it in each step; the contributions themselves stay where they are.
    assert torch.allclose(one.heat, torch.tensor([[[1.3125, 0.4375]], [[0.875, 0.875]]]))
    assert one.contributions.tolist() == [[3.0, -1.0], [0.5, 0.0]]


def test_another_class_is_explained_on_demand() -> None:
    (one,) = explain_output(by_hand(), (2, 1, 2), torch.tensor([1]))
    assert (one.target, one.score) == (1, pytest.approx(0.75))
    assert torch.allclose(one.heat[0, 0], torch.tensor([0.25, 0.75]))
    # Region 1 has no cell in step 1, so its 0.25 has nowhere to go.
    assert float(one.heat[1].sum()) == 0
    with pytest.raises(WhyactError, match="There is no class 2; the model has 2"):
        explain_output(by_hand(), (2, 1, 2), torch.tensor([2]))
    with pytest.raises(WhyactError, match="Expected 1 targets"):
        explain_output(by_hand(), (2, 1, 2), torch.tensor([0, 1]))


def test_contributions_that_do_not_add_up_are_an_error() -> None:
    output = by_hand()
    assert check_completeness(output) < 1e-6
    wrong = replace(output, logits=output.logits + 2e-3)
    with pytest.raises(WhyactError, match=r"Contributions miss the logit by .*not additive"):
        explain_output(wrong, (2, 1, 2))
    with pytest.raises(WhyactError, match="miss the logit"):
        explain_output(replace(output, logits=output.logits * float("nan")), (2, 1, 2))


def test_heat_keeps_the_sum_of_the_positive_contributions() -> None:
    output = toy_output(count=3, frames=2, regions=4, grid=(4, 4)).detach()
    targets = torch.tensor([2, 0, 1])
    cells = cell_evidence(output, targets)
    heat = upsample(cells, (8, 32, 32))
    picked = torch.stack([output.contributions[b, ..., t] for b, t in enumerate(targets)])
    wanted = picked.clamp_min(0).sum((1, 2))
    assert torch.allclose(cells.sum((1, 2, 3)), wanted, rtol=1e-5)
    assert torch.allclose(heat.sum((1, 2, 3)), wanted, rtol=1e-4)
    assert float(heat.min()) >= 0


def test_a_clip_without_positive_evidence_has_an_empty_map() -> None:
    output = toy_output(count=1, contributions=-torch.ones(1, 4, 2, 3)).detach()
    (one,) = explain_output(output, (4, 8, 8))
    assert float(one.heat.abs().max()) == 0 and bool(torch.isfinite(one.heat).all())


def test_region_tracks_by_hand() -> None:
    (one,) = explain_output(by_hand(), (2, 1, 2))
    first, second = region_tracks(one)
    # Cell centres are at 0.25 and 0.75; region 0 holds 0.75 and 0.25 of them in step 0.
    assert first["x"] == pytest.approx([0.375, 0.5])
    assert first["y"] == pytest.approx([0.5, 0.5])
    assert first["extent"] == pytest.approx([0.5, 1.0])
    assert first["weight"] == pytest.approx([0.4, 0.3])
    assert (first["region"], first["contribution"]) == (0, 3.5)
    assert second["contribution"] == -1.0
    assert second["extent"] == pytest.approx([0.5, 0.0], abs=1e-6)


def test_action_share() -> None:
    assert action_share([5.0, 2.0, 4.0]) == pytest.approx(0.75)  # drops 3 and 1
    assert action_share([5.0, 2.0, 6.0]) == 1.0  # a rise is no drop
    assert action_share([5.0, 5.5, 1.0]) == 0.0
    assert action_share([5.0, 5.5, 6.0]) is None
    assert action_share([5.0, 4.99999, 5.0]) is None  # rounding is no evidence


def test_explainer_costs_one_pass_and_does_not_depend_on_the_batch() -> None:
    model = ToyModel().eval()
    clips = torch.rand(3, 3, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    explainer = Native(model=model)
    together = explainer(clips)
    assert model.calls == [3]
    for b in range(3):
        (alone,) = explainer(clips[b : b + 1])
        assert alone.target == together[b].target
        assert torch.allclose(alone.heat, together[b].heat, atol=1e-6)
    with pytest.raises(WhyactError, match="Expected clips of shape"):
        explainer(clips[0])
