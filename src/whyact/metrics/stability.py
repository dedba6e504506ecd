"""Stability over time: of maps, along the optical flow, and of the model's codes and regions."""

from __future__ import annotations

import torch
from torch import Tensor

from whyact.metrics.maps import check_heat, correlation
from whyact.ops.flow import optical_flow, warp
from whyact.types import WhyactError


def backward_flow(clips: Tensor) -> Tensor:
    """Where every pixel of a frame lies in the frame before, (B, T - 1, 2, H, W).

    Args:
        clips: (B, 3, T, H, W), RGB in [0, 1]. See `whyact.ops.flow.optical_flow`.
    """
    b, _, t, h, w = clips.shape
    if t < 2:
        return clips.new_zeros(b, 0, 2, h, w)
    frames = clips.transpose(1, 2)
    first, second = frames[:, 1:].flatten(0, 1), frames[:, :-1].flatten(0, 1)
    return optical_flow(first, second).unflatten(0, (b, t - 1))


def temporal_stability(heat: Tensor, flow: Tensor) -> Tensor:
    """Mean over frames of the correlation of a map with the map before, moved along, (B,).

    ``corr(A[t + 1], A[t] warped by the flow)`` over the pixels whose origin lies inside the frame.
    In [-1, 1]; higher is better, but a map that is fixed in place scores near 1 where little moves:
    always read it beside deletion. A pair of frames with a constant map has no correlation and does
    not count; a clip without any pair that does is NaN.

    Args:
        heat: (B, T, H, W). flow: (B, T - 1, 2, H, W) of the clips, see `backward_flow`.

    Raises:
        WhyactError: as `whyact.metrics.maps.check_heat`, or a flow of other clips.
    """
    heat = check_heat(heat)
    b, t, h, w = heat.shape
    if flow.shape != (b, t - 1, 2, h, w):
        raise WhyactError(
            f"Expected the flow ({b}, {t - 1}, 2, {h}, {w}) of heat maps {tuple(heat.shape)}, got "
            f"{tuple(flow.shape)}."
        )
    if t < 2:
        return heat.new_full((b,), float("nan"))
    before, seen = warp(heat[:, :-1].reshape(-1, 1, h, w), flow.flatten(0, 1).to(heat))
    after = heat[:, 1:].reshape(-1, h * w)
    values = _correlation_inside(before.flatten(1), after, seen.flatten(1))
    return torch.nanmean(values.view(b, t - 1), 1)


def _correlation_inside(first: Tensor, second: Tensor, seen: Tensor) -> Tensor:
    """Correlation over the cells that are seen, of rows (n, cells)."""
    count = seen.sum(1, keepdim=True).clamp_min(1)
    # A cell at the mean of the others adds nothing to a correlation.
    filled = [
        torch.where(seen, x, (x * seen).sum(1, keepdim=True) / count) for x in (first, second)
    ]
    flat = [(x.amax(1) - x.amin(1)) <= 1e-9 * x.abs().amax(1) for x in filled]
    value = correlation(filled[0], filled[1])
    return value.masked_fill(flat[0] | flat[1], float("nan"))


def factor_stability(code: Tensor) -> Tensor:
    """Variance of a code between the frames of a clip, over that between clips, (n,).

    The code of a frame is the mean over its regions. Lower is more stable. A code that is constant
    everywhere is stable and empty: NaN, and otherwise always read it beside its accuracy.

    Args:
        code: (n, T', K, C) of all clips that are to be compared.
    """
    frames = code.double().mean(2)
    clips = frames.mean(1)
    between = (clips - clips.mean(0)).square().sum(1).mean()
    within = (frames - clips[:, None]).square().sum(2).mean(1)
    value = within / between.clamp_min(1e-300)
    return value.where(between > 1e-12 * frames.square().mean().clamp_min(1e-30), torch.nan)


def region_agreement(assignment: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Does the actor stay in the same region? And how well does that region fit the actor?

    In every frame the region with the largest overlap over union is the actor's.

    Args:
        assignment: (n, T', K, h, w), sums to one over K. mask: (n, T, H, W) of the actor, with
            T a multiple of T'.

    Returns:
        Share of neighbouring time steps with the same region (n,), and the mean overlap over union
        of each step's region (n,). Steps without an actor do not count; NaN where none does. A
        region that covers everything agrees with itself: its overlap tells.
    """
    steps, h, w = assignment.shape[1], *assignment.shape[-2:]
    cells = torch.nn.functional.adaptive_avg_pool3d(mask.double()[:, None], (steps, h, w))[:, 0]
    actor = cells[:, :, None]
    overlap = (assignment.double() * actor).sum((-1, -2))
    union = assignment.double().sum((-1, -2)) + actor.sum((-1, -2)) - overlap
    fit, best = (overlap / union.clamp_min(1e-12)).max(2)
    there = cells.sum((-1, -2)) > 0
    pairs = (there[:, 1:] & there[:, :-1]).double()
    same = (best[:, 1:] == best[:, :-1]).double()
    agreement = (same * pairs).sum(1) / pairs.sum(1)
    return agreement, (fit * there).sum(1) / there.double().sum(1)
