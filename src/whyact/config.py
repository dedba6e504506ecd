"""The typed config tree. YAML keys, dataclass fields and command-line flags have the same names.

Config objects end here and in the builders: constructors of models, objectives and data sets take
plain keyword values.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Cue = Literal["proximity", "coactivation", "position"]
Injection = Literal["regions", "fusion", "classifier"]


@dataclass
class BackboneConfig:
    """The token-making network.

    Attributes:
        type: ``small`` (trained from scratch), ``narrow_r3d_18``, ``efficientnet_lite0``, the name
            of a torchvision image model (applied per frame) or video model, e.g. ``resnet18`` or
            ``r3d_18``, or ``blind``, which never sees the video: the leak test of prompts.
        weights: ``none``, ``default`` (for EfficientNet-Lite0 the ImageNet weights of its package),
            or the path of a state dict (.pt, .pth, .safetensors).
        frozen: keep the weights and the batch statistics as they are.
        width: token width of ``small`` and ``narrow_r3d_18``; ignored by the others, which report
            theirs.
        motion: how a per-frame network sees motion: ``shift`` (temporal shift), ``difference``
            (differences of neighbouring frames' tokens are appended) or ``none``.
        layer: name of the module whose output makes the tokens; empty for the last feature map.
        top_down: tokens of ``small`` twice as fine, with the stage before the last added in.
    """

    type: str = "small"
    weights: str = "none"
    frozen: bool = False
    width: int = 128
    motion: Literal["shift", "difference", "none"] = "shift"
    layer: str = ""
    top_down: bool = False


@dataclass
class SpatialGraphConfig:
    """SSG: the graph over discriminative regions of each frame.

    Attributes:
        type: ``learned``, its null twin ``grid``, or ``boxes``: given persons and objects.
        kinds: of ``boxes``: classes of boxes, persons (class 0) included.
        regions: K, regions a frame.
        layers: graph convolutions over the region graph.
        cues: what the adjacency adds up.
        fusion: how regions go back into the tokens.
        temperature: of the soft assignment; lower is harder.
        dynamics: whose changes over time the action codes read: of each ``region``, of the whole
            ``frame`` (steadier where clips are few, but not the region's own), or ``none``.
    """

    type: Literal["learned", "grid", "boxes"] = "learned"
    regions: int = 8
    layers: int = 1
    cues: list[Cue] = field(default_factory=lambda: ["proximity", "coactivation", "position"])
    fusion: Literal["attention", "addition"] = "attention"
    temperature: float = 1.0
    dynamics: Literal["none", "region", "frame"] = "none"
    kinds: int = 1


@dataclass
class DynamicPromptsConfig:
    """DPM: prompts made from the clip.

    Attributes:
        type: ``generated`` (soft mixture of the bank), ``retrieved`` (its top k), ``static`` (does
            not see the clip) or the null twin ``none``.
        prompts: P, prompts a frame.
        bank: M, prompts in the bank.
        top_k: of ``retrieved``.
        inject: what the prompts guide.
        max_strength: bound of the learned strength of every injection.
    """

    type: Literal["generated", "retrieved", "static", "none"] = "generated"
    prompts: int = 4
    bank: int = 16
    top_k: int = 4
    inject: list[Injection] = field(default_factory=lambda: ["regions", "fusion", "classifier"])
    max_strength: float = 1.0


@dataclass
class GraphPromptGnnConfig:
    """GPNN: one gated graph over regions and prompts of all frames.

    Attributes:
        type: ``gated`` or the null twin ``none``.
        layers: rounds of messages.
        window: temporal edges join frames at most this far apart.
    """

    type: Literal["gated", "none"] = "gated"
    layers: int = 2
    window: int = 1


@dataclass
class SpecificationConfig:
    """What a wish for some actions does.

    Attributes:
        type: ``split`` divides the graph into the specified and the remaining part; ``prompts``
            only tells the dynamic prompts.
        window: of ``split``: temporal edges of the specified part join frames this far apart.
    """

    type: Literal["prompts", "split"] = "prompts"
    window: int = 1


@dataclass
class ModelConfig:
    """The network.

    Attributes:
        type: ``whyact``, or a baseline: ``pooled`` (backbone, average, linear), ``cnn3d`` (a
            torchvision 3-D network named by ``backbone.type``) or ``cnn_lstm``.
        code_width: C, width of the action code and of the nuisance code; at least 64.
        dropout: before the head.
        code_noise: deviation of the Gaussian noise on the action codes that the head reads in
            training; ``objectives.bottleneck`` needs it.
        fusion: of a second backbone that sees ``data.motion``: ``late`` (feature maps side by
            side, so that scores add up), ``mid`` (mixed cell by cell), or ``none``.
    """

    type: Literal["whyact", "pooled", "cnn3d", "cnn_lstm"] = "whyact"
    code_width: int = 64
    dropout: float = 0.0
    code_noise: float = 0.0
    fusion: Literal["none", "late", "mid"] = "none"
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    spatial_graph: SpatialGraphConfig = field(default_factory=SpatialGraphConfig)
    dynamic_prompts: DynamicPromptsConfig = field(default_factory=DynamicPromptsConfig)
    graph_prompt_gnn: GraphPromptGnnConfig = field(default_factory=GraphPromptGnnConfig)
    specification: SpecificationConfig = field(default_factory=SpecificationConfig)


@dataclass
class ClipConfig:
    """How frames are picked from a video.

    Attributes:
        frames: T, 8 to 32 in the recipes.
        sampling: ``dense`` (``frames`` neighbouring frames, ``stride`` apart) or ``segment`` (TSN:
            one frame from each of ``frames`` equal parts).
        stride: of dense sampling, in frames of ``frame_rate``.
        frame_rate: common rate in frames a second, by time stamp; 0 keeps each video's own.
        tempo_jitter: dense training clips are sped up or slowed down by up to this share.
        short: what dense sampling does when a video is shorter than the clip: ``loop`` or ``pad``
            (last frame). Segments of a short video repeat its frames.
    """

    frames: int = 16
    sampling: Literal["dense", "segment"] = "segment"
    stride: int = 2
    frame_rate: float = 0.0
    tempo_jitter: float = 0.0
    short: Literal["loop", "pad"] = "loop"


@dataclass
class TransformConfig:
    """What happens to the pixels; the same parameters for every frame of a clip.

    Attributes:
        short_side: the video is scaled to this short side first.
        stretch: scale the whole frame to a square of that side, so that nothing at the edge of a
            wide video is cropped away.
        size: side of the square clip that the model sees.
        train_crop: ``random_resized``, ``random`` or ``center``.
        min_area: smallest area share of ``random_resized``.
        flip: probability of a horizontal flip in training.
        flip_pairs: class names that a flip swaps, e.g. ``[[push left, push right]]``.
        color_jitter: strength of brightness, contrast, saturation and hue jitter; 0 is off.
        normalize: colours by the statistics of the ``backbone``'s own training, or by those
            ``measured`` on the training clips; they are stored in the checkpoint.
    """

    short_side: int = 256
    stretch: bool = False
    size: int = 224
    train_crop: Literal["random_resized", "random", "center"] = "random_resized"
    min_area: float = 0.5
    flip: float = 0.5
    flip_pairs: list[list[str]] = field(default_factory=list)
    color_jitter: float = 0.2
    normalize: Literal["backbone", "measured"] = "backbone"


@dataclass
class MotionConfig:
    """The second stream, for a model with ``model.fusion``; see `whyact.data.motion_stream`.

    Attributes:
        source: ``none``; ``difference`` of neighbouring frames; optical flow by ``farneback`` or
            ``dis`` (needs OpenCV) or ``raft``; or ``images``, read from ``flow_x``/``flow_y``.
        weights: file of RAFT's weights.
        bound: displacement in pixels at the ends of the range of flow.
        jitter: training fields are made stronger or weaker by up to this share, whatever
            ``data.transform.color_jitter`` does to the pixels.
    """

    source: Literal["none", "difference", "farneback", "dis", "raft", "images"] = "none"
    weights: str = ""
    bound: float = 20.0
    jitter: float = 0.0


@dataclass
class BackdropConfig:
    """The generated benchmark.

    Of `ClipConfig` and `TransformConfig` it heeds ``frames``, ``size`` and ``flip``: its clips are
    made at that size, and shown whole.

    Attributes:
        clips: training clips; the other splits have sizes of their own.
        eval_clips: clips of each test split.
        correlation: share of training clips whose scene is the one tied to their action.
        seed: of the content.
        watermark: planted shortcut, a coloured square in a corner: ``class`` tells the action,
            ``random`` tells nothing.
        boxes: clips bring the true boxes of their actors, for ``model.spatial_graph.type: boxes``.
    """

    clips: int = 4000
    eval_clips: int = 400
    correlation: float = 0.9
    seed: int = 0
    watermark: Literal["none", "class", "random"] = "none"
    boxes: bool = False


@dataclass
class BalanceConfig:
    """Training clips drawn so that every group counts alike, see `whyact.data.balance`.

    Attributes:
        column: nuisance that makes groups together with the label, e.g. ``scene`` or ``cluster``;
            empty draws every clip once an epoch.
        table: Parquet or CSV file with columns ``id`` and that one; empty for the data set's own
            ``scene``.
    """

    column: str = ""
    table: str = ""


@dataclass
class DataConfig:
    """Where clips come from.

    Attributes:
        type: ``backdrop``, or a name of the table in `whyact.data.catalog`: ``folder``, ``list``,
            ``shards``, ``ut_interaction``, ``something_v1``, ``something_v2``, ``ucf101``,
            ``hmdb51``, ``kinetics400``, ``kinetics600``, ``charades``, ``sports_hhi``.
        root: folder of the videos; for ``backdrop`` the cache of generated arrays.
        annotations: folder of the official lists, or the list file; empty for ``root``. For
            ``shards`` the local folder that they are unpacked in.
        train, val: names of the splits that are trained and selected on.
        test: names of the splits that are reported; never used to select anything.
        folding: ``official`` (the set's own splits), ``group`` (leave one group out) or ``random``
            (seeded folds; clips of one group stay together).
        fold: which fold, from 0; ``-1`` runs all of them.
        fold_count, fold_seed: of random folds.
        protocol: test views of a video, CLIPSxCROPS such as ``10x3`` (``-max`` for the maximum
            over views instead of the mean), or a name of the table in `whyact.data.views`.
        workers: loader processes.
        join: clips that are joined in time to one, each with another action; 1 leaves them single.
    """

    type: str = "backdrop"
    root: str = "data"
    annotations: str = ""
    train: str = "train"
    val: str = "val"
    test: list[str] = field(default_factory=lambda: ["iid", "swap"])
    folding: Literal["official", "group", "random"] = "official"
    fold: int = 0
    fold_count: int = 5
    fold_seed: int = 0
    protocol: str = "1x1"
    workers: int = 0
    join: int = 1
    clip: ClipConfig = field(default_factory=ClipConfig)
    transform: TransformConfig = field(default_factory=TransformConfig)
    motion: MotionConfig = field(default_factory=MotionConfig)
    balance: BalanceConfig = field(default_factory=BalanceConfig)
    backdrop: BackdropConfig = field(default_factory=BackdropConfig)


@dataclass
class ObjectivesConfig:
    """Weight of every objective; 0 is off. Their settings are in `ObjectiveSettings`."""

    cross_entropy: float = 1.0
    binary_cross_entropy: float = 0.0
    deep_supervision: float = 0.0
    nuisance: float = 0.0
    hsic: float = 0.0
    static_entropy: float = 0.0
    background_mix: float = 0.0
    foreground_paste: float = 0.0
    temporal_consistency: float = 0.0
    foreground: float = 0.0
    swap_contrast: float = 0.0
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
        cross_entropy_smoothing: label smoothing.
        foreground_paste_share, background_mix_share, static_entropy_share: share of the batch that
            gets an extra view; a view costs as much as a clip.
        foreground_paste_mask: ``motion`` (label-free), ``regions`` (motion and the model's own
            attention, label-free too) or ``true`` (upper bound; needs masks).
        foreground_paste_blend: share of the attention in ``regions``.
        background_mix_alpha: λ is drawn from Beta(alpha, alpha).
        static_entropy_pan: largest simulated camera pan of the static clip, in pixels a frame.
        foreground_coverage: weight of covering the foreground evenly beside staying inside it.
        hsic_permutations: of the p-value that is logged; 0 skips it.
        swap_contrast_temperature: what cosines are divided by.
        gradient_reversal_target: what the adversary reads: the background's nuisance ``code``
            (label-free), or its ``scene`` (needs scene labels).
        reconstruction_swap: weight of the part with recombined codes.
    """

    cross_entropy_smoothing: float = 0.0
    foreground_paste_share: float = 0.5
    foreground_paste_mask: Literal["motion", "regions", "true"] = "motion"
    foreground_paste_blend: float = 0.6
    background_mix_share: float = 0.5
    background_mix_alpha: float = 200.0
    static_entropy_share: float = 0.25
    static_entropy_pan: float = 0.0
    foreground_coverage: float = 0.3
    hsic_permutations: int = 0
    swap_contrast_temperature: float = 0.1
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
        mixed_precision: ``auto`` takes bf16 or fp16 where the device has it.
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
