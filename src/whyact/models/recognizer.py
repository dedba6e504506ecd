"""The recogniser: wiring of the slots, nothing else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn

from whyact.models.vocabulary import Vocabulary, Wanted
from whyact.nn.box_graph import BoxSpatialGraph
from whyact.nn.contracts import Guides, Prompts, Refined, Regions, Scores, WishScores
from whyact.nn.dynamic_prompts import DynamicPrompts, NoPrompts
from whyact.nn.graph_prompt_gnn import GraphPromptGnn, NoGraph
from whyact.nn.graph_split import GraphSplit, NoSplit, Shared, read_parts
from whyact.nn.head import AdditiveHead, NuisanceHead, best_wished
from whyact.nn.held_gates import HeldGates
from whyact.nn.spatial_graph import GridSpatialGraph, LearnedSpatialGraph
from whyact.ops.motion_field import frame_changes
from whyact.types import ActionOutput, WhyactError

FAINT = 1e-4
"""Weight that a region without action keeps in the head, so that there is always one to hear."""
AT_ONCE = 2**18
"""Numbers of the codes of wishes that are in memory together, where no gradient keeps them all; it
does not change results. Many more do not fit into the cache of a core, which a CPU waits for."""


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
        vocabulary: the classes by name, for wishes; set when a trained model is loaded.
    """

    mean: Tensor
    std: Tensor
    motion: str = "none"
    vocabulary: Vocabulary | None = None

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

    @property
    def can_be_asked(self) -> bool:
        """Whether the model was built to split its graph by a wish."""
        return False

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
        self, tokens: Tensor, grid: tuple[int, int], specification: Tensor | None = None,
        boxes: Tensor | None = None,
    ) -> ActionOutput:  # fmt: skip
        """What the model makes of tokens (B, T', N, D); the others are as of `forward`."""

    def forward(
        self, video: Tensor, specification: Tensor | None = None, *,
        wanted: Wanted | None = None, boxes: Tensor | None = None, traced: bool = False,
    ) -> ActionOutput:  # fmt: skip
        """Recognise.

        Args:
            video: (B, 3, T, H, W), RGB in [0, 1].
            specification: (B, Y) in [0, 1], wanted actions of each clip; for models that
                `can_be_asked`.
            wanted: the same wish for every clip: a class by index, name or free text, or several
                (`whyact.models.vocabulary.Vocabulary.specification`).
            boxes: (B, T, O, 5), persons and objects for a model that reads them, see
                `whyact.nn.box_graph.check_boxes`; others make regions of their own.
            traced: see `trace`.

        Raises:
            WhyactError: a wish to a model that cannot be asked.
        """
        if wanted is not None:
            if specification is not None:
                raise WhyactError("Give either a specification or what is wanted, not both.")
            specification = self._words().specification(wanted).to(video).expand(len(video), -1)
        if specification is not None and not self.can_be_asked:
            raise WhyactError(
                "This model cannot be asked for actions; train one with model.specification.type: "
                "split."
            )
        if traced:
            with torch.no_grad():
                tokens, grid = self.encode(video)
            return self.trace(tokens, grid, specification, boxes)
        return self.decode(*self.encode(video), specification, boxes)

    def trace(
        self, tokens: Tensor, grid: tuple[int, int], specification: Tensor | None = None,
        boxes: Tensor | None = None,
    ) -> ActionOutput:  # fmt: skip
        """`decode`, with the gradients that tell what each token gave to the logits.

        They are those of held gates (`whyact.nn.held_gates.HeldGates`) and lead to the output's
        ``tokens``; `whyact.explainers.native.follow` follows them.
        """
        with torch.inference_mode(False), torch.enable_grad(), HeldGates():
            leaf = tokens.detach().clone().requires_grad_()
            return self.decode(leaf, grid, specification, boxes)

    def score_each(
        self, video: Tensor, wanted: Sequence[Wanted], *, boxes: Tensor | None = None
    ) -> WishScores:
        """Score every wish on its own, as a forward pass for each would.

        A model that cannot be asked has the same scores for every wish.

        Args:
            video: (B, 3, T, H, W), RGB in [0, 1].
            wanted: n wishes, each as in `forward`. boxes: as in `forward`.
        """
        wished = torch.stack([self._words().specification(w) for w in wanted]).to(video)
        if not wished.any(1).all():
            raise WhyactError(f"A wish for nothing has no score; got {list(wanted)}.")
        return self.score_wishes(*self.encode(video), wished, boxes)

    def score_wishes(
        self, tokens: Tensor, grid: tuple[int, int], wished: Tensor, boxes: Tensor | None = None
    ) -> WishScores:
        """`score_each` of tokens (B, T', N, D) and wishes (n, Y)."""
        frames = self.decode(tokens, grid, None, boxes).frame_logits
        return best_wished(frames.unsqueeze(1).expand(-1, len(wished), -1, -1), wished)

    def _words(self) -> Vocabulary:
        if self.vocabulary is None:
            raise WhyactError(
                "This model does not know the names of its classes; set model.vocabulary to "
                "Vocabulary(names=...), or give a specification (B, Y)."
            )
        return self.vocabulary


class ActionRecognizer(VideoModel):
    """Backbone → spatial graph → dynamic prompts → clip graph → head.

    Each slot is a learned module or its null twin. Nothing here asks which, but for the last one:
    only a model with a split can be asked.

    Args:
        backbone, frozen: see `VideoModel`.
        spatial_graph, dynamic_prompts, graph_prompt_gnn, head, nuisance_head, specification: the
            slots, with the contracts of `whyact.nn.contracts`.
    """

    def __init__(
        self,
        *,
        backbone: nn.Module,
        spatial_graph: LearnedSpatialGraph | GridSpatialGraph | BoxSpatialGraph,
        dynamic_prompts: DynamicPrompts | NoPrompts,
        graph_prompt_gnn: GraphPromptGnn | NoGraph,
        head: AdditiveHead,
        nuisance_head: NuisanceHead,
        specification: GraphSplit | NoSplit,
        frozen: bool = False,
    ) -> None:
        super().__init__(backbone=backbone, frozen=frozen)
        self.spatial_graph = spatial_graph
        self.dynamic_prompts = dynamic_prompts
        self.graph_prompt_gnn = graph_prompt_gnn
        self.head = head
        self.nuisance_head = nuisance_head
        self.specification = specification
        for name in ("kept_action", "kept_nuisance"):
            self.register_buffer(name, torch.eye(head.classify.in_features))

    kept_action: Tensor
    kept_nuisance: Tensor

    def erase(self, action: Tensor | None = None, nuisance: Tensor | None = None) -> None:
        """Map every action code and nuisance code by these (C, C) from now on; None for nothing."""
        for kept, given in ((self.kept_action, action), (self.kept_nuisance, nuisance)):
            kept.copy_(torch.eye(len(kept)) if given is None else given)

    @property
    def can_be_asked(self) -> bool:
        """As of `VideoModel`."""
        return isinstance(self.specification, GraphSplit)

    def decode(
        self, tokens: Tensor, grid: tuple[int, int], specification: Tensor | None = None,
        boxes: Tensor | None = None,
    ) -> ActionOutput:  # fmt: skip
        """As `VideoModel.decode`."""
        made = self._read(tokens, grid, boxes)
        regions, whole = made.regions, made.scores
        scores, parts = whole, dict[str, Tensor]()
        if specification is not None and isinstance(self.specification, GraphSplit):
            nodes = made.refined.action_code
            shared = self._shared(self.specification, made)
            split = self.specification(shared, specification.unsqueeze(1))
            scores, parts = read_parts(
                self.head, split, made.last, nodes, whole, specification,
                self.specification.rebuild,
            )  # fmt: skip
            if self.training:
                alone = torch.eye(specification.shape[1]).to(specification)
                parts["alone"] = self._score_wishes(shared, made, alone).logits
        return ActionOutput(
            logits=scores.logits,
            frame_logits=scores.frame_logits,
            contributions=scores.contributions,
            bias=self.head.bias,
            assignment=regions.assignment,
            grid=grid,
            action_code=made.refined.action_code,
            region_code=regions.action_code,
            nuisance_code=regions.nuisance_code,
            action_gate=regions.action_gate,
            adjacency=regions.adjacency,
            prompts=made.refined.prompts,
            prompt_weights=made.prompts.weights,
            edge_gates=made.refined.edge_gates,
            module_logits=self._module_logits(made),
            nuisance_logits=self.nuisance_head(regions),
            region_weights=scores.region_weights,
            tokens=tokens,
            parts=parts,
            **({} if regions.mask is None else {"node_mask": regions.mask}),
        )

    def score_wishes(
        self, tokens: Tensor, grid: tuple[int, int], wished: Tensor, boxes: Tensor | None = None
    ) -> WishScores:
        """As `VideoModel.score_wishes`; with a split, all that no wish changes is made once."""
        if not isinstance(self.specification, GraphSplit):
            return super().score_wishes(tokens, grid, wished, boxes)
        made = self._read(tokens, grid, boxes)
        return self._score_wishes(self._shared(self.specification, made), made, wished)

    def _score_wishes(self, shared: Shared, made: _Read, wished: Tensor) -> WishScores:
        count = len(wished)
        if not torch.is_grad_enabled():
            count = AT_ONCE // max(1, made.guided.numel())
        found = []
        for some in wished.split(max(1, count)):
            parts = self.specification(shared, some.expand(len(made.guided), -1, -1))
            found.append(
                self.head.score_wishes(
                    parts.code, made.last.regions, made.last.classifier, parts.membership, some
                )
            )
        return WishScores(
            torch.cat([f.logits for f in found], 1), torch.cat([f.frame_logits for f in found], 1)
        )

    def _shared(self, split: GraphSplit, made: _Read) -> Shared:
        """What is the same for all wishes."""
        nodes, graph = made.refined.action_code, made.regions
        evidence = self.head.evidence(nodes, made.last.classifier)
        prompts = self.head.classify.weight
        return split.share(
            nodes, graph.adjacency, graph.action_gate, evidence, prompts, graph.mask, graph.acts
        )

    def _read(self, tokens: Tensor, grid: tuple[int, int], boxes: Tensor | None) -> _Read:
        """Everything before a split: regions, prompts, graph and scores of the whole graph."""
        regions = self.spatial_graph(tokens, grid, boxes)
        nuisance = _exactly(regions.nuisance_code, self.kept_nuisance)
        regions = replace(regions, nuisance_code=nuisance)
        codes, share = regions.action_code, regions.action_gate.unsqueeze(-1)
        prompts = self.dynamic_prompts(regions)
        guides = self._heard(regions, self.dynamic_prompts.guide(codes, prompts.prompts))
        # What is added to an action code counts as far as its region is action.
        guided = codes + share * guides.fusion
        refined = self.graph_prompt_gnn(
            guided, prompts.prompts, regions.adjacency, regions.action_gate, mask=regions.mask,
            acts=regions.acts,
        )  # fmt: skip
        action = guided + share * (refined.action_code - guided)
        refined = replace(refined, action_code=_exactly(action, self.kept_action))
        # The refined prompts guide the refined nodes; fusion has happened already.
        last = self.dynamic_prompts.guide(refined.action_code, refined.prompts)
        last = self._heard(regions, last)
        scores = self.head(refined.action_code, last.regions, last.classifier, mask=regions.mask)
        return _Read(regions, prompts, guides, guided, refined, last, scores)

    @staticmethod
    def _heard(regions: Regions, guides: Guides) -> Guides:
        """The head hears a region as far as it is action, whatever the prompts say."""
        share = regions.action_gate
        floored = share + (share.clamp_min(FAINT) - share).detach()  # what is shut can open again
        return replace(guides, regions=guides.regions + floored.log())

    def _module_logits(self, made: _Read) -> dict[str, Tensor]:
        guides, mask = made.guides, made.regions.mask
        zeros = map(torch.zeros_like, (guides.regions, guides.fusion, guides.classifier))
        neutral = self._heard(made.regions, Guides(*zeros))
        guided = self.head(made.guided, guides.regions, guides.classifier, mask=mask)
        return {
            "spatial_graph": self.head(
                made.regions.action_code, neutral.regions, neutral.classifier, mask=mask
            ).logits,
            "dynamic_prompts": guided.logits,
            "graph_prompt_gnn": made.scores.logits,
        }


def _exactly(codes: Tensor, kept: Tensor) -> Tensor:
    """``codes @ kept``, not in the precision of a training."""
    kind = codes.device.type
    with nullcontext() if kind == "meta" else torch.autocast(kind, enabled=False):
        return codes.to(kept) @ kept


@dataclass(frozen=True)
class _Read:
    """What `ActionRecognizer._read` makes; ``guided`` are the codes with the prompts' fusion."""

    regions: Regions
    prompts: Prompts
    guides: Guides
    guided: Tensor
    refined: Refined
    last: Guides
    scores: Scores
