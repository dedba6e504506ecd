"""All objectives of a run: their extra inputs, one forward pass, the weighted sum."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from whyact.objectives.base import Objective, View
from whyact.objectives.foreground import attention_map
from whyact.ops.motion import foreground
from whyact.ops.motion_field import frame_changes
from whyact.types import ActionOutput, Batch, WhyactError


class ObjectiveSet:
    """The training loss: a weighted sum of objectives over one forward pass.

    Args:
        terms: the objectives, each with its weight; at least one, and no name twice.
    """

    def __init__(self, *, terms: Sequence[tuple[Objective, float]]) -> None:
        names = [objective.name for objective, _ in terms]
        if not terms or len(set(names)) < len(names):
            raise WhyactError(f"Expected at least one objective and none twice, got {names}.")
        missing = {r: o.name for o, _ in terms for r in o.reads if r not in names}
        if missing:
            read, name = next(iter(missing.items()))
            raise WhyactError(
                f"objectives.{name} reads the clips that objectives.{read} makes; give "
                f"objectives.{read} a positive weight too, or set objectives.{name} to 0."
            )
        self.terms = tuple(terms)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the objectives, in the order of their terms."""
        return tuple(objective.name for objective, _ in self.terms)

    def refuse_views(self, reason: str, cure: str) -> None:
        """Fail where an objective makes clips of its own, for which a setting leaves no input.

        Args:
            reason: why it cannot, beginning with the setting. cure: of the setting.

        Raises:
            WhyactError: the reason, the objectives and the cure.
        """
        makers = [o.name for o, _ in self.terms if type(o).views is not Objective.views]
        if makers:
            raise WhyactError(
                f"{reason}, but these objectives make clips of their own: {', '.join(makers)}. "
                f"Set their weights to 0, or {cure}."
            )

    @property
    def have_networks(self) -> bool:
        """Whether an objective brings a network of its own."""
        return any(type(o).attach is not Objective.attach for o, _ in self.terms)

    def attach(self, example: ActionOutput, seed: Callable[[str], None]) -> nn.ModuleDict:
        """The objectives' own networks by objective, see `Objective.attach`.

        Args:
            example: what the model gives for a clip.
            seed: called with an objective's name before its network is made, so that switching one
                objective off changes no other's network.
        """
        networks = nn.ModuleDict()
        for objective, _ in self.terms:
            seed(objective.name)
            network = objective.attach(example)
            if network is not None:
                networks[objective.name] = network
        return networks

    @property
    def needs_foreground(self) -> bool:
        """Whether an objective reads `Batch.foreground`."""
        return any(objective.needs_foreground for objective, _ in self.terms)

    @torch.no_grad()
    def prepare(self, batch: Batch, model: nn.Module | None = None) -> Batch:
        """Add what an objective needs and isn't there: `Batch.foreground`, `Batch.attention`.

        Args:
            batch: video float in [0, 1].
            model: whose attention it is, asked in evaluation mode, so that its batch statistics
                don't count these clips twice.
        """
        if len(batch) == 0:
            return batch
        if self.needs_foreground and batch.foreground is None:
            with _exactly(batch):
                batch = replace(batch, foreground=foreground(batch.video))
        if model is not None and any(o.needs_attention for o, _ in self.terms):
            training = model.training
            output = model.eval()(batch.streams)
            model.train(training)
            # Autocast keeps its copies of the weights; older PyTorch keeps these without gradient.
            torch.clear_autocast_cache()
            batch = replace(batch, attention=attention_map(output, batch.video.shape[2:]))
        return batch

    def views(self, batch: Batch, generator: torch.Generator) -> dict[str, View]:
        """All objectives' views, named ``<objective>.<view>``."""
        with torch.no_grad(), _exactly(batch):
            return {
                f"{objective.name}.{name}": view
                for objective, _ in self.terms
                for name, view in objective.views(batch, generator).items()
            }

    def inputs(self, batch: Batch, views: Mapping[str, View]) -> Tensor:
        """(n, 3, T, H, W): the batch, then every view; (n, 5, T, H, W) with a motion stream.

        A view's motion is the change of its own frames; `refuse_views` keeps flow from coming here.
        """
        clips = [view.batch.video for view in views.values()]
        if batch.motion is not None:
            clips = [torch.cat([clip, frame_changes(clip)], 1) for clip in clips]
        # Alone, float16 tokens stay as they are: autocast on a CPU cannot join them.
        return torch.cat([batch.streams, *clips]) if clips else batch.streams

    def specification(
        self, batch: Batch, views: Mapping[str, View], generator: torch.Generator
    ) -> Tensor | None:
        """Wanted actions (n, Y) of the batch and of every view; None where no objective asks."""
        label = torch.cat([batch.label, *(view.batch.label for view in views.values())])
        drawn = [objective.specification(label, generator) for objective, _ in self.terms]
        return next((wish for wish in drawn if wish is not None), None)

    def split(
        self, output: ActionOutput, batch: Batch, views: Mapping[str, View]
    ) -> dict[str, ActionOutput]:
        """Undo `inputs`: the output of ``clip`` and of every view."""
        parts = {"clip": output.rows(0, len(batch))}
        start = len(batch)
        for name, view in views.items():
            parts[name] = output.rows(start, start + len(view.batch))
            start += len(view.batch)
        return parts

    def __call__(
        self,
        model: nn.Module,
        batch: Batch,
        generator: torch.Generator,
    ) -> tuple[Tensor, dict[str, Tensor], ActionOutput]:
        """Run the model once and weigh the terms.

        Args:
            model: takes (n, 3, T, H, W) float in [0, 1], and a specification (n, Y) where an
                objective draws one, and the batch's ``boxes`` where it has any.
            batch: video float in [0, 1], at least one clip.
            generator: on the CPU; the same state gives the same views.

        Returns:
            The weighted sum; the unweighted terms by name, with measures that aren't trained on;
            the output of the batch itself.
        """
        batch = self.prepare(batch, model)
        views = self.views(batch, generator)
        wanted = self.specification(batch, views, generator)
        asked = () if wanted is None else (wanted,)
        if batch.given and views:
            raise WhyactError(
                "Clips come with boxes, but these objectives make clips of their own, without any: "
                f"{', '.join(sorted({name.split('.')[0] for name in views}))}. Set their weights "
                "to 0."
            )
        outputs = self.split(model(self.inputs(batch, views), *asked, **batch.given), batch, views)
        total = outputs["clip"].logits.new_zeros((), dtype=torch.float32)
        values: dict[str, Tensor] = {}
        for objective, weight in self.terms:
            own = f"{objective.name}."
            # Its own views by their short names; those of others too, so that a term can count
            # every clip whose truth is known.
            seen = {name.removeprefix(own): output for name, output in outputs.items()}
            made = {name.removeprefix(own): view for name, view in views.items()}
            values[objective.name] = objective.loss(seen, batch, made)
            total = total + weight * values[objective.name]
            values.update(objective.measures(seen, batch, made, generator))
        return total, values, outputs["clip"]


def _exactly(batch: Batch) -> torch.autocast:
    """Pixels are made in full precision; linear algebra refuses a mixture on GPUs."""
    return torch.autocast(batch.video.device.type, enabled=False)
