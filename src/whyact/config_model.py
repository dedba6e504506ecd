"""The model's part of the config tree."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

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
            ``frame`` (steadier where clips are few, but not the region's own), of what moves in the
            frame (``moving``: what cells show beyond their mean over the clip, without the still
            background; for features after a ReLU), each region's own part of the frame's
            (``shared``: they add up to it), or ``none``.
        lags: of dynamics: how many frames apart what is compared lies, e.g. ``[1, 2, 4, 8]``.
        gate: a learned share says how much of each region is action; what is not is nuisance.
        compact: of ``learned``: regions at each of ``regions / compact`` homes, around which they
            keep together, so that those of several actors stay apart; 0 leaves them anywhere.
    """

    type: Literal["learned", "grid", "boxes"] = "learned"
    regions: int = 8
    layers: int = 1
    cues: list[Cue] = field(default_factory=lambda: list(get_args(Cue)))
    fusion: Literal["attention", "addition"] = "attention"
    temperature: float = 1.0
    dynamics: Literal["none", "region", "frame", "shared", "moving"] = "none"
    lags: list[int] = field(default_factory=lambda: [1])
    gate: bool = True
    compact: int = 0
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
    inject: list[Injection] = field(default_factory=lambda: list(get_args(Injection)))
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
    """Whether the model can be asked for some actions.

    Attributes:
        type: ``split`` divides the graph into the specified and the remaining part; ``none`` makes
            a model that cannot be asked.
        window: of ``split``: temporal edges of the specified part join frames this far apart.
    """

    type: Literal["split", "none"] = "none"
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
