"""The contract of every objective."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from whyact.types import ActionOutput, Batch


@dataclass(frozen=True)
class View:
    """Extra input clips that an objective made from a batch.

    Attributes:
        batch: n clips with the label, nuisance and mask that they have *after* the change; label or
            nuisance are -1 where the change leaves them undefined.
        rows: (n,) row of the batch that each clip's action comes from.
        background: (n,) row of the batch that its background comes from; equals ``rows`` where the
            background is its own.
        still: (n, T) bool, frames in which time stands still; None where nobody asks.
    """

    batch: Batch
    rows: Tensor
    background: Tensor
    still: Tensor | None = None


class Objective(ABC):
    """One term of the training loss.

    Every draw comes from the generator it is given; the only state is the network of `attach`.

    Attributes:
        name: key in `whyact.config.ObjectivesConfig`.
        reads: names of other objectives whose views this one cannot do without.
        needs_foreground: the loop fills `Batch.foreground` before `views` when any objective asks.
        needs_regions: it is of regions' nuisance codes or weights, which baselines do not have.
        needs_attention: the same of `Batch.attention`, which costs a forward pass of the clips.
    """

    name: ClassVar[str]
    reads: ClassVar[tuple[str, ...]] = ()
    needs_foreground: bool = False
    needs_attention: bool = False
    needs_regions: ClassVar[bool] = False

    def attach(self, example: ActionOutput) -> nn.Module | None:
        """Make the network of its own (a critic, a decoder), keep it for `loss`, and return it.

        The loop puts it on the device, trains it by the gradient of `loss` with a learning rate of
        its own, and stores it in checkpoints to resume from, but never among the model's weights.

        Args:
            example: what the model gives for a clip; its shapes tell all widths.

        Returns:
            The network; None for an objective without.

        Raises:
            WhyactError: the model lacks what the objective needs.
        """
        return None

    def views(self, batch: Batch, generator: torch.Generator) -> dict[str, View]:
        """Extra inputs by name; the loop runs them together with the batch in one forward pass.

        Args:
            batch: video float in [0, 1].
            generator: on the CPU, seeded by the loop from (seed, step).
        """
        return {}

    def specification(self, label: Tensor, generator: torch.Generator) -> Tensor | None:
        """Wanted actions (n, Y) of every clip and view that the model is asked with; None asks not.

        At most one objective of a run may ask.

        Args:
            label: (n,) or (n, Y), of the batch and of all views. generator: as of `views`.
        """
        return None

    @abstractmethod
    def loss(
        self, outputs: Mapping[str, ActionOutput], batch: Batch, views: Mapping[str, View]
    ) -> Tensor:
        """Scalar, averaged over clips.

        Args:
            outputs: ``clip`` for the batch itself, one entry for each view of this objective, and
                the other objectives' views as ``<objective>.<view>``.
            batch: what ``outputs["clip"]`` was computed from.
            views: all views, under the same names.
        """

    def measures(
        self,
        outputs: Mapping[str, ActionOutput],
        batch: Batch,
        views: Mapping[str, View],
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """Scalars to log beside the loss, by name, that nothing is trained on."""
        return {}
