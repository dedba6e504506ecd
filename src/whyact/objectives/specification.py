"""Ask for some actions: the specified part tells them and no other, the remaining part the rest."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from whyact.objectives.base import Objective, View
from whyact.objectives.terms import label_loss, zero
from whyact.types import ActionOutput, Batch, WhyactError

KINDS = ("right", "wrong", "mixed", "empty", "full")


def draw_specification(label: Tensor, generator: torch.Generator) -> Tensor:
    """A wish for every clip, one of `KINDS` at random, (n, Y) of 0 and 1 on the label's device.

    ``right`` wants some of the clip's actions (any number from one to all), ``wrong`` as many that
    it does not hold, ``mixed`` both, ``empty`` none and ``full`` every class. So a class that is
    wanted is present as often as not in all kinds but the last, and the size of a wish tells
    nothing.

    Args:
        label: (n, Y) multi-hot. generator: on the CPU.
    """
    present = label.detach().cpu() > 0.5
    kind = torch.randint(len(KINDS), (len(present),), generator=generator)
    share = torch.rand(len(present), generator=generator)
    # A clip without any action can still be asked for one that is not there.
    count = (share * present.sum(1)).floor() + 1
    right = _some_of(present, count, generator)
    wrong = _some_of(~present, count, generator)
    choices = torch.stack(
        [right, wrong, right | wrong, torch.zeros_like(right), torch.ones_like(right)]
    )
    return choices[kind, torch.arange(len(kind))].to(label.device, torch.float32)


def _some_of(candidates: Tensor, count: Tensor, generator: torch.Generator) -> Tensor:
    """``count`` (n,) random ones of the candidates (n, Y) of each row, or all it has."""
    noise = torch.rand(candidates.shape, generator=generator).masked_fill(~candidates, -1.0)
    rank = noise.argsort(1, descending=True).argsort(1)
    return candidates & (rank < count[:, None])


class SpecifiedActions(Objective):
    """Asks with a fresh specification in every step, and supervises both parts of the graph.

    With the specification s and the labels y, the specified part has to say ``s * y`` and the
    remaining part ``(1 - s) * y``: binary cross-entropy over all classes, so that a part is told
    off for an action that it should have left to the other. To this comes the label-free protocol
    itself: every class asked for alone, the same list for every clip, against the labels. The
    unprompted scores are trained by ``deep_supervision``, which reads the whole graph.
    """

    name = "specification"

    def specification(self, label: Tensor, generator: torch.Generator) -> Tensor:
        """See `draw_specification`."""
        if label.ndim != 2:
            raise WhyactError(
                "objectives.specification needs multi-hot labels (B, Y), but they are "
                f"{tuple(label.shape)}: train on clips with several actions (Backdrop's multi "
                "or untrimmed splits, or data.join), or set it to 0."
            )
        return draw_specification(label, generator)

    def loss(
        self, outputs: Mapping[str, ActionOutput], batch: Batch, views: Mapping[str, View]
    ) -> Tensor:
        """Mean over clips and classes, half of both parts and half of every class alone."""
        parts = _parts(outputs["clip"])
        wish = parts["specification"]
        told = torch.stack([wish * batch.label, (1 - wish) * batch.label], 1)
        # Undefined labels stay undefined in both parts.
        told = told.masked_fill((batch.label < 0).unsqueeze(1), -1.0)
        both = label_loss(parts["logits"].flatten(0, 1), told.flatten(0, 1))
        return (both + label_loss(parts["alone"], batch.label)) / 2


class PartDecorrelation(Objective):
    """What is in the specified part is not in the remaining part.

    For every clip, with the codes of its real nodes in the rows of S and R (n, C):
    ``|S'R|^2 / (|S'S| |R'R|)`` (Frobenius norms), in [0, 1]: 1 for the same codes, 0 where no
    direction of one part occurs together with one of the other. It is linear CKA (Kornblith et al.,
    ICML 2019) without centring, because parts that own different regions are the wished-for case
    and their means alone would correlate. It falls with the square of the overlap, so there is no
    overlap without a gradient, and neither part can lower it by shrinking.

    Clips with an empty or a full wish have only one part and do not count.
    """

    name = "part_decorrelation"

    def loss(
        self, outputs: Mapping[str, ActionOutput], batch: Batch, views: Mapping[str, View]
    ) -> Tensor:
        """Mean over the clips with two parts; 0 without any."""
        output = outputs["clip"]
        parts = _parts(output)
        wish = parts["specification"]
        both = (wish.sum(1) > 0) & (wish < 1).any(1)
        if not bool(both.any()):
            return zero(output)
        first, second = (_nodes(output, parts[name])[both] for name in ("specified", "remaining"))
        return overlap(first, second).mean()


class PartReconstruction(Objective):
    """Both parts together still hold the scene: the nodes can be made again from their sum.

    As memberships add up to one, the sum is the nodes and, besides, what the specified part has
    heard. So no choice of regions can lose anything; what can is a message that drowns the node it
    comes to, and that is what this keeps small enough for a linear map to undo.

    ``log(1 + e)``, where e is the squared error over a clip's real nodes in units of their
    variance. The logarithm keeps clips whose nodes are nearly alike, and hence large e, from
    outweighing all else; its gradient is that of the error, never zero but at zero. What is to be
    made again is constant for the gradient; the nodes still get one through what it is made from.
    """

    name = "part_reconstruction"

    def loss(
        self, outputs: Mapping[str, ActionOutput], batch: Batch, views: Mapping[str, View]
    ) -> Tensor:
        """Mean over clips."""
        output = outputs["clip"]
        target = output.action_code.detach().float()
        error = _nodes(output, _parts(output)["rebuilt"] - target).square().sum((1, 2))
        centred = target - output.mean_code(target)[:, None, None]
        variance = _nodes(output, centred).square().sum((1, 2)).clamp_min(1e-6)
        return (error / variance).log1p().mean()


def overlap(first: Tensor, second: Tensor) -> Tensor:
    """See `PartDecorrelation`; (B,) of two sets of codes (B, n, C), rows of zeros do not count."""

    def norm(a: Tensor, b: Tensor) -> Tensor:
        return (a.transpose(1, 2) @ b).square().sum((1, 2))

    with torch.autocast(first.device.type, enabled=False):
        first, second = first.float(), second.float()
        own = (norm(first, first) * norm(second, second)).clamp_min(1e-12).sqrt()
        return norm(first, second) / own


def _nodes(output: ActionOutput, code: Tensor) -> Tensor:
    """Codes (B, T', K, C) as (B, T' K, C), zero for padding."""
    if output.node_mask.numel():
        code = code * output.node_mask.unsqueeze(-1)
    return code.flatten(1, 2)


def _parts(output: ActionOutput) -> dict[str, Tensor]:
    if not output.parts:
        raise WhyactError(
            "The objectives specification, part_decorrelation and part_reconstruction need a model "
            "that splits its graph, and specification to ask it: set model.specification.type to "
            "split and objectives.specification above 0."
        )
    return output.parts
