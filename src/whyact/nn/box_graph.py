"""SSG from given boxes: a detector's or an annotation's persons and objects as nodes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from whyact.nn.contracts import Regions
from whyact.nn.region_codes import RegionCodes, pool
from whyact.nn.spatial_graph import CUES, RegionAdjacency, cell_positions
from whyact.types import WhyactError

PERSON = 0
"""Class of the nodes that act."""


def check_boxes(boxes: Tensor, batch: int) -> Tensor:
    """Where boxes are real, (B, T, O) bool.

    Args:
        boxes: (B, T, O, 5): x0, y0, x1, y1 as shares of the frame, and the class; all NaN where
            there is none. Slot o is the same person or object in every frame. batch: B.

    Raises:
        WhyactError: another shape, rows that are NaN in part, or boxes without extent.
    """
    if boxes.ndim != 4 or boxes.shape[-1] != 5 or len(boxes) != batch:
        raise WhyactError(
            f"Expected boxes ({batch}, T, O, 5): x0, y0, x1, y1, class; got {tuple(boxes.shape)}."
        )
    missing = boxes.isnan()
    if not torch.equal(missing.any(-1), missing.all(-1)):
        raise WhyactError("A box is NaN in part; set all five values to NaN where there is none.")
    real = ~missing.any(-1)
    flat = boxes[real]
    if bool((flat[:, 2:4] <= flat[:, :2]).any()) or bool((flat[:, 4] < 0).any()):
        raise WhyactError(
            "A box has no extent or a negative class; expected x0 < x1, y0 < y1 in shares of the "
            "frame, and a class from 0."
        )
    return real


def box_assignment(boxes: Tensor, real: Tensor, grid: tuple[int, int]) -> Tensor:
    """Share of every cell in each box, and in the rest of the frame, (B, T, 1 + O, N).

    Boxes that overlap share a cell in proportion. Node 0 is what no box covers.

    Args:
        boxes: (B, T, O, 5). real: (B, T, O) bool. grid: (h, w).
    """
    h, w = grid
    known = boxes.nan_to_num(0.0)

    def covered(low: Tensor, high: Tensor, cells: int) -> Tensor:
        edges = torch.arange(cells + 1, device=boxes.device, dtype=boxes.dtype) / cells
        start = torch.maximum(low.unsqueeze(-1), edges[:-1])
        return (torch.minimum(high.unsqueeze(-1), edges[1:]) - start).clamp_min(0) * cells

    across = covered(known[..., 0], known[..., 2], w)
    down = covered(known[..., 1], known[..., 3], h)
    inside = (down.unsqueeze(-1) * across.unsqueeze(-2)).flatten(-2) * real.unsqueeze(-1)
    share = inside / inside.sum(-2, keepdim=True).clamp_min(1.0)
    rest = (1 - share.sum(-2, keepdim=True)).clamp_min(0)
    return torch.cat([rest, share], -2)


def acting(kind: Tensor) -> Tensor:
    """Which nodes act, (B, T, 1 + O) bool: the rest of the frame and persons.

    Args:
        kind: (B, T, O) class of each box.
    """
    return F.pad(kind == PERSON, (1, 0), value=True)


def allowed_edges(kind: Tensor, real: Tensor) -> Tensor:
    """Which nodes may hear which, (B, T, K, K) of 0 and 1, K = 1 + O.

    Persons hear persons and objects, objects hear persons; the rest of the frame hears all and is
    heard by all; every real node hears itself. Padding neither hears nor is heard.

    Args:
        kind: (B, T, O) class of each box. real: (B, T, O) bool.
    """
    acts, real = acting(kind), F.pad(real, (1, 0), value=True)
    itself = torch.eye(real.shape[-1], dtype=torch.bool, device=real.device)
    joined = acts.unsqueeze(-1) | acts.unsqueeze(-2) | itself
    return (joined & real.unsqueeze(-1) & real.unsqueeze(-2)).float()


class BoxSpatialGraph(nn.Module):
    """Region nodes are given boxes with classes, and one for the rest of the frame.

    A node pools its cells and adds an embedding of its class; the region graph joins persons with
    objects and with each other (`allowed_edges`), weighted by `RegionAdjacency`; the clip graph's
    temporal edges do the same (`whyact.nn.graph_prompt_gnn.in_reach`). Boxes that are missing are
    padding: they take part in no message, normalisation, pooling or loss.

    Args:
        token_width: D. code_width: C. kinds: classes of boxes, persons (class 0) included.
        layers: graph convolutions. cues: see `RegionAdjacency`.

    Attributes:
        given: (T, O, 5), boxes of all clips that come without; see
            `whyact.models.interventions.with_boxes`.
    """

    given: Tensor | None = None

    def __init__(
        self, *, token_width: int, code_width: int = 64, kinds: int = 1, layers: int = 1,
        cues: Sequence[str] = CUES, gate: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        if kinds < 1 or layers < 0:
            raise WhyactError(
                "model.spatial_graph needs at least 1 kind of box and 0 layers, got kinds "
                f"{kinds}, layers {layers}."
            )
        self.kinds = kinds
        self.norm = nn.LayerNorm(token_width, elementwise_affine=False)
        self.embed = nn.Linear(token_width, code_width)
        self.kind = nn.Embedding(kinds + 1, code_width)  # the last one is the rest of the frame
        self.adjacency = RegionAdjacency(cues=cues)
        self.convolutions = nn.ModuleList(
            nn.Linear(code_width, code_width, bias=False) for _ in range(layers)
        )
        self.codes = RegionCodes(
            token_width=token_width, inputs=code_width, code_width=code_width, motion="none",
            gate=gate,
        )  # fmt: skip

    def forward(
        self, tokens: Tensor, grid: tuple[int, int], boxes: Tensor | None = None
    ) -> Regions:
        """Make nodes of boxes.

        Args:
            tokens: (B, T', N, D). grid: (h, w).
            boxes: (B, T, O, 5), see `check_boxes`; of T frames those in the middle of each of the
                T' parts are taken.
        """
        if boxes is None and self.given is not None:
            boxes = self.given.expand(len(tokens), -1, -1, -1)
        if boxes is None:
            raise WhyactError(
                "model.spatial_graph.type boxes needs boxes with every clip. Name a table of them "
                "in data.boxes.table (predict and explain: --boxes FILE), for Backdrop set "
                "data.backdrop.boxes, or give them to the model (boxes=...); type learned finds "
                "regions by itself."
            )
        steps = tokens.shape[1]
        middle = (torch.arange(steps, device=boxes.device) * 2 + 1) * boxes.shape[1] // (2 * steps)
        # Not in the tokens' precision: bf16 has 8 bits for where a side lies.
        boxes = boxes.to(tokens.device, torch.float32)[:, middle]
        real = check_boxes(boxes, len(tokens))
        kind = boxes[..., 4].nan_to_num(0.0).long()
        if bool((kind >= self.kinds).any()):
            raise WhyactError(
                f"A box has class {int(kind.max())}, but model.spatial_graph.kinds is {self.kinds}."
            )
        assignment = box_assignment(boxes, real, grid).to(tokens)
        mask = torch.cat([torch.ones_like(real[..., :1]), real], -1)
        rest = torch.full_like(kind[..., :1], self.kinds)
        nodes = self.embed(pool(assignment, self.norm(tokens)))
        nodes = nodes + self.kind(torch.cat([rest, kind], -1))
        place = cell_positions(grid, tokens).expand(*tokens.shape[:3], 2)
        position = pool(assignment, place)
        adjacency = self.adjacency(nodes, position, allowed_edges(kind, real).to(nodes))
        for convolution in self.convolutions:
            nodes = nodes + F.gelu(adjacency @ convolution(nodes))
        nodes = nodes * mask.unsqueeze(-1)
        action, nuisance, share = self.codes(nodes, assignment, tokens)
        mass = assignment.mean(-1)
        acts = acting(kind)
        return Regions(assignment, action, nuisance, share, adjacency, position, mass, mask, acts)
