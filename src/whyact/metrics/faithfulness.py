"""Faithfulness: does the score fall when what a heat map points at is taken away?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from whyact.metrics.maps import check_heat
from whyact.ops.draw import clip_generators, clip_rand
from whyact.ops.fill import Fill, filling
from whyact.types import WhyactError

_MASKED_FILLS = ("frame", "plate")
"""Fill-ins that depend on what is masked, so they are made anew for every step."""


@dataclass(frozen=True)
class Curves:
    """Probability of the explained class along deletion and insertion.

    Attributes:
        fill: what replaces the tubes.
        fractions: (S + 1,) of tubes deleted or inserted, from 0 to 1.
        deletion, insertion: (B, S + 1).
    """

    fill: str
    fractions: Tensor
    deletion: Tensor
    insertion: Tensor

    @property
    def deletion_auc(self) -> Tensor:
        """(B,), area under the deletion curve; lower is better."""
        return torch.trapezoid(self.deletion, self.fractions)

    @property
    def insertion_auc(self) -> Tensor:
        """(B,), area under the insertion curve; higher is better."""
        return torch.trapezoid(self.insertion, self.fractions)


def tube_ranks(heat: Tensor, tube: tuple[int, int, int], clips: Tensor, seed: int = 0) -> Tensor:
    """Rank of every space-time tube by its mean heat, 0 for the hottest.

    Ties are broken at random, by a permutation of each clip's own; in raster order a constant map
    would delete the clip from the top, and one order for all clips would be good or bad luck that
    no interval over clips knows of.

    Args:
        heat: (B, T, H, W). tube: (frames, height, width); tubes at the far ends may be cut.
        clips: (B, 3, T, H, W), whose pixels draw the permutations. seed: of them.

    Returns:
        (B, T', H', W') int64.
    """
    means = F.avg_pool3d(
        check_heat(heat)[:, None], fitting(tube, heat.shape[1:]), ceil_mode=True,
        count_include_pad=False,
    )[:, 0]  # fmt: skip
    flat = means.flatten(1)
    draws = [torch.randperm(flat.shape[1], generator=g) for g in clip_generators(clips, seed)]
    order = torch.stack(draws).to(flat.device)
    best = flat.gather(1, order).argsort(dim=1, descending=True, stable=True)
    ranks = torch.empty_like(best)
    places = torch.arange(flat.shape[1]).to(best).expand_as(best)
    ranks.scatter_(1, order.gather(1, best), places)
    return ranks.view(means.shape)


def fitting(tube: tuple[int, int, int], size: Sequence[int]) -> tuple[int, int, int]:
    """A tube that is no longer than clips (T, H, W) in any direction."""
    t, h, w = (min(a, b) for a, b in zip(tube, size, strict=True))
    return t, h, w


@dataclass(frozen=True)
class Ends:
    """What the curves of all maps of the same clips share.

    Attributes:
        filling: (B, 3, T, H, W) in place of tubes; None where it depends on what is masked.
        scores: (B, 2) of the whole clip and of the empty one.
    """

    filling: Tensor | None
    scores: Tensor


@torch.no_grad()
def deletion_insertion(
    score: Callable[[Tensor], Tensor],
    clips: Tensor,
    heat: Tensor,
    targets: Tensor,
    *,
    fills: Sequence[Fill] = ("blur", "mean"),
    tube: tuple[int, int, int] = (2, 8, 8),
    steps: int = 16,
    batch_size: int = 32,
    seed: int = 0,
    ends: dict[Fill, Ends] | None = None,
) -> list[Curves]:
    """Remove the hottest tubes first, and add them first to an empty clip (Petsiuk et al., 2018).

    What is filled in leaves the data's distribution in a way of its own, so at least two fill-ins
    are asked for, and the values mean something only beside those of the controls. Space-time tubes
    instead of pixels keep the edges of the fill-in few. Every fill-in costs ``2 * steps`` forward
    passes a clip; whole clip and empty clip are run once for both curves.

    Args:
        score: maps clips (n, 3, T, H, W) to probabilities (n, Y).
        clips: (B, 3, T, H, W). heat: (B, T, H, W). targets: (B,) class indices.
        fills: names of `whyact.ops.fill.filling`. tube: (frames, height, width).
        steps: S. batch_size: clips a forward pass; it does not change results.
        seed: for ties between tubes.
        ends: by fill-in, of the same clips, classes and scores; what is missing is made and added.
            The next map then costs ``2 * (steps - 1)`` passes a fill-in.

    Returns:
        The curves of each fill-in.

    Raises:
        WhyactError: fewer than two fill-ins, fewer tubes than steps, or shapes that do not match.
    """
    if len(set(fills)) < 2:
        raise WhyactError(
            f"Deletion and insertion need at least two fill-ins, got {list(fills)}; with one, its "
            "artefacts cannot be told from evidence."
        )
    check_clips_and_heat(clips, heat, targets)
    ranks = tube_ranks(heat.to(clips.device), tube, clips, seed)
    tubes, ends = ranks[0].numel(), {} if ends is None else ends
    if not 1 <= steps <= tubes:
        raise WhyactError(
            f"steps must be 1 to the number of tubes ({tubes}), got {steps}; take smaller tubes."
        )
    counts = (torch.arange(steps + 1, device=clips.device) * tubes).div(steps).round().long()
    middle = [int(c) for c in counts[1:-1]]
    # Tubes whose rank is in [low, high) are filled; the last deletion is the first insertion.
    inner = [(0, c) for c in middle] + [(c, tubes) for c in middle]
    made = []
    for fill in fills:
        outer = [] if fill in ends else [(0, 0), (0, tubes)]
        fixed = ends[fill].filling if fill in ends else _fixed(clips, fill)
        found = _scores(
            score, clips, ranks, targets, outer + inner, fill, fixed, tube, batch_size
        )  # fmt: skip
        if outer:
            ends[fill] = Ends(fixed, found[:, :2])
        whole, empty = ends[fill].scores.split(1, dim=1)
        between = found[:, len(outer) :]
        deletion = torch.cat([whole, between[:, : steps - 1], empty], 1)
        insertion = torch.cat([empty, between[:, steps - 1 :], whole], 1)
        made.append(Curves(fill, (counts / tubes).double(), deletion, insertion))
    return made


def _fixed(clips: Tensor, fill: Fill) -> Tensor | None:
    """What takes the place of tubes, (B, 3, T, H, W), or None where it depends on which go."""
    if fill in _MASKED_FILLS:
        return None
    if fill == "noise":  # each clip's own, whatever it is measured with
        return clip_rand(clip_generators(clips), clips.shape[1:], clips)
    return filling(clips, torch.ones_like(clips[:, 0]), fill)


def _scores(
    score: Callable[[Tensor], Tensor], clips: Tensor, ranks: Tensor, targets: Tensor,
    bounds: Sequence[tuple[int, int]], fill: Fill, fixed: Tensor | None,
    tube: tuple[int, int, int], batch_size: int,
) -> Tensor:  # fmt: skip
    """Scores (B, n) of the clips without the tubes whose rank is in [low, high), n such bounds."""
    found = [clips.new_zeros(0)]
    for rows, masks in cuts(clips, ranks, bounds, tube=tube, batch_size=batch_size):
        video = clips[rows]
        new = filling(video, masks, fill) if fixed is None else fixed[rows]
        edited = torch.lerp(video, new, masks[:, None])
        found.append(score(edited).gather(1, targets.to(clips.device)[rows, None]).squeeze(1))
    return torch.cat(found).double().view(len(clips), len(bounds))


def cuts(
    clips: Tensor, ranks: Tensor, bounds: Sequence[tuple[int, int]], *,
    tube: tuple[int, int, int], batch_size: int,
) -> Iterator[tuple[Tensor, Tensor]]:  # fmt: skip
    """Batches of n clips with the tubes whose rank is in [low, high), for each clip all bounds.

    Args:
        clips: (B, 3, T, H, W). ranks: (B, T', H', W'), see `tube_ranks`. bounds: (low, high) each.

    Yields:
        Rows of the clips (n,), and the tubes as pixels (n, T, H, W).
    """
    jobs = [(b, bound) for b in range(len(clips)) for bound in bounds]
    for start in range(0, len(jobs), batch_size):
        part = jobs[start : start + batch_size]
        rows = torch.tensor([b for b, _ in part], device=clips.device)
        low, high = torch.tensor([r for _, r in part], device=clips.device).T[..., None, None, None]
        yield rows, enlarge((ranks[rows] >= low) & (ranks[rows] < high), tube, clips)


def check_clips_and_heat(clips: Tensor, heat: Tensor, targets: Tensor) -> None:
    """Raise `WhyactError` unless clips, heat maps and target classes are of the same clips."""
    if heat.shape != clips[:, 0].shape or targets.shape != clips.shape[:1]:
        raise WhyactError(
            f"Clips {tuple(clips.shape)}, heat maps {tuple(heat.shape)} and targets "
            f"{tuple(targets.shape)} do not belong together."
        )


def enlarge(tubes: Tensor, tube: tuple[int, int, int], clips: Tensor) -> Tensor:
    """Tubes (n, T', H', W') as pixels (n, T, H, W) of the clips' type, cut to their size."""
    for axis, length in enumerate(tube, start=1):
        tubes = tubes.repeat_interleave(length, axis)
    t, h, w = clips.shape[2:]
    return tubes[:, :t, :h, :w].to(clips)
