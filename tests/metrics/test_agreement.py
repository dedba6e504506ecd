"""Agreement with Quantus and Captum where those are right for clips, and where they are not.

Quantus refuses maps of clips, so they go in as tall images, frame below frame.
"""

import math

import numpy as np
import pytest
import torch
from captum.metrics import infidelity as captum_infidelity
from captum.metrics import sensitivity_max
from torch import Tensor, nn

from whyact.metrics.focus import normalised_entropy
from whyact.metrics.infidelity import Perturbations, infidelity
from whyact.metrics.localisation import (
    area_share,
    energy_pointing,
    pointing_game,
    rank_accuracy,
)
from whyact.metrics.robustness import max_sensitivity, neighbours

quantus = pytest.importorskip("quantus")


def maps() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    heat = torch.rand(3, 2, 8, 8, generator=generator).double()
    return heat, torch.rand(3, 2, 8, 8, generator=generator) < 0.3


class Any(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :2]


def theirs(metric: str, heat: Tensor, mask: Tensor) -> list[float]:
    tall = (len(heat), 1, 16, 8)
    made = getattr(quantus, metric)(abs=False, normalise=False, disable_warnings=True)
    found = made(
        model=Any(), x_batch=np.zeros((len(heat), 3, 16, 8), np.float32),
        y_batch=np.zeros(len(heat), int), a_batch=heat.reshape(tall).numpy(),
        s_batch=mask.reshape(tall).numpy().astype(float), device="cpu",
    )  # fmt: skip
    return [float(v) for v in found]


def test_rank_mass_and_entropy_agree_with_quantus() -> None:
    heat, mask = maps()
    chance = area_share(mask)  # we take it off
    ours = (rank_accuracy(heat, mask) + chance).tolist()
    assert ours == pytest.approx(theirs("RelevanceRankAccuracy", heat, mask), abs=1e-4)
    ours = (energy_pointing(heat, mask) + chance).tolist()
    assert ours == pytest.approx(theirs("RelevanceMassAccuracy", heat, mask), abs=1e-4)
    ours = (normalised_entropy(heat) * math.log(heat[0].numel())).tolist()
    assert ours == pytest.approx(theirs("Complexity", heat, mask), abs=1e-4)


def test_quantus_refuses_maps_of_clips() -> None:
    heat, mask = maps()
    with pytest.raises(ValueError, match="Only batched 1D and 2D"):
        quantus.RelevanceRankAccuracy(abs=False, normalise=False, disable_warnings=True)(
            model=Any(), x_batch=np.zeros((3, 3, 2, 8, 8), np.float32), y_batch=np.zeros(3, int),
            a_batch=heat[:, None].numpy(), s_batch=mask[:, None].numpy().astype(float),
            device="cpu",
        )  # fmt: skip


def test_quantus_points_once_a_clip_and_counts_ties_as_hits() -> None:
    heat, mask = maps()
    heat[0] = 0  # an empty map: all tie
    mask[0] = False
    mask[0, :, 0, 0] = True
    heat[1], mask[1] = 0.1, False
    heat[1, 0, 0, 0], mask[1, 0, 0, 0] = 1.0, True  # the first frame hits
    heat[1, 1, 5, 5], mask[1, 1, 0, 0] = 0.5, True  # the second one misses
    assert theirs("PointingGame", heat, mask)[:2] == [1, 1]
    assert pointing_game(heat, mask)[:2].tolist() == [0, 0.5]


def test_max_sensitivity_agrees_with_captum() -> None:
    """Given the same neighbours, one clip at a time, and maps in a tuple."""
    clips = 0.2 + 0.6 * torch.rand(2, 3, 2, 4, 4, generator=torch.Generator().manual_seed(0))

    def attribute(x: Tensor) -> Tensor:
        return x.square().mean(1)

    ours = max_sensitivity(attribute, clips, radius=0.05, samples=3)
    for b in range(2):
        one = clips[b : b + 1]
        near = torch.cat(neighbours(one, radius=0.05, samples=3))

        def told(wrap: bool, one: Tensor = one, near: Tensor = near) -> float:
            def maps(x: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor]:
                heat = attribute(x[0] if isinstance(x, tuple) else x)[:, None]
                return (heat,) if wrap else heat

            return float(sensitivity_max(maps, one, lambda x, r: near, n_perturb_samples=3))

        assert told(True) == pytest.approx(float(ours[b]), abs=1e-4)
        # The known disagreement: a bare tensor is taken apart along its first axis, and every
        # neighbour counts three times.
        assert told(False) == pytest.approx(3**0.5 * float(ours[b]), abs=1e-4)


def test_infidelity_agrees_with_captum_up_to_its_units() -> None:
    """Captum's value over the mean square drop is ours, where the best scale of the map is 1."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.rand(1, 2, 4, 4, generator=generator)

    def model(x: Tensor) -> Tensor:
        return (x[:, 0] * weight).sum((1, 2, 3))[:, None] + 0.1 * x[:, 0, :1, :1, :1].flatten(1)

    clip = torch.ones(1, 3, 2, 4, 4)
    parts = torch.rand(12, 2, 2, 2, generator=generator) < 0.4
    masks = parts.repeat_interleave(2, 2).repeat_interleave(2, 3).float()
    edited = clip * (1 - masks[:, None])
    drops = (model(clip) - model(edited))[:, 0][None].double()
    heat = weight.clone()
    told = torch.einsum("bthw,nthw->bn", heat.double(), masks.double())
    heat = heat * float((told * drops).sum() / told.square().sum())  # the best scale
    step = [0]

    def perturb(x: Tensor) -> tuple[Tensor, Tensor]:
        i = step[0] % 12
        step[0] += 1
        move = masks[i].expand(1, 3, 2, 4, 4)
        return move, x - move

    attribution = torch.cat([heat[:, None], torch.zeros(1, 2, 2, 4, 4)], 1)
    value = captum_infidelity(
        model, perturb, clip, attribution, n_perturb_samples=12, max_examples_per_batch=1,
        target=0,
    )  # fmt: skip
    ours = infidelity(heat, Perturbations(parts, drops, (1, 2, 2)))
    assert float(ours) == pytest.approx(float(value / drops.square().mean()), abs=1e-4)
    # The known disagreement: in other units Captum's value is another one.
    step[0] = 0
    other = captum_infidelity(
        model, perturb, clip, 3 * attribution, n_perturb_samples=12, max_examples_per_batch=1,
        target=0,
    )  # fmt: skip
    assert float(other) > 10 * float(value)
    assert float(infidelity(3 * heat, Perturbations(parts, drops, (1, 2, 2)))) == pytest.approx(
        float(ours), rel=1e-3
    )
