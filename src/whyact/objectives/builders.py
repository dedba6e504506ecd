"""The one table of objectives, from their names in the config to their constructors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from whyact.config import Config, ObjectivesConfig, ObjectiveSettings
from whyact.objectives.background_mix import BackgroundMix
from whyact.objectives.base import Objective
from whyact.objectives.classification import (
    BinaryCrossEntropy,
    CrossEntropy,
    DeepSupervision,
    Nuisance,
)
from whyact.objectives.contrast import PromptAlignment, SwapConsistency, SwapContrast
from whyact.objectives.foreground import Foreground
from whyact.objectives.foreground_paste import ForegroundPaste
from whyact.objectives.gradient_reversal import GradientReversal
from whyact.objectives.hsic import Hsic
from whyact.objectives.information import Bottleneck, Club
from whyact.objectives.pause import Pause
from whyact.objectives.reconstruction import Reconstruction
from whyact.objectives.set import ObjectiveSet
from whyact.objectives.specification import (
    PartDecorrelation,
    PartReconstruction,
    SpecifiedActions,
)
from whyact.objectives.static_entropy import StaticEntropy
from whyact.objectives.temporal_consistency import TemporalConsistency
from whyact.objectives.whitened_consistency import WhitenedConsistency
from whyact.types import WhyactError

TABLE: dict[str, Callable[[ObjectiveSettings], Objective]] = {
    "cross_entropy": lambda s: CrossEntropy(smoothing=s.cross_entropy_smoothing),
    "binary_cross_entropy": lambda s: BinaryCrossEntropy(),
    "deep_supervision": lambda s: DeepSupervision(),
    "nuisance": lambda s: Nuisance(),
    "hsic": lambda s: Hsic(permutations=s.hsic_permutations),
    "static_entropy": lambda s: StaticEntropy(
        share=s.static_entropy_share, pan=s.static_entropy_pan
    ),
    "pause": lambda s: Pause(share=s.pause_share, pan=s.pause_pan),
    "background_mix": lambda s: BackgroundMix(
        share=s.background_mix_share,
        alpha=s.background_mix_alpha,
        smoothing=s.cross_entropy_smoothing,
    ),
    "foreground_paste": lambda s: ForegroundPaste(
        share=s.foreground_paste_share,
        mask=s.foreground_paste_mask,
        blend=s.foreground_paste_blend,
        gaps=s.foreground_paste_gaps,
        tempo=s.foreground_paste_tempo,
        camera=s.foreground_paste_camera,
        ramp=s.foreground_paste_ramp,
        smoothing=s.cross_entropy_smoothing,
    ),
    "temporal_consistency": lambda s: TemporalConsistency(),
    "foreground": lambda s: Foreground(coverage=s.foreground_coverage),
    "swap_contrast": lambda s: SwapContrast(temperature=s.swap_contrast_temperature),
    "swap_consistency": lambda s: SwapConsistency(),
    "whitened_consistency": lambda s: WhitenedConsistency(ramp=s.whitened_consistency_ramp),
    "gradient_reversal": lambda s: GradientReversal(target=s.gradient_reversal_target),
    "club": lambda s: Club(),
    "bottleneck": lambda s: Bottleneck(),
    "reconstruction": lambda s: Reconstruction(swap=s.reconstruction_swap),
    "prompt_alignment": lambda s: PromptAlignment(),
    "specification": lambda s: SpecifiedActions(),
    "part_decorrelation": lambda s: PartDecorrelation(),
    "part_reconstruction": lambda s: PartReconstruction(),
}


def wants_foreground(config: Config) -> bool:
    """Whether a run reads the foreground of its training clips."""
    return objectives_of(config).needs_foreground or config.erases


def objectives_of(config: Config) -> ObjectiveSet:
    """The objectives of a run.

    Raises:
        WhyactError: as of `build_objectives`, or the model lacks what they need.
    """
    made = build_objectives(config.objectives, config.objective_settings)
    lost = [o.name for o, _ in made.terms if o.needs_regions]
    if lost and config.model.type != "whyact":
        raise WhyactError(
            f"objectives.{', '.join(lost)}: model.type '{config.model.type}' has no regions with "
            "nuisance codes, so these say nothing; take model.type: whyact, or set their weights "
            "to 0."
        )
    return made


def build_objectives(weights: ObjectivesConfig, settings: ObjectiveSettings) -> ObjectiveSet:
    """Build the objectives whose weight isn't 0.

    Raises:
        WhyactError: no weight above 0, one that is negative or not a number, or settings that do
            not go together.
    """
    swaps = weights.reconstruction and settings.reconstruction_swap and weights.foreground_paste
    if swaps and (settings.foreground_paste_tempo > 1 or settings.foreground_paste_camera > 0):
        raise WhyactError(
            "objectives.reconstruction rebuilds each frame of a pasted clip from the codes of that "
            "frame, but with objective_settings.foreground_paste_tempo above 1 it shows another, "
            "and with foreground_paste_camera above 0 another part of it; set them to 1 and 0, or "
            "objective_settings.reconstruction_swap to 0."
        )
    terms = []
    for name, weight in asdict(weights).items():
        if not 0 <= weight < float("inf"):
            raise WhyactError(
                f"objectives.{name} must be 0 (off) or a positive number, got {weight}."
            )
        if weight > 0:
            terms.append((TABLE[name](settings), float(weight)))
    if not terms:
        raise WhyactError(
            "Every objective has weight 0, so there is nothing to train. Give at least one of "
            f"objectives.{{{', '.join(TABLE)}}} a positive weight."
        )
    return ObjectiveSet(terms=terms)
