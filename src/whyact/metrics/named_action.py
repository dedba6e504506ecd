"""Does the explanation for a named action lie on the one who does it?"""

from __future__ import annotations

import torch
from torch import Tensor

from whyact.metrics.maps import check_pair

NAN = float("nan")


def actor_energy(heat: Tensor, masks: Tensor) -> Tensor:
    """Share of the heat on actors that lies on each of them, (A, A) in double precision.

    Heat on nobody does not count. Row i is the map for the action of actor i; the diagonal is the
    energy on the right actor over the energy on all of them. A row is NaN where its map lies on
    nobody, and so is an entry of an actor who is never seen.

    Args:
        heat: (A, T, H, W), non-negative, the map for each actor's action.
        masks: (A, T, H, W) of 0 and 1, without overlap.
    """
    energy = []
    for one in masks:
        values, inside = check_pair(heat, one.expand_as(heat))
        energy.append((values * inside).sum((1, 2, 3)))
    on_each = torch.stack(energy, 1)
    seen = masks.flatten(1).any(1)
    on_each = on_each.masked_fill(~seen, NAN)
    total = on_each.nansum(1, keepdim=True)
    return torch.where(total > 0, on_each / total.clamp_min(1e-300), NAN)


def right_actor(shares: Tensor) -> Tensor:
    """Mean over actors of the share on the right one, a scalar; NaN where none is defined.

    Args:
        shares: (A, A) of `actor_energy`.
    """
    return shares.diagonal().nanmean()


def right_actor_chance(masks: Tensor) -> Tensor:
    """What a constant map has for `right_actor`: the mean of the actors' shares of their area."""
    area = masks.flatten(1).double().sum(1)
    seen = area > 0
    return (area / area.sum().clamp_min(1))[seen].mean()


def swap_moves(shares: Tensor) -> Tensor:
    """Share of the pairs of actors where naming the one or the other moves the map between them.

    A pair is moved where actor i has more of the map for i than j has, and j more of the map for j.
    NaN where no pair is defined.

    Args:
        shares: (A, A) of `actor_energy`.
    """
    moved = []
    for i in range(len(shares)):
        for j in range(i + 1, len(shares)):
            gaps = torch.stack([shares[i, i] - shares[i, j], shares[j, j] - shares[j, i]])
            if not bool(gaps.isnan().any()):
                moved.append(float((gaps > 0).all()))
    return torch.tensor(moved).double().mean() if moved else torch.tensor(NAN).double()


def best_threshold(scores: Tensor, labels: Tensor) -> float:
    """The score that parts present from absent actions best, by balanced accuracy.

    Half way between two neighbouring scores; choose it on a validation split.

    Args:
        scores: (n, Y), each action asked by itself. labels: (n, Y) of 0 and 1, both of which occur.
    """
    order = scores.flatten().argsort()
    ranked, truth = scores.flatten()[order].double(), labels.flatten()[order].bool()
    # With the bar above the first k scores, k of them are said to be absent.
    absent_right = (~truth).cumsum(0) / (~truth).sum()
    present_wrong = truth.cumsum(0) / truth.sum()
    gain = absent_right - present_wrong
    gain[:-1][ranked[:-1] == ranked[1:]] = -1.0  # no bar parts equal scores
    k = int(gain.argmax())
    return float((ranked[k] + ranked[min(k + 1, len(ranked) - 1)]) / 2)
