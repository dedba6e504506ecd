"""The native explanation: what an additive model says of itself, followed back to its tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from whyact.explainers.base import check_clips, choose_targets, picked
from whyact.explainers.paths import strongest_path
from whyact.types import ActionOutput, Explanation, WhyactError

LEAST_DROP = 0.05
"""Of a logit: odds that change by a twentieth."""
TOLERANCE = 1e-4


def check_completeness(output: ActionOutput, tolerance: float = TOLERANCE) -> float:
    """Largest gap between a logit and its contributions plus bias, over the batch.

    Raises:
        WhyactError: the gap is above ``tolerance`` (relative to logits larger than 1), so the
            contributions do not explain the logit.
    """
    gap = (output.contributions.double().sum((1, 2)) + output.bias.double()) - output.logits
    worst = float((gap.abs() / output.logits.abs().clamp_min(1)).max())
    if not worst <= tolerance:  # so that NaN fails too
        raise WhyactError(
            f"Contributions miss the logit by {worst:.2e}, more than {tolerance:.0e}; the model's "
            "output is not additive (mixed precision? run the explanation in float32)."
        )
    return worst


@dataclass(frozen=True)
class Cells:
    """What every cell of the backbone's grid gave to a logit.

    Attributes:
        contributions: (B, T', h, w), signed; adds up to the logit without its bias.
        constant: (B,), the remainder of it that no cell gave: biases, prompts, and whatever is not
            linear with its gates held (an LSTM). It is in the contributions too, see `follow`.
    """

    contributions: Tensor
    constant: Tensor

    def heat(self, size: Sequence[int]) -> Tensor:
        """Heat (B, T, H, W) of clips of ``size`` (T, H, W): the positive part, with its sum."""
        return upsample(self.contributions.relu(), size)


def follow(output: ActionOutput, targets: Tensor) -> Cells:
    """Follow logits back to the cells that they came from.

    The part of a cell is its token times the logit's gradient with all gates held, which is what
    went from there through regions, edges and codes into the logit, whenever the head read it: who
    bends down has not yet shown whether it is to sit or to pick up, but without those frames the
    later ones prove nothing. What constants gave goes to cells as the regions that they are in
    contribute.

    Args:
        output: of B clips, as `whyact.models.recognizer.VideoModel.trace` made it.
        targets: (B,) class indices.

    Raises:
        WhyactError: the output was not traced, or is a part or a copy of one that was.
    """
    # Gates are held, and nothing was cut out, where the tokens are a leaf.
    if not (output.tokens.requires_grad and output.tokens.is_leaf):
        raise WhyactError(
            "This output cannot be followed back to its cells; make it with "
            "model(clips, traced=True) or model.trace of tokens, and pass it on as a whole."
        )
    gradient = torch.zeros_like(output.tokens)
    if output.logits.requires_grad:
        wanted = F.one_hot(targets, output.logits.shape[1]).to(output.logits)
        (gradient,) = torch.autograd.grad(
            output.logits, output.tokens, wanted, retain_graph=True, materialize_grads=True
        )
    with torch.no_grad():
        cells = (gradient * output.tokens).sum(-1)
        constant = picked(output.logits, targets) - output.bias[targets] - cells.sum((1, 2))
        rows = torch.arange(len(targets), device=targets.device)
        where = output.over_cells(output.contributions[rows, :, :, targets].abs()) + 1e-12
        cells = cells + constant[:, None, None] * where / where.sum((1, 2), keepdim=True)
        return Cells(cells.unflatten(-1, output.grid), constant)


def upsample(cells: Tensor, size: Sequence[int]) -> Tensor:
    """Heat (B, T, H, W) from cells (B, T', h, w), trilinear, with the same sum for every clip."""
    heat = F.interpolate(cells.unsqueeze(1), tuple(size), mode="trilinear").squeeze(1).clamp_min(0)
    total = cells.sum((1, 2, 3), keepdim=True)
    return heat * total / heat.sum((1, 2, 3), keepdim=True).clamp_min(1e-12)


def explain_output(
    output: ActionOutput,
    size: Sequence[int],
    targets: Tensor | None = None,
    *,
    path_length: int = 2,
) -> list[Explanation]:
    """Explain clips from one forward pass; it costs no other, only gradients of the tokens.

    Args:
        output: of B clips, traced (`follow`).
        size: (T, H, W) of the clips, which the heat maps get.
        targets: (B,) classes to explain; the predicted ones if None.
        path_length: edges of the reasoning path; the graph's rounds of messages.

    Raises:
        WhyactError: the contributions do not add up to the logit, or the output was not traced.
    """
    targets = choose_targets(output.logits, targets)
    followed = follow(output, targets)
    cells, constant = followed.contributions.cpu(), followed.constant.tolist()
    heat = followed.heat(size).cpu()
    output = output.detach().cpu()
    explanations = []
    for b, target in enumerate(targets.tolist()):
        one = output.rows(b, b + 1)
        gap = check_completeness(one)
        contributions = one.contributions[0, :, :, target]
        explanations.append(
            Explanation(
                method="native",
                target=target,
                heat=heat[b],
                score=float(one.logits[0, target]),
                frame_evidence=one.frame_logits[0, :, target],
                contributions=contributions,
                bias=float(one.bias[target]),
                cells=cells[b],
                assignment=one.assignment[0].reshape(*contributions.shape, *one.grid),
                prompt_weights=one.prompt_weights[0],
                path=strongest_path(one, contributions, length=path_length),
                extra={
                    "completeness_gap": gap,
                    "constant": constant[b],
                    "region_weights": one.region_weights[0].tolist(),
                },
            )
        )
    return explanations


class Native:
    """The native explanation behind the interface of all explainers.

    Args:
        model: maps clips (B, 3, T, H, W) in [0, 1] and ``traced=True`` to an `ActionOutput`, as
            `whyact.models.recognizer.VideoModel.forward` does.
        path_length: as in `explain_output`.
    """

    name = "native"

    def __init__(self, *, model: Callable[..., ActionOutput], path_length: int = 2) -> None:
        self.model, self.path_length = model, path_length

    @torch.no_grad()
    def __call__(self, clips: Tensor, targets: Tensor | None = None) -> list[Explanation]:
        """One forward pass, and a backward pass down to the backbone's tokens.

        Arguments as in `whyact.explainers.base.Explainer`.
        """
        check_clips(clips)
        output = self.model(clips, traced=True)
        return explain_output(output, clips.shape[2:], targets, path_length=self.path_length)


def region_tracks(explanation: Explanation) -> list[dict[str, object]]:
    """Where each region is over time; a region's number is its identity in every frame.

    Returns:
        For each region ``region``, ``contribution`` (summed over time), and per time step ``x`` and
        ``y`` of its mass centre in [0, 1] of the frame, ``extent`` (share of the cells) and
        ``weight`` (how much the head listens to it; 1 over regions and time; empty where the
        explanation does not hold it).
    """
    assignment = explanation.assignment
    _, regions, h, w = assignment.shape
    mass = assignment.sum((-1, -2)).clamp_min(1e-8)
    x = (torch.arange(w) + 0.5) / w
    y = (torch.arange(h) + 0.5) / h
    centre_x = (assignment * x).sum((-1, -2)) / mass
    centre_y = (assignment * y[:, None]).sum((-1, -2)) / mass
    weights = explanation.extra.get("region_weights", [])
    return [
        {
            "region": k,
            "contribution": float(explanation.contributions[:, k].sum()),
            "x": centre_x[:, k].tolist(),
            "y": centre_y[:, k].tolist(),
            "extent": (mass[:, k] / (h * w)).tolist(),
            "weight": [row[k] for row in weights],
        }
        for k in range(regions)
    ]


def action_share(scores: Sequence[float]) -> float | None:
    """Share of the decision that came from the actor rather than from the scene.

    Args:
        scores: logits of the clip as it is, with the actor filled in, with the background filled
            in.

    Returns:
        Drop without the actor over the sum of both drops, in [0, 1]; None where they add up to less
        than `LEAST_DROP`, of which no share means anything.
    """
    original, without_actor, without_background = scores
    actor, background = max(0.0, original - without_actor), max(0.0, original - without_background)
    return actor / (actor + background) if actor + background > LEAST_DROP else None
