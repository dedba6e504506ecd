"""The typed config tree. YAML keys, dataclass fields and command-line flags have the same names.

Config objects end here and in the builders: constructors of models, objectives and data sets take
plain keyword values.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from whyact.config_data import (
    BackdropConfig,
    BalanceConfig,
    ClipConfig,
    DataConfig,
    MotionConfig,
    TransformConfig,
)
from whyact.config_model import (
    BackboneConfig,
    Cue,
    DynamicPromptsConfig,
    GraphPromptGnnConfig,
    Injection,
    ModelConfig,
    SpatialGraphConfig,
    SpecificationConfig,
)

__all__ = [
    "BackboneConfig",
    "BackdropConfig",
    "BalanceConfig",
    "ClipConfig",
    "Config",
    "Cue",
    "DataConfig",
    "DynamicPromptsConfig",
    "GraphPromptGnnConfig",
    "Injection",
    "ModelConfig",
    "MotionConfig",
    "ObjectiveSettings",
    "ObjectivesConfig",
    "SpatialGraphConfig",
    "SpecificationConfig",
    "TrainingConfig",
    "TransformConfig",
]


@dataclass
class ObjectivesConfig:
    """Weight of every objective; 0 is off. Their settings are in `ObjectiveSettings`."""

    cross_entropy: float = 1.0
    binary_cross_entropy: float = 0.0
    deep_supervision: float = 0.0
    nuisance: float = 0.0
    hsic: float = 0.0
    static_entropy: float = 0.0
    pause: float = 0.0
    background_mix: float = 0.0
    foreground_paste: float = 0.0
    temporal_consistency: float = 0.0
    foreground: float = 0.0
    swap_contrast: float = 0.0
    swap_consistency: float = 0.0
    whitened_consistency: float = 0.0
    gradient_reversal: float = 0.0
    club: float = 0.0
    bottleneck: float = 0.0
    reconstruction: float = 0.0
    prompt_alignment: float = 0.0
    specification: float = 0.0
    part_decorrelation: float = 0.0
    part_reconstruction: float = 0.0


@dataclass
class ObjectiveSettings:
    """Settings of the objectives, named ``<objective>_<argument>``.

    Attributes:
        cross_entropy_smoothing: label smoothing of cross_entropy, and of the action of pasted and
            mixed clips; not of deep_supervision, nor of clips under binary_cross_entropy.
        foreground_paste_share, background_mix_share, static_entropy_share, pause_share: share of
            the batch that gets an extra view; a view costs as much as a clip.
        foreground_paste_mask: ``motion`` (label-free), ``regions`` (motion and the model's own
            attention, label-free too) or ``true`` (upper bound; needs masks).
        foreground_paste_gaps: share of pasted actors that the new background covers in part.
        foreground_paste_tempo: pasted actors are up to this many times as fast or slow; 1 is off.
        foreground_paste_camera: pasted clips are seen by a camera that pans by up to this share of
            the frame and zooms by up to half of it; 0 is off.
        foreground_paste_ramp: share of the training over which gaps, tempo and camera come in; 0
            has them from the start.
        foreground_paste_blend: share of the attention in ``regions``.
        background_mix_alpha: λ is drawn from Beta(alpha, alpha).
        static_entropy_pan, pause_pan: largest simulated camera pan while the clip stands still, in
            pixels a frame.
        foreground_coverage: weight of covering the foreground evenly beside staying inside it.
        hsic_permutations: of the p-value that is logged; 0 skips it.
        swap_contrast_temperature: what cosines are divided by.
        whitened_consistency_ramp: share of the training over which it comes in, by its square.
        gradient_reversal_target: what the adversary reads: the background's nuisance ``code``
            (label-free), or its ``scene`` (needs scene labels).
        reconstruction_swap: weight of the part with recombined codes.
    """

    cross_entropy_smoothing: float = 0.0
    foreground_paste_share: float = 0.5
    foreground_paste_mask: Literal["motion", "regions", "true"] = "motion"
    foreground_paste_gaps: float = 0.0
    foreground_paste_tempo: float = 1.0
    foreground_paste_camera: float = 0.0
    foreground_paste_ramp: float = 0.0
    foreground_paste_blend: float = 0.6
    background_mix_share: float = 0.5
    background_mix_alpha: float = 200.0
    static_entropy_share: float = 0.25
    static_entropy_pan: float = 0.0
    pause_share: float = 0.25
    pause_pan: float = 0.0
    foreground_coverage: float = 0.3
    hsic_permutations: int = 0
    swap_contrast_temperature: float = 0.1
    whitened_consistency_ramp: float = 0.0
    gradient_reversal_target: Literal["code", "scene"] = "code"
    reconstruction_swap: float = 1.0


@dataclass
class TrainingConfig:
    """The loop.

    Attributes:
        epochs: passes over the training split.
        batch_size: global, over all processes and accumulation steps.
        device_batch_size: per process and step; 0 takes ``batch_size / processes``.
        learning_rate, weight_decay, beta1, beta2: of AdamW.
        warmup_steps: linear warm-up before the cosine schedule; at most a third of the run.
        critic_learning_rate: constant rate of the networks that objectives bring (an adversary, a
            critic, a decoder), which have to keep up with the model.
        clip_norm: gradient clipping; 0 is off.
        mixed_precision: ``auto`` takes bf16 or fp16 where the device computes it, CPUs with bf16
            included; the record says what was taken.
        average: decay of the weights' moving average that is evaluated; 0 is off.
        select: best checkpoint by this metric on ``data.val``: ``top1``, ``top5``, ``mean_class``,
            ``macro_f1``, ``map`` for several labels, or ``last`` for the final weights.
        eval_every: epochs between validations.
        checkpoint_steps: optimiser steps between checkpoints; 0 saves at each epoch's end.
        deterministic: ask torch and cuDNN for deterministic algorithms.
        device: ``auto``, ``cpu``, ``cuda``.
        threads: torch threads; 0 leaves the default.
        cache_tokens: compute a frozen backbone's tokens once for this many augmented views of
            each training clip, and train the modules on them; 0 is off.
        erase_above: in what is validated and saved, directions of the codes are erased of whose
            variance more than this share comes from what does not belong there, as swapped
            backgrounds and actors show (`whyact.training.erasure.erase_swaps`); 1 is off, and
            baselines have no codes.
        start: a run, or a checkpoint, whose weights the model starts from, where it has any of the
            same name and size; from random ones if empty.
    """

    epochs: int = 100
    batch_size: int = 256
    device_batch_size: int = 0
    learning_rate: float = 2e-4
    weight_decay: float = 0.01
    beta1: float = 0.9
    beta2: float = 0.999
    warmup_steps: int = 1000
    critic_learning_rate: float = 1e-3
    clip_norm: float = 1.0
    mixed_precision: Literal["auto", "no", "fp16", "bf16"] = "auto"
    average: float = 0.0
    select: str = "top1"
    eval_every: int = 1
    checkpoint_steps: int = 0
    deterministic: bool = True
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = 0
    cache_tokens: int = 0
    erase_above: float = 1.0
    start: str = ""

    @property
    def eval_batch_size(self) -> int:
        """Clips that one process evaluates together."""
        return min(32, self.device_batch_size or self.batch_size)


@dataclass
class Config:
    """Everything a run depends on; stored resolved in the run's folder and in its checkpoints.

    Attributes:
        name: of the run; results go to ``<output>/<name>``.
        seed: the one master seed.
        output: folder of all runs.
    """

    name: str = "run"
    seed: int = 42
    output: str = "runs"
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    objectives: ObjectivesConfig = field(default_factory=ObjectivesConfig)
    objective_settings: ObjectiveSettings = field(default_factory=ObjectiveSettings)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    @property
    def erases(self) -> bool:
        """Whether codes are erased (``training.erase_above``); baselines have none."""
        return self.training.erase_above < 1 and self.model.type == "whyact"
