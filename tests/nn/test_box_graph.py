"""A graph from given boxes: cells, edges, and padding that changes nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from whyact.config import (
    BackboneConfig,
    GraphPromptGnnConfig,
    ModelConfig,
    SpatialGraphConfig,
    SpecificationConfig,
)
from whyact.models.builders import build_model
from whyact.models.recognizer import VideoModel
from whyact.nn.box_graph import allowed_edges, box_assignment, check_boxes
from whyact.types import WhyactError

NAN = float("nan")
NOBODY = [NAN] * 5
B, T = 2, 4


def boxes(*rows: list[float]) -> Tensor:
    """The same boxes in every clip and frame, (B, T, O, 5)."""
    return torch.tensor(rows).expand(B, T, -1, -1).clone()


PERSON = [0.1, 0.1, 0.4, 0.9, 0.0]
BALL = [0.6, 0.6, 0.8, 0.8, 1.0]
OTHER = [0.5, 0.1, 0.9, 0.9, 0.0]


def model(**changes: object) -> VideoModel:
    config = ModelConfig(
        backbone=BackboneConfig(type="small", width=16),
        spatial_graph=SpatialGraphConfig(type="boxes", kinds=2),
        graph_prompt_gnn=GraphPromptGnnConfig(layers=2),
        specification=SpecificationConfig(type="split"),
        **changes,  # type: ignore[arg-type]
    )
    made = build_model(config, classes=3, scenes=2, seed=1).eval()
    with torch.no_grad():  # at zero, as it begins, it says the same of every clip
        made.nuisance_head.weight.normal_(generator=torch.Generator().manual_seed(1))
    return made


def clips() -> Tensor:
    return torch.rand(B, 3, T, 32, 32, generator=torch.Generator().manual_seed(0))


def test_cells_belong_to_boxes_by_area_and_the_rest_to_the_frame() -> None:
    given = torch.tensor([[0.0, 0.0, 0.75, 0.5, 0.0], [0.25, 0.0, 0.5, 1.0, 1.0], NOBODY])
    given = given.view(1, 1, 3, 5)
    shares = box_assignment(given, check_boxes(given, 1), (2, 2))[0, 0]
    # Cells: top left, top right, bottom left, bottom right, each 0.5 x 0.5 of the frame. The first
    # box covers 1 and 0.5 of the top ones; the second half of both left ones; 1 + 0.5 is scaled.
    expected = torch.tensor([
        [0.0, 0.5, 0.5, 1.0],
        [1 / 1.5, 0.5, 0.0, 0.0],
        [0.5 / 1.5, 0.0, 0.5, 0.0],
        [0.0, 0.0, 0.0, 0.0],
    ])  # fmt: skip
    torch.testing.assert_close(shares, expected)
    torch.testing.assert_close(shares.sum(0), torch.ones(4))


def test_edges_join_persons_with_all_and_objects_with_persons() -> None:
    kind, real = torch.tensor([[[0, 1, 1, 0]]]), torch.tensor([[[True, True, True, False]]])
    edges = allowed_edges(kind, real)[0, 0]
    # frame, person, ball, net, nobody
    assert edges.tolist() == [
        [1, 1, 1, 1, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 0, 1, 0],
        [0, 0, 0, 0, 0],
    ]


@pytest.mark.parametrize("wish", [None, torch.tensor([[1.0, 0, 0], [0, 1, 1]])])
def test_padding_changes_nothing(wish: Tensor | None) -> None:
    made = model()
    bare = made(clips(), wish, boxes=boxes(PERSON, BALL))
    padded = made(clips(), wish, boxes=boxes(PERSON, BALL, NOBODY, NOBODY))
    between = made(clips(), wish, boxes=boxes(PERSON, NOBODY, BALL))
    for other in (padded, between):
        torch.testing.assert_close(other.logits, bare.logits, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(other.nuisance_logits, bare.nuisance_logits)
        torch.testing.assert_close(
            other.mean_code(other.action_code), bare.mean_code(bare.action_code), atol=1e-5, rtol=0
        )
        for name, logits in other.module_logits.items():
            torch.testing.assert_close(logits, bare.module_logits[name], atol=1e-5, rtol=1e-5)
    assert padded.node_mask.shape == (B, T, 5) and not padded.node_mask[..., 3:].any()
    assert bool((padded.contributions[:, :, 3:] == 0).all())
    assert bool((padded.region_weights[:, :, 3:] == 0).all())
    for kind in ("spatial", "temporal"):
        assert bool((padded.edge_gates[kind][..., 3:] == 0).all())  # nobody listens to padding


def test_an_object_that_is_real_does_change_the_scores() -> None:
    made = model()
    without, with_it = (made(clips(), boxes=boxes(*b)) for b in ([PERSON, NOBODY], [PERSON, BALL]))
    assert not torch.allclose(without.logits, with_it.logits, atol=1e-4)


def test_an_object_may_leave_and_come_back() -> None:
    given = boxes(PERSON, BALL)
    given[:, 1:3, 1] = NAN
    output = model()(clips(), boxes=given)
    assert output.node_mask[0, :, 2].tolist() == [True, False, False, True]
    assert output.logits.isfinite().all()
    gates = output.edge_gates["temporal"]  # offsets -1, 1
    assert bool((gates[:, 0, 1, :, 2] == 0).all()) and bool((gates[:, 2, 1, 1, 2] > 0).all())


def test_edges_in_time_follow_kinds_too() -> None:
    gates = model()(clips(), boxes=boxes(PERSON, BALL, BALL)).edge_gates["temporal"][:, 1:-1]
    assert bool((gates[..., 2, 3] == 0).all()) and bool((gates[..., 3, 2] == 0).all())
    heard = torch.tensor([True, True, True, False])  # the frame, the person, the ball itself
    assert bool((gates[..., 2, heard] > 0).all()) and bool((gates[..., 1, :] > 0).all())


def test_every_parameter_learns() -> None:
    made = model().train()
    output = made(clips(), torch.tensor([[1.0, 0, 0], [0, 1, 1]]), boxes=boxes(PERSON, BALL, OTHER))
    loss = output.logits.square().sum() + output.nuisance_logits.sum()
    (loss + output.parts["rebuilt"].square().sum() + output.nuisance_code.square().sum()).backward()
    idle = [n for n, p in made.named_parameters() if p.numel() and p.grad is None]
    assert idle == []


def test_what_is_wrong_with_boxes_is_said() -> None:
    made = model()
    with pytest.raises(WhyactError, match="needs boxes with every clip"):
        made(clips())
    with pytest.raises(WhyactError, match=r"Expected boxes \(2, T, O, 5\)"):
        made(clips(), boxes=torch.zeros(2, T, 3, 4))
    with pytest.raises(WhyactError, match="NaN in part"):
        made(clips(), boxes=boxes([0.1, 0.1, 0.2, NAN, 0.0]))
    with pytest.raises(WhyactError, match="no extent"):
        made(clips(), boxes=boxes([0.5, 0.1, 0.2, 0.4, 0.0]))
    with pytest.raises(WhyactError, match=r"class 2, but model\.spatial_graph\.kinds is 2"):
        made(clips(), boxes=boxes([0.1, 0.1, 0.2, 0.4, 2.0]))


def test_boxes_are_not_rounded_with_the_tokens() -> None:
    """In bf16 both sides of this box, 7 pixels wide in 1920, would be the same number."""
    thin = boxes([0.9043, 0.1, 0.9080, 0.9, 0.0])
    made = model()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = made(clips(), boxes=thin)
    exact = made(clips(), boxes=thin)
    torch.testing.assert_close(rounded.assignment.float(), exact.assignment, atol=0.005, rtol=0.01)


def test_dynamics_of_boxes_are_refused() -> None:
    config = ModelConfig(
        backbone=BackboneConfig(type="small", width=16),
        spatial_graph=SpatialGraphConfig(type="boxes", dynamics="region"),
    )
    with pytest.raises(WhyactError, match=r"dynamics is 'region', which boxes do not have"):
        build_model(config, classes=3)
