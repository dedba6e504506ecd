"""The recogniser: wiring of the slots, nothing else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import cast

import torch
from torch import Tensor, nn

from whyact.nn.dynamic_prompts import DynamicPrompts, NoPrompts
from whyact.nn.graph_prompt_gnn import GraphPromptGnn, NoGraph
from whyact.nn.head import AdditiveHead, NuisanceHead
from whyact.nn.spatial_graph import GridSpatialGraph, LearnedSpatialGraph
from whyact.ops.motion_field import frame_changes
from whyact.types import ActionOutput, WhyactError


class VideoModel(nn.Module, ABC):
    """What every model of this project shares: normalisation, the backbone, and its two halves.

    ``forward`` is ``decode(encode(video))``; the halves are apart so that a frozen backbone's
    tokens can be computed once.

    Args:
        backbone: maps a normalised video (B, 3, T, H, W) to (B, D, T', h, w); has ``mean``,
            ``std``, ``width`` and ``reach`` (steps on either side that a token sees).
        frozen: the backbone keeps its weights and batch statistics.

    Attributes:
        motion: where a second stream's motion comes from (`whyact.config.MotionConfig`); the
            builder sets it.
    """

    mean: Tensor
    std: Tensor
    motion: str = "none"

    def __init__(self, *, backbone: nn.Module, frozen: bool = False) -> None:
        super().__init__()
        self.backbone = backbone
        self.reach = cast(int, backbone.reach)
        self.frozen = frozen
        shape = (1, -1, 1, 1, 1)
        self.register_buffer("mean", torch.tensor(backbone.mean).view(shape))
        self.register_buffer("std", torch.tensor(backbone.std).view(shape))
        if frozen:
            backbone.requires_grad_(False).eval()

    def normalize_by(
        self, mean: tuple[float, float, float], std: tuple[float, float, float]
    ) -> None:
        """Normalise red, green and blue by these from now on."""
        with torch.no_grad():
            self.mean[0, :3, 0, 0, 0] = torch.tensor(mean)
            self.std[0, :3, 0, 0, 0] = torch.tensor(std)

    def train(self, mode: bool = True) -> VideoModel:
        """As `torch.nn.Module.train`; a frozen backbone stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def encode(self, video: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Tokens (B, T', N, D) and their grid (h, w) from RGB in [0, 1], (B, 3, T, H, W)."""
        channels = self.mean.shape[1]
        if video.ndim != 5 or video.shape[1] not in (3, channels):
            raise WhyactError(
                f"Expected a video of shape (B, {channels}, T, H, W), got {tuple(video.shape)}."
            )
        if not video.is_floating_point():
            raise WhyactError(
                f"Expected RGB as float in [0, 1], got {video.dtype}; divide uint8 by 255."
            )
        if video.shape[1] < channels:
            video = torch.cat([video, self._own_motion(video)], 1)
        with torch.set_grad_enabled(
            torch.is_grad_enabled() and (not self.frozen or video.requires_grad)
        ):
            features = cast(Tensor, self.backbone((video - self.mean) / self.std))
        h, w = features.shape[-2:]
        return features.flatten(3).permute(0, 2, 3, 1), (h, w)

    def _own_motion(self, video: Tensor) -> Tensor:
        """The motion of a clip that comes without, as the model was trained to see it."""
        if self.motion != "difference":
            raise WhyactError(
                f"The model reads motion from '{self.motion}' beside the pixels, (B, 5, T, H, W); "
                "only whyact train and evaluate bring it. Models with data.motion.source: "
                "difference find it in the pixels."
            )
        return frame_changes(video)

    @abstractmethod
    def decode(
        self, tokens: Tensor, grid: tuple[int, int], specification: Tensor | None = None
    ) -> ActionOutput:
        """What the model makes of tokens (B, T', N, D)."""

    def forward(self, video: Tensor, specification: Tensor | None = None) -> ActionOutput:
        """Recognise.

        Args:
            video: (B, 3, T, H, W), RGB in [0, 1].
            specification: (B, Y), weights of wanted actions, for models with prompts.
        """
        tokens, grid = self.encode(video)
        return self.decode(tokens, grid, specification)


class ActionRecognizer(VideoModel):
    """Backbone → spatial graph → dynamic prompts → clip graph → head.

    Each slot is a learned module or its null twin; nothing here asks which.

    Args:
        backbone, frozen: see `VideoModel`.
        spatial_graph, dynamic_prompts, graph_prompt_gnn, head, nuisance_head: the slots, with the
            contracts of `whyact.nn.contracts`.
    """

    def __init__(
        self,
        *,
        backbone: nn.Module,
        spatial_graph: LearnedSpatialGraph | GridSpatialGraph,
        dynamic_prompts: DynamicPrompts | NoPrompts,
        graph_prompt_gnn: GraphPromptGnn | NoGraph,
        head: AdditiveHead,
        nuisance_head: NuisanceHead,
        frozen: bool = False,
    ) -> None:
        super().__init__(backbone=backbone, frozen=frozen)
        self.spatial_graph = spatial_graph
        self.dynamic_prompts = dynamic_prompts
        self.graph_prompt_gnn = graph_prompt_gnn
        self.head = head
        self.nuisance_head = nuisance_head

    def decode(
        self, tokens: Tensor, grid: tuple[int, int], specification: Tensor | None = None
    ) -> ActionOutput:
        """As `VideoModel.decode`."""
        regions = self.spatial_graph(tokens, grid)
        codes = regions.action_code
        prompts = self.dynamic_prompts(regions, specification)
        guides = self.dynamic_prompts.guide(codes, prompts.prompts)
        guided = codes + guides.fusion
        refined = self.graph_prompt_gnn(guided, prompts.prompts, regions.adjacency)
        # The refined prompts guide the refined nodes; fusion has happened already.
        last = self.dynamic_prompts.guide(refined.action_code, refined.prompts)
        scores = self.head(refined.action_code, last.regions, last.classifier)
        neutral = torch.zeros_like(guides.regions), torch.zeros_like(guides.classifier)
        module_logits = {
            "spatial_graph": self.head(codes, *neutral).logits,
            "dynamic_prompts": self.head(guided, guides.regions, guides.classifier).logits,
            "graph_prompt_gnn": scores.logits,
        }
        return ActionOutput(
            logits=scores.logits,
            frame_logits=scores.frame_logits,
            contributions=scores.contributions,
            bias=self.head.bias,
            assignment=regions.assignment,
            grid=grid,
            action_code=refined.action_code,
            nuisance_code=regions.nuisance_code,
            adjacency=regions.adjacency,
            prompts=refined.prompts,
            prompt_weights=prompts.weights,
            edge_gates=refined.edge_gates,
            module_logits=module_logits,
            nuisance_logits=self.nuisance_head(regions),
            region_weights=scores.region_weights,
            tokens=tokens,
            temporal_reach=self.reach + self.spatial_graph.reach + self.graph_prompt_gnn.reach,
        )
