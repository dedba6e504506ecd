"""The values that travel between the layers: clips, batches, model outputs, explanations.

Axis names used in every docstring of the package:

========  ====================================================================
``B``     clips in a batch
``T``     frames of a clip; ``T'`` time steps of the backbone's tokens
``H, W``  pixels; ``h, w`` cells of the token grid, ``N = h * w``
``K``     regions a frame
``P``     prompts a frame; ``M`` prompts in the bank
``C``     width of a code; ``D`` width of a backbone token
``Y``     action classes; ``S`` nuisance (scene) classes
========  ====================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


class WhyactError(Exception):
    """Base of every error a user can cause: what was expected, what came, and the cure."""


@dataclass(frozen=True)
class Clip:
    """One sampled clip, as a dataset yields it.

    Attributes:
        video: (3, T, H, W) uint8, RGB.
        label: class index, or a (Y,) float multi-hot vector.
        id: name that is unique in its data set; file-based sets use the path as listed.
        nuisance: scene index, -1 where unknown.
        mask: (T, H, W) bool, true on the actors, or None where unknown.
        times: (T,) float64 presentation time of every frame in seconds, or None.
        foreground: (T, H, W) uint8, as `Batch.foreground` times 255, where it was made beforehand.
        background: (3, T, H, W) uint8, the clip without its actor, where it was made beforehand.
        motion: (2, T, H, W) uint8, the motion field (`whyact.ops.motion_field`), or None.
        class_order: (Y,) int64, for test views that may be mirrored: the logit of class y is to be
            read from class ``class_order[y]``, as a flip swaps some; None for no such views.
        boxes: (T, O, 5), as of `Batch`, or None.
    """

    video: Tensor
    label: int | Tensor
    id: str
    nuisance: int = -1
    mask: Tensor | None = None
    times: Tensor | None = None
    foreground: Tensor | None = None
    background: Tensor | None = None
    motion: Tensor | None = None
    class_order: Tensor | None = None
    boxes: Tensor | None = None


@dataclass(frozen=True)
class Failure:
    """A clip that could not be read: its name in the data set and the reason."""

    id: str
    reason: str


@dataclass(frozen=True)
class Batch:
    """Clips of equal size stacked along the first axis.

    Attributes:
        video: (B, 3, T, H, W), uint8 as loaded or float in [0, 1] once prepared for a model.
        label: (B,) int64, or (B, Y) float multi-hot.
        ids: B names.
        nuisance: (B,) int64, -1 where unknown.
        mask: (B, T, H, W) bool, or None where a clip of the batch has none.
        index: (B,) int64, position of each clip in its data set; -1 where it has none.
        foreground: (B, T, H, W) float in [0, 1], label-free estimate of the actor
            (`whyact.ops.motion`), or None where no objective asked for it.
        attention: (B, T, H, W) float in [0, 1), where the model itself looks
            (`whyact.objectives.foreground`), or None where no objective asked for it.
        background: (B, 3, T, H, W), the clips without their actors (`whyact.ops.paste`), or None
            where they were not made beforehand.
        motion: (B, 2, T, H, W), uint8 or float as ``video``, or None for a single stream.
        class_order: (B, Y) int64, as of `Clip`; None where no view is mirrored.
        boxes: (B, T, O, 5), persons and objects for a model that reads them: x0, y0, x1, y1 as
            shares of the frame and the class; NaN where there is none. None where not asked for.
        failures: clips that could not be read and are therefore not in this batch.
        progress: share of the training that is done, for what comes in by and by; 1 outside of one.
    """

    video: Tensor
    label: Tensor
    ids: tuple[str, ...]
    nuisance: Tensor
    mask: Tensor | None = None
    index: Tensor | None = None
    foreground: Tensor | None = None
    attention: Tensor | None = None
    background: Tensor | None = None
    motion: Tensor | None = None
    class_order: Tensor | None = None
    boxes: Tensor | None = None
    failures: tuple[Failure, ...] = ()
    progress: float = 1.0

    def __len__(self) -> int:
        return int(self.video.shape[0])

    @property
    def streams(self) -> Tensor:
        """What a model reads: the video, with the motion's channels after its own."""
        return self.video if self.motion is None else torch.cat([self.video, self.motion], 1)

    @property
    def given(self) -> dict[str, Tensor]:
        """What a model is given beside `streams`, by the names of its arguments."""
        return {} if self.boxes is None else {"boxes": self.boxes}

    def to(self, device: torch.device | str) -> Batch:
        """The same batch with every tensor on ``device`` and pixels as float in [0, 1]."""
        moved: dict[str, Any] = {
            f.name: v.to(device, non_blocking=True)
            for f in fields(self)
            if isinstance(v := getattr(self, f.name), Tensor)
        }
        for name in ("video", "foreground", "background", "motion"):
            if name in moved and moved[name].dtype == torch.uint8:
                moved[name] = moved[name].float().div(255)
        return replace(self, **moved)

    def pin_memory(self) -> Batch:
        """The same batch in pinned memory, which goes to a GPU while it computes."""
        pinned: dict[str, Any] = {
            f.name: v.pin_memory()
            for f in fields(self)
            if isinstance(v := getattr(self, f.name), Tensor)
        }
        return replace(self, **pinned)

    def rows(self, index: Tensor) -> Batch:
        """The clips at ``index`` (n,), in that order."""
        picked: dict[str, Any] = {
            f.name: v[index] for f in fields(self) if isinstance(v := getattr(self, f.name), Tensor)
        }
        return replace(self, ids=tuple(self.ids[int(i)] for i in index), **picked)


def collate(clips: Sequence[Clip], index: Sequence[int] | None = None) -> Batch:
    """Stack clips of equal size into a `Batch`; ``index`` is as in `Batch`."""
    labels = [torch.as_tensor(c.label) for c in clips]

    def stack(name: str) -> Tensor | None:
        found = [v for c in clips if (v := getattr(c, name)) is not None]
        return torch.stack(found) if len(found) == len(clips) else None

    # Clips with fewer persons and objects than others are padded.
    boxes = [c.boxes for c in clips if c.boxes is not None]
    most = max((b.shape[1] for b in boxes), default=0)
    boxes = [F.pad(b, (0, 0, 0, most - b.shape[1]), value=float("nan")) for b in boxes]

    return Batch(
        boxes=torch.stack(boxes) if boxes and len(boxes) == len(clips) else None,
        video=torch.stack([c.video for c in clips]),
        label=torch.stack(labels),
        ids=tuple(c.id for c in clips),
        nuisance=torch.tensor([c.nuisance for c in clips], dtype=torch.int64),
        mask=stack("mask"),
        foreground=stack("foreground"),
        background=stack("background"),
        motion=stack("motion"),
        class_order=stack("class_order"),
        index=torch.tensor(list(index) if index is not None else [-1] * len(clips)),
    )


@dataclass(frozen=True)
class ActionOutput:
    """Everything one forward pass knows, explanation included. The type never changes with a flag.

    A model without a part (a baseline, a null twin) fills it with the empty or neutral value named
    below, never with another type.

    Attributes:
        logits: (B, Y); equal to ``contributions.sum((1, 2)) + bias``.
        frame_logits: (B, T', Y); their mean over T' is ``logits``.
        contributions: (B, T', K, Y), additive share of every (time step, region) in the logit.
        bias: (Y,).
        assignment: (B, T', K, N), share of each cell that belongs to each region; in [0, 1] and
            sums to one over K.
        grid: (h, w) with ``h * w == N``.
        action_code: (B, T', K, C), what the action logits read.
        region_code: (B, T', K, C), the action code as ``spatial_graph`` made it: before prompts,
            clip graph and erasure.
        nuisance_code: (B, T', K, C); C may be 0 for a model that does not split its features.
        action_gate: (B, T', K) in [0, 1], how much of each region is action; 1 for a model that
            does not split its features.
        adjacency: (B, T', K, K), region graph of each frame, rows sum to one (or are zero);
            ``adjacency[b, t, i, j]`` is the weight with which region i listens to region j.
        prompts: (B, T', P, C); P is 0 without prompts.
        prompt_weights: (B, T', P, M), mixture of the bank that made each prompt; M may be 0.
        edge_gates: gates in [0, 1] of the clip graph, by edge type; ``{}`` without a graph. Along
            one type (and offset) those of a receiver add up to at most 1.
            Keys and shapes: ``spatial`` (B, T', K, K), ``temporal`` (B, T', 2 * window, K, K),
            ``prompt_to_region`` (B, T', K, P), ``region_to_prompt`` (B, T', P, K),
            ``prompt_to_prompt`` (B, T', P, P). The last two axes are always (receiver, sender).
            The third axis of ``temporal`` is the sender's frame offset
            ``-window … -1, 1 … window``; offsets outside the clip have gate 0.
        module_logits: clip logits (B, Y) scored by the shared head after each module, by slot name
            (``spatial_graph``, ``dynamic_prompts``, ``graph_prompt_gnn``); ``{}`` for baselines.
        nuisance_logits: (B, S), read from the nuisance code; S may be 0.
        region_weights: (B, T', K), how much the head listens to each region of the whole graph;
            sums to one over (T', K).
        tokens: (B, T', N, D), what the backbone gave and everything else was made from.
        parts: the two parts of the graph under a specification; ``{}`` without one. Keys:
            ``specification`` (B, Y), ``membership`` (B, T', K), share in [0, 1] of each region in
            the specified part; ``specified``, ``remaining`` (B, T', K, C), codes of both parts,
            weighted by that share; ``rebuilt`` (B, T', K, C), the action code made again from
            their sum; ``logits`` (B, 2, Y), of the specified and of the remaining part; in training
            ``alone`` (B, Y), the score of every class when it is asked for by itself.
            ``logits`` of the output are then those of the specified part for wanted classes and
            those of the remaining part for the others; ``module_logits`` are of the whole graph.
        node_mask: (B, T', K) bool, False for padding; empty where every region is real.
    """

    logits: Tensor
    frame_logits: Tensor
    contributions: Tensor
    bias: Tensor
    assignment: Tensor
    grid: tuple[int, int]
    action_code: Tensor
    region_code: Tensor
    nuisance_code: Tensor
    action_gate: Tensor
    adjacency: Tensor
    prompts: Tensor
    prompt_weights: Tensor
    edge_gates: dict[str, Tensor]
    module_logits: dict[str, Tensor]
    nuisance_logits: Tensor
    region_weights: Tensor
    tokens: Tensor
    parts: dict[str, Tensor] = field(default_factory=dict)
    node_mask: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.bool))

    def mean_code(self, code: Tensor) -> Tensor:
        """(B, C) float32, mean of a code (B, T', K, C) over frames and real regions."""
        if not self.node_mask.numel():
            return code.float().mean((1, 2))
        real = self.node_mask.unsqueeze(-1)
        return (code.float() * real).sum((1, 2)) / real.sum((1, 2)).clamp_min(1)

    def rows(self, start: int, stop: int) -> ActionOutput:
        """The output of clips ``start`` to ``stop`` of the batch."""
        return self._map(lambda v: v[start:stop])

    def over_cells(self, values: Tensor) -> Tensor:
        """Spread a value of each region over its cells, by their share of the region.

        Args:
            values: (B, T', K).

        Returns:
            (B, T', N), with the same sum in every frame.
        """
        share = self.assignment / self.assignment.sum(-1, keepdim=True).clamp_min(1e-8)
        return (values.unsqueeze(-1) * share).sum(2)

    def detach(self) -> ActionOutput:
        """The same values without their gradient history."""
        return self._map(lambda v: v.detach(), per_clip=False)

    def cpu(self) -> ActionOutput:
        """The same values in main memory."""
        return self._map(lambda v: v.cpu(), per_clip=False)

    def _map(self, function: Any, per_clip: bool = True) -> ActionOutput:
        changed: dict[str, Any] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, Tensor) and not (per_clip and f.name == "bias"):
                changed[f.name] = function(value)
            elif isinstance(value, dict):
                changed[f.name] = {k: function(v) for k, v in value.items()}
        return replace(self, **changed)


@dataclass(frozen=True)
class Interval:
    """An action in time.

    Attributes:
        action: class index.
        start, stop: of the half-open interval, in frames, seconds or shares of the clip.
        score: how sure a detection is; 1 for the truth.
    """

    action: int
    start: float
    stop: float
    score: float = 1.0


@dataclass(frozen=True)
class Step:
    """One edge of a reasoning path in the clip graph, from sender to receiver.

    Attributes:
        kind: edge type, a key of `ActionOutput.edge_gates`.
        source: (time step, node index) of the sender.
        target: (time step, node index) of the receiver.
        gate: in [0, 1].
    """

    kind: str
    source: tuple[int, int]
    target: tuple[int, int]
    gate: float


@dataclass(frozen=True)
class Explanation:
    """Why one clip got its score for one class. Every explainer returns this.

    Attributes:
        method: name of the explainer, e.g. ``native`` or ``grad_cam``.
        target: explained class index.
        heat: (T, H, W) float, non-negative, evidence for the class (its positive part).
        score: the logit that is explained.
        frame_evidence: (T',) signed evidence of each time step; empty where the method has none.
        contributions: (T', K) signed, adds up to ``score - bias``; empty (0, 0) where not additive.
        bias: constant part of ``score``.
        cells: (T', h, w) signed, what each cell of the grid gave; adds up to ``score - bias`` too;
            empty where not additive.
        assignment: (T', K, h, w) region outlines; empty where the method has no regions.
        prompt_weights: (T', P, M); empty without prompts.
        path: strongest reasoning path, in the order of the flow; empty without a graph.
        action_share: drop of the logit when the actor is filled in, as a share of both drops, in
            [0, 1]; None where not measured.
        extra: further numbers that a method wants to report, JSON values only.
    """

    method: str
    target: int
    heat: Tensor
    score: float
    frame_evidence: Tensor = field(default_factory=lambda: torch.empty(0))
    contributions: Tensor = field(default_factory=lambda: torch.empty(0, 0))
    bias: float = 0.0
    cells: Tensor = field(default_factory=lambda: torch.empty(0, 0, 0))
    assignment: Tensor = field(default_factory=lambda: torch.empty(0, 0, 0, 0))
    prompt_weights: Tensor = field(default_factory=lambda: torch.empty(0, 0, 0))
    path: tuple[Step, ...] = ()
    action_share: float | None = None
    extra: dict[str, Any] = field(default_factory=dict)
