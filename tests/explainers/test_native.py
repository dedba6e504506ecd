"""The native explanation of outputs written by hand."""

from dataclasses import replace

import pytest
import torch
from tests.toys import ToyModel, toy_output
from torch.nn import functional as F

from whyact.explainers.native import (
    Cells,
    Native,
    action_share,
    check_completeness,
    explain_output,
    region_tracks,
)
from whyact.nn.held_gates import HeldGates
from whyact.types import ActionOutput, WhyactError


def by_hand() -> ActionOutput:
    """Two steps, two regions, a 1 x 2 grid.

    A region reads the mean of its cells by their shares: 1.75 and 1.25 in step 0, 1 and nothing in
    step 1. For class 0 region 0 counts it once, and 1 more in step 0; region 1 counts it against.
    Class 1 is earned by region 1 only, which counts a fifth.
    """
    assignment = torch.tensor([[[[0.75, 0.25], [0.25, 0.75]], [[1.0, 1.0], [0.0, 0.0]]]])
    tokens = torch.tensor([[2.0, 1.0], [1.0, 1.0]]).view(1, 2, 2, 1).requires_grad_()
    share = assignment / assignment.sum(-1, keepdim=True).clamp_min(1e-8)
    read = (share @ tokens).squeeze(-1)
    constant = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    first = read * torch.tensor([1.0, -1.0]) + constant
    contributions = torch.stack([first, read * torch.tensor([0.0, 0.2])], -1)
    return toy_output(
        count=1, frames=2, regions=2, grid=(1, 2), classes=2,
        contributions=contributions, bias=torch.tensor([0.5, -0.5]), assignment=assignment,
        region_weights=torch.tensor([[[0.4, 0.1], [0.3, 0.2]]]), tokens=tokens,
    )  # fmt: skip


def test_explanation_by_hand() -> None:
    (one,) = explain_output(by_hand(), (2, 1, 2))
    assert one.target == 0
    # 1.75 + 1, less 1.25, and 1 of step 1.
    assert one.contributions.flatten().tolist() == pytest.approx([2.75, -1.25, 1.0, 0.0])
    assert one.bias == pytest.approx(0.5) and one.score == pytest.approx(3.0)
    # A step's evidence is T' times its contributions, plus the bias; the mean is the score.
    assert one.frame_evidence.tolist() == pytest.approx([3.5, 2.5])
    # Cells give 2 * (0.75 - 0.25), 1 * (0.25 - 0.75), and half of 1 each. The constant 1 is spread
    # by what regions contribute, 2.75, 1.25 and 1 of 5, over their cells.
    spread = torch.tensor([[2.75 * 0.75 + 1.25 * 0.25, 2.75 * 0.25 + 1.25 * 0.75], [0.5, 0.5]]) / 5
    cells = torch.tensor([[1.0, -0.5], [0.5, 0.5]]) + spread
    assert torch.allclose(one.cells, cells[:, None])
    assert float(one.cells.sum()) == pytest.approx(one.score - one.bias)
    assert torch.allclose(one.heat, cells.relu()[:, None])
    assert one.assignment.shape == (2, 2, 1, 2)
    assert one.path == () and one.action_share is None
    assert one.extra["completeness_gap"] < 1e-6 and one.extra["constant"] == pytest.approx(1.0)


def test_an_output_without_its_gradients_is_refused() -> None:
    with pytest.raises(WhyactError, match="make it with model\\(clips, traced=True\\)"):
        explain_output(by_hand().detach(), (2, 1, 2))


def test_another_class_is_explained_on_demand() -> None:
    (one,) = explain_output(by_hand(), (2, 1, 2), torch.tensor([1]))
    assert (one.target, one.score) == (1, pytest.approx(-0.25))
    # Region 1 has no cell in step 1.
    assert torch.allclose(one.heat, torch.tensor([[[0.1, 0.15]], [[0.0, 0.0]]]))
    with pytest.raises(WhyactError, match="There is no class 2; the model has 2"):
        explain_output(by_hand(), (2, 1, 2), torch.tensor([2]))
    with pytest.raises(WhyactError, match="Expected 1 targets"):
        explain_output(by_hand(), (2, 1, 2), torch.tensor([0, 1]))


def test_contributions_that_do_not_add_up_are_an_error() -> None:
    output = by_hand()
    assert check_completeness(output.detach()) < 1e-6
    wrong = replace(output, logits=output.logits + 2e-3)
    with pytest.raises(WhyactError, match=r"Contributions miss the logit by .*not additive"):
        explain_output(wrong, (2, 1, 2))
    with pytest.raises(WhyactError, match="miss the logit"):
        explain_output(replace(output, logits=output.logits * float("nan")), (2, 1, 2))


def test_heat_keeps_the_sum_of_the_positive_cells() -> None:
    cells = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    heat = Cells(cells, torch.zeros(3)).heat((8, 32, 32))
    assert torch.allclose(heat.sum((1, 2, 3)), cells.relu().sum((1, 2, 3)), rtol=1e-4)
    assert float(heat.min()) >= 0


def test_heat_is_interpolated_between_the_middles_of_cells() -> None:
    cells = torch.tensor([0.0, 4.0]).view(1, 1, 1, 2)
    heat = Cells(cells, torch.zeros(1)).heat((1, 1, 4))
    # Pixels lie a quarter and three quarters of the way, or beyond; halved, they add up to 4.
    assert heat.flatten().tolist() == [0.0, 0.5, 1.5, 2.0]


def test_a_clip_without_positive_evidence_has_an_empty_map() -> None:
    heat = Cells(-torch.ones(1, 4, 2, 2), torch.zeros(1)).heat((4, 8, 8))
    assert float(heat.abs().max()) == 0 and bool(torch.isfinite(heat).all())


def test_held_gates_by_hand() -> None:
    """Gates count as constants, a GELU as its input times its gate, a deviation as a number."""
    x = torch.tensor([1.0, 3.0], requires_grad=True)
    with HeldGates():
        gated = x * x.sigmoid()
        soft = (x.softmax(0) * x).sum()
        curved = F.gelu(x)
        normal = F.layer_norm(x, (2,), torch.tensor([2.0, 5.0]), torch.tensor([0.0, 1.0]), 0.0)
    plain = F.layer_norm(x, (2,), torch.tensor([2.0, 5.0]), torch.tensor([0.0, 1.0]), 0.0)
    assert torch.equal(normal, plain)
    assert normal.tolist() == pytest.approx([-2.0, 6.0])  # of mean 2 and deviation 1

    def slope(y: torch.Tensor) -> list[float]:
        (gradient,) = torch.autograd.grad(y, x)
        return gradient.tolist()

    assert slope(gated.sum()) == pytest.approx(torch.tensor([1.0, 3.0]).sigmoid().tolist())
    assert slope(soft) == pytest.approx(torch.tensor([1.0, 3.0]).softmax(0).tolist())
    assert slope(curved.sum()) == pytest.approx((F.gelu(x) / x).tolist())
    # Each output is half the difference from the other input, times its gain.
    assert slope(normal[0]) == pytest.approx([1.0, -1.0])
    # Outside of it gradients are the usual ones: on two inputs only the order matters.
    assert slope(F.layer_norm(x, (2,)).sum()) == pytest.approx([0.0, 0.0], abs=1e-5)


def test_region_tracks_by_hand() -> None:
    (one,) = explain_output(by_hand(), (2, 1, 2))
    first, second = region_tracks(one)
    # Cell centres are at 0.25 and 0.75; region 0 holds 0.75 and 0.25 of them in step 0.
    assert first["x"] == pytest.approx([0.375, 0.5])
    assert first["y"] == pytest.approx([0.5, 0.5])
    assert first["extent"] == pytest.approx([0.5, 1.0])
    assert first["weight"] == pytest.approx([0.4, 0.3])
    assert (first["region"], first["contribution"]) == (0, pytest.approx(3.75))
    assert second["contribution"] == pytest.approx(-1.25)
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
