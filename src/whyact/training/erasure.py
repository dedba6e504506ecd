"""Erase from the codes what swapped actors and backgrounds change in them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor

from whyact.models.recognizer import ActionRecognizer
from whyact.objectives.foreground_paste import backgrounds, usable_rows
from whyact.ops.erasure import erasing
from whyact.ops.motion import foreground
from whyact.ops.paste import paste_foreground
from whyact.types import Batch, WhyactError

CLIPS = 1200
"""Of the training split, each of which is seen before two other backgrounds."""
TOGETHER = 32
"""Clips among which backgrounds are swapped, whatever a device can hold at once."""


@torch.no_grad()
def erase_swaps(
    model: ActionRecognizer, batches: Iterable[Batch], above: float, *, at_once: int = TOGETHER
) -> None:
    """Set what a model erases from its codes (`whyact.ops.erasure.erasing`).

    Every actor is pasted before the backgrounds of two other clips. What differs between the two
    action codes is nuisance, as the actor is the same; what differs between the nuisance codes of
    two actors before one background is action. No labels are read, and no true masks.

    Args:
        model: whose former erasure is forgotten; its mode is kept. batches: clips on its device;
            their foreground is found where they have none. above: of `erasing`.
        at_once: clips in a forward pass.

    Raises:
        WhyactError: too few clips with an actor that moves.
    """
    training = model.training
    model.eval().erase()
    codes: list[list[Tensor]] = [[], [], [], []]
    for batch in batches:
        if len(batch) == 0:
            continue
        if batch.foreground is None:
            batch = replace(batch, foreground=foreground(batch.video))
        for kept, made in zip(
            codes, _swapped(model, batch, at_once), strict=False
        ):  # or there are none
            kept.append(made)
    model.train(training)
    found = [torch.cat(c) if c else torch.zeros(0, 1) for c in codes]
    width = found[0].shape[1]
    if len(found[0]) < 2 * width:
        raise WhyactError(
            f"training.erase_above compares codes of {width} features before swapped backgrounds "
            f"and needs {2 * width} clips with an actor that moves, but {len(found[0])} of the "
            "training split have one; set it to 1."
        )
    model.erase(erasing(found[0], found[1], above=above), erasing(found[2], found[3], above=above))


def _swapped(model: ActionRecognizer, batch: Batch, at_once: int) -> list[Tensor]:
    """Action codes of each actor before two backgrounds, nuisance codes of two actors before each.

    Two of each, (n, C), for the n clips whose actor can be pasted; none where that is fewer than 3.
    """
    assert batch.foreground is not None
    actors = (batch.foreground > 0.5).to(batch.video)  # hard, as in training
    rows = usable_rows(actors)
    if len(rows) < 3:
        return []
    video, mask = batch.video[rows], actors[rows]
    behind = backgrounds(batch, actors, rows)
    action, nuisance = [], []
    for turn in (1, 2):
        pasted = paste_foreground(video, mask, behind.roll(-turn, 0))
        made = [model(part) for part in pasted.split(at_once)]
        action.append(torch.cat([o.mean_code(o.action_code) for o in made]))
        nuisance.append(torch.cat([o.mean_code(o.nuisance_code) for o in made]))
    # Background i is behind actor i - 1 at the first turn, and behind i - 2 at the second.
    return [*action, nuisance[0].roll(1, 0), nuisance[1].roll(2, 0)]
