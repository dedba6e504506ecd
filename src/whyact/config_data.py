"""The data's part of the config tree."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


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
        other_scene: share of training clips whose moving actors, found without labels, stand before
            a painted scene (`whyact.data.other_scene`); their actions stay, their places go.
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
    other_scene: float = 0.0
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
class BoxesConfig:
    """Persons and objects for ``model.spatial_graph.type: boxes``, see `whyact.data.boxes`.

    Attributes:
        table: Parquet or CSV file of a detector's or an annotation's boxes; empty for none.
        reach: a frame takes the boxes of the nearest frame of the table, up to this many seconds
            away; beyond, it has none.
        most: boxes a frame; those with the highest scores.
        least_score: boxes with a lower score are left out.
    """

    table: str = ""
    reach: float = 0.5
    most: int = 10
    least_score: float = 0.0


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
        join: clips that are joined to one, each with another action; 1 leaves them single.
        join_axis: ``time`` joins them end to end, ``width`` side by side at their size.
        join_within: only clips of one group (sequence, film) are joined, at the same place.
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
    join_axis: Literal["time", "width"] = "time"
    join_within: bool = False
    clip: ClipConfig = field(default_factory=ClipConfig)
    transform: TransformConfig = field(default_factory=TransformConfig)
    motion: MotionConfig = field(default_factory=MotionConfig)
    balance: BalanceConfig = field(default_factory=BalanceConfig)
    boxes: BoxesConfig = field(default_factory=BoxesConfig)
    backdrop: BackdropConfig = field(default_factory=BackdropConfig)
