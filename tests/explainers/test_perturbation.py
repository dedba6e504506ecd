"""Occlusion on a model that reads known pixels."""

import pytest
import torch
from torch import Tensor

from whyact.explainers.perturbation import Occlusion


def corner(x: Tensor) -> Tensor:
    """Class 0: the red of frames 0 and 1 in the upper left quarter; class 1: minus all of it."""
    return torch.stack([x[:, 0, :2, :4, :4].sum((1, 2, 3)), -x[:, 0].sum((1, 2, 3))], 1)


def test_the_drop_of_each_tube() -> None:
    x = torch.ones(2, 3, 4, 8, 8)
    x[1] *= 2
    sizes: list[int] = []

    def model(batch: Tensor) -> Tensor:
        sizes.append(len(batch))
        return corner(batch)

    explainer = Occlusion(model=model, tube=(2, 4, 4), fill="mean")
    first, second = explainer(x, torch.tensor([0, 0]))
    wanted = torch.zeros(4, 8, 8)
    wanted[:2, :4, :4] = 32 * (1 - 0.485)  # 32 red pixels go from 1 to the mean colour
    assert torch.allclose(first.heat, wanted, atol=1e-4)
    wanted[:2, :4, :4] = 32 * (2 - 0.485)
    assert torch.allclose(second.heat, wanted, atol=1e-4)
    assert first.score == 32 and first.method == "occlusion"
    # Two clips, eight tubes each, one pass for the target's score and one of Captum's own.
    assert sum(sizes) == 2 * (8 + 2) and max(sizes) <= 16


def test_evidence_against_a_class_is_no_heat() -> None:
    (one,) = Occlusion(model=corner, tube=(2, 4, 4), fill="mean")(
        torch.ones(1, 3, 4, 8, 8), torch.tensor([1])
    )
    assert float(one.heat.abs().max()) == 0


def test_overlapping_tubes_are_averaged_and_large_ones_cut() -> None:
    x = torch.ones(1, 3, 2, 8, 8)
    (one,) = Occlusion(model=corner, tube=(9, 8, 4), stride=(9, 8, 2), fill="mean")(
        x, torch.tensor([0])
    )
    # Tubes start at columns 0, 2 and 4: they cover 4, 2 and 0 of the 4 columns that count, of 8
    # pixels each (2 frames, 4 rows).
    drops = [k * 8 * (1 - 0.485) for k in (4, 2, 0)]
    columns = [drops[0]] * 2 + [(drops[0] + drops[1]) / 2] * 2
    columns += [(drops[1] + drops[2]) / 2] * 2 + [drops[2]] * 2
    assert one.heat[0, 0].tolist() == pytest.approx(columns, abs=1e-3)


def test_batch_size_changes_nothing() -> None:
    x = torch.rand(2, 3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    maps = [
        torch.stack([e.heat for e in Occlusion(model=corner, batch_size=n)(x)]) for n in (1, 7, 64)
    ]
    assert torch.allclose(maps[0], maps[1], atol=1e-5)
    assert torch.allclose(maps[0], maps[2], atol=1e-5)
