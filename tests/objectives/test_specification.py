"""Drawing wishes, and the objectives of the two parts, against answers derived by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from tests.toys import toy_batch, toy_output
from torch import Tensor
from torch.nn import functional as F

from whyact.objectives.set import ObjectiveSet
from whyact.objectives.specification import (
    PartDecorrelation,
    PartReconstruction,
    SpecifiedActions,
    draw_specification,
    overlap,
)
from whyact.types import ActionOutput, Batch, WhyactError


def asked(output: ActionOutput, **parts: Tensor) -> dict[str, ActionOutput]:
    return {"clip": replace(output, parts=parts)}


def labelled(label: list[list[float]]) -> Batch:
    return replace(toy_batch(count=len(label)), label=torch.tensor(label))


def test_wishes_are_of_all_kinds_and_a_wanted_class_is_present_as_often_as_not() -> None:
    generator = torch.Generator().manual_seed(0)
    label = torch.zeros(4000, 6)
    label[:, :2] = 1
    wish = draw_specification(label, generator)
    sizes = wish.sum(1)
    assert 0.15 < (sizes == 0).float().mean() < 0.25 and 0.15 < (sizes == 6).float().mean() < 0.25
    chosen = wish[(sizes > 0) & (sizes < 6)]
    right = (chosen * label[0]).sum() / chosen.sum()
    assert abs(float(right) - 0.5) < 0.03
    present, absent = chosen[:, :2].sum(1), chosen[:, 2:].sum(1)
    kinds = {(int(a > 0), int(b > 0)) for a, b in zip(present, absent, strict=True)}
    assert kinds == {(1, 0), (0, 1), (1, 1)}
    assert {int(s) for s in chosen.sum(1)} == {1, 2, 4}


def test_wishes_come_from_the_generator_and_change_with_it() -> None:
    label = torch.eye(5)
    first = draw_specification(label, torch.Generator().manual_seed(1))
    assert torch.equal(first, draw_specification(label, torch.Generator().manual_seed(1)))
    assert not torch.equal(first, draw_specification(label, torch.Generator().manual_seed(2)))


def test_each_part_is_told_its_own_actions_and_every_class_alone_whether_it_is_there() -> None:
    logits = torch.tensor([[[2.0, -1.0, 0.5], [0.3, 1.0, -2.0]]])
    alone = torch.tensor([[0.7, -0.2, 3.0]])
    wish = torch.tensor([[1.0, 0.0, 1.0]])
    batch = labelled([[1.0, 1.0, 0.0]])
    outputs = asked(toy_output(count=1), logits=logits, specification=wish, alone=alone)
    value = SpecifiedActions().loss(outputs, batch, {})
    told = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    parts = F.binary_cross_entropy_with_logits(logits, told)
    each = F.binary_cross_entropy_with_logits(alone, batch.label)
    torch.testing.assert_close(value, (parts + each) / 2)


def test_overlap_is_the_squared_cosine_of_one_direction_without_a_dead_zone() -> None:
    first = torch.tensor([[[1.0], [0.0]]], requires_grad=True)
    second = torch.tensor([[[0.39], [math.sqrt(1 - 0.39**2)]]])
    value = overlap(first, second)
    torch.testing.assert_close(value, torch.tensor([0.39**2]))
    value.sum().backward()
    assert first.grad is not None and float(first.grad.abs().max()) > 0.1


@pytest.mark.parametrize("scale", [1e-3, 1.0, 100.0])
def test_overlap_of_equal_codes_is_one_of_disjoint_ones_none_at_any_scale(scale: float) -> None:
    one = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    torch.testing.assert_close(overlap(one, scale * one), torch.ones(1))
    other = torch.tensor([[[0.0, 0.0], [1.0, 0.0]]])  # the same direction, in another region
    assert float(overlap(one, scale * other)) == 0


def test_decorrelation_counts_clips_with_two_parts_and_real_nodes_only() -> None:
    same = torch.ones(3, 4, 2, 3)
    wish = torch.tensor([[1.0, 0, 0], [0, 0, 0], [1, 1, 1]])
    other = same.clone()
    other[0, :, 1] = 50.0  # padding of the first clip; the others have one part only
    other[1:] = 7.0
    mask = torch.ones(3, 4, 2, dtype=torch.bool)
    mask[0, :, 1] = False
    output = replace(toy_output(count=3), node_mask=mask)
    outputs = asked(output, specified=same, remaining=other, specification=wish)
    batch = labelled([[1.0, 0, 0]] * 3)
    torch.testing.assert_close(PartDecorrelation().loss(outputs, batch, {}), torch.tensor(1.0))
    first = same.clone()
    first[0, :2], other[0, 2:, 0], other[0, :2, 0] = 0.0, 0.0, 1.0
    outputs = asked(output, specified=first, remaining=other, specification=wish)
    assert float(PartDecorrelation().loss(outputs, batch, {})) == 0
    outputs = asked(output, specified=first, remaining=other, specification=wish[1:2].expand(3, 3))
    assert float(PartDecorrelation().loss(outputs, batch, {})) == 0


def test_reconstruction_is_relative_to_the_clip_s_variance() -> None:
    code = torch.tensor([1.0, -1.0]).view(1, 1, 2, 1)
    output = toy_output(count=1, frames=1, width=1, action_code=code)
    batch = labelled([[1.0, 0, 0]])
    for rebuilt, expected in ((code, 0.0), (torch.zeros_like(code), 1.0), (code + 2, 4.0)):
        value = PartReconstruction().loss(asked(output, rebuilt=rebuilt), batch, {})
        torch.testing.assert_close(value, torch.tensor(1 + expected).log())


def test_the_set_asks_the_model_anew_in_every_step() -> None:
    wishes: list[Tensor] = []

    def network(video: Tensor, specification: Tensor) -> ActionOutput:
        wishes.append(specification)
        output = toy_output(count=len(video))
        count = len(video)
        said = {"logits": torch.zeros(count, 2, 3), "alone": torch.zeros(count, 3)}
        return replace(output, parts={**said, "specification": specification})

    batch = labelled([[1.0, 0, 0], [0, 1, 1], [1, 1, 0], [0, 0, 0]])
    objectives = ObjectiveSet(terms=[(SpecifiedActions(), 1.0)])
    for seed in (0, 1):
        _, terms, _ = objectives(network, batch, torch.Generator().manual_seed(seed))
        torch.testing.assert_close(terms["specification"], torch.tensor(math.log(2)))
    assert wishes[0].shape == (4, 3) and not torch.equal(wishes[0], wishes[1])


def test_what_is_missing_is_named() -> None:
    batch = labelled([[1.0, 0, 0]])
    with pytest.raises(WhyactError, match=r"model\.specification\.type to split"):
        SpecifiedActions().loss({"clip": toy_output(count=1)}, batch, {})
    with pytest.raises(WhyactError, match=r"multi-hot labels.*data.join"):
        SpecifiedActions().specification(torch.tensor([1]), torch.Generator())
