"""SSG: a graph over discriminative regions of each frame, and its null twin, a fixed grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from whyact.config_model import Cue
from whyact.nn.contracts import Regions
from whyact.nn.region_codes import RegionCodes, pool
from whyact.types import WhyactError

CUES: tuple[Cue, ...] = get_args(Cue)
FUSIONS = ("attention", "addition")
COMPACT_REACH = 0.15
"""Of compact regions at first, where the frame is 2 wide: it parts four actors side by side."""


def cell_positions(grid: tuple[int, int], like: Tensor) -> Tensor:
    """Centres of the cells as (x, y) in [-1, 1], (N, 2), row by row, on the device of ``like``."""
    h, w = grid
    y = (torch.arange(h, device=like.device, dtype=like.dtype) * 2 + 1) / h - 1
    x = (torch.arange(w, device=like.device, dtype=like.dtype) * 2 + 1) / w - 1
    return torch.stack([x.repeat(h), y.repeat_interleave(w)], dim=-1)


def most_square(count: int) -> tuple[int, int]:
    """(rows, columns) with that product, as nearly the same as can be, and no more rows."""
    rows = max(r for r in range(1, math.isqrt(count) + 1) if count % r == 0)
    return rows, count // rows


class RegionAdjacency(nn.Module):
    """Adds up the edge cues of a frame's regions and normalises each row.

    ``proximity`` is ``exp(-d^2 / 2 s^2)`` of the distance between centres with a learned reach s,
    ``coactivation`` the positive part of the features' cosine, ``position`` a learned function of
    the displacement, so that "above" and "left of" can differ. Each has a learned non-negative
    weight. Without cues there are no edges.

    Args:
        cues: subset of `CUES`.
    """

    def __init__(self, *, cues: Sequence[str] = CUES) -> None:
        super().__init__()
        unknown = sorted(set(cues) - set(CUES))
        if unknown:
            raise WhyactError(f"Unknown edge cues {unknown}; choose from {list(CUES)}.")
        self.cues = tuple(c for c in CUES if c in cues)
        self.weight = nn.Parameter(torch.zeros(len(self.cues)))
        if "proximity" in self.cues:
            self.log_reach = nn.Parameter(torch.tensor(math.log(0.5)))
        if "position" in self.cues:
            self.displacement = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1))

    def forward(self, regions: Tensor, position: Tensor, allowed: Tensor | None = None) -> Tensor:
        """Weigh edges.

        Args:
            regions: (..., K, C). position: (..., K, 2).
            allowed: (..., K, K) of 0 and 1, which edges there are; all if None.

        Returns:
            (..., K, K), rows sum to one (or are zero without cues).
        """
        cues = []
        delta = position.unsqueeze(-3) - position.unsqueeze(-2)
        if "proximity" in self.cues:
            cues.append(torch.exp(-delta.square().sum(-1) / (2 * (2 * self.log_reach).exp())))
        if "coactivation" in self.cues:
            unit = F.normalize(regions, dim=-1)
            cues.append((unit @ unit.transpose(-1, -2)).relu())
        if "position" in self.cues:
            cues.append(self.displacement(delta).squeeze(-1).sigmoid())
        if not cues:
            return regions.new_zeros(*regions.shape[:-1], regions.shape[-2])
        total = (torch.stack(cues, -1) * F.softplus(self.weight)).sum(-1)
        if allowed is not None:
            total = total * allowed
        return total / total.sum(-1, keepdim=True).clamp_min(1e-6)


class LearnedSpatialGraph(nn.Module):
    """Soft regions with an identity that holds over the clip, joined by a graph in each frame.

    Cells compete for K region queries (the softmax over queries of slot attention, Locatello et
    al., NeurIPS 2020). Unlike there, the queries are refined once, by what each gathered over *all*
    frames, and then serve every frame: region k is the same thing from the first frame to the last.

    Regions found by content alone are parts of every actor, all heads in one. With ``compact`` n
    they share homes on a grid over the frame, n regions each, and the fit of a cell falls with its
    squared distance to where a region is, as in SLIC (Achanta et al., PAMI 2012): to its home at
    first, then to the centre of what it gathered in that frame. All homes have the same n queries,
    so that none draws all actors to itself: content tells the actor of a place from its scene, and
    place alone tells actors apart, which a region can follow.

    Args:
        token_width: D. code_width: C.
        regions: K. compact: n, which divides K; 0 leaves regions anywhere.
        layers: graph convolutions.
        cues: see `RegionAdjacency`.
        fusion: ``attention`` lets every cell read the regions by content, ``addition`` gives every
            cell its own regions.
        temperature: of the assignment; lower is harder.
        dynamics, lags, gate: see `RegionCodes`.
    """

    def __init__(
        self,
        *,
        token_width: int,
        code_width: int = 64,
        regions: int = 8,
        layers: int = 1,
        cues: Sequence[str] = CUES,
        fusion: str = "attention",
        temperature: float = 1.0,
        dynamics: str = "none",
        compact: int = 0,
        gate: bool = True,
        lags: Sequence[int] = (1,),
    ) -> None:
        super().__init__()
        if fusion not in FUSIONS:
            raise WhyactError(f"Unknown fusion '{fusion}'; choose from {list(FUSIONS)}.")
        if regions < 1 or layers < 0 or temperature <= 0:
            raise WhyactError(
                "model.spatial_graph needs at least 1 region, 0 layers and a temperature above 0, "
                f"got regions {regions}, layers {layers}, temperature {temperature}."
            )
        if compact < 0 or (compact and regions % compact):
            raise WhyactError(
                f"model.spatial_graph.compact is {compact}, regions at each home: it must be 0 or "
                f"divide model.spatial_graph.regions, {regions}."
            )
        width = code_width
        self.fusion = fusion
        self.temperature = temperature
        # Without gain and offset, which the embedding has, no gradient has to reach the tokens.
        self.norm = nn.LayerNorm(token_width, elementwise_affine=False)
        self.embed = nn.Linear(token_width, width)
        self.place = nn.Linear(2, width)
        self.queries = nn.Parameter(torch.randn(compact or regions, width))
        self.refine = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width))
        self.log_scale = nn.Parameter(torch.tensor(math.log(12.0)))
        self.compact = compact
        if compact:
            grid = most_square(regions // compact)
            self.homes = nn.Parameter(cell_positions(grid, self.queries.detach()))
            self.log_reach = nn.Parameter(torch.tensor(math.log(COMPACT_REACH)))
        self.adjacency = RegionAdjacency(cues=cues)
        self.convolutions = nn.ModuleList(
            nn.Linear(width, width, bias=False) for _ in range(layers)
        )
        self.fuse_value = nn.Linear(width, width, bias=False)
        if fusion == "attention":
            self.fuse_key = nn.Linear(width, width, bias=False)
        self.codes = RegionCodes(
            token_width=token_width, inputs=width, code_width=code_width, motion=dynamics,
            gate=gate, lags=lags,
        )  # fmt: skip

    def forward(
        self, tokens: Tensor, grid: tuple[int, int], boxes: Tensor | None = None
    ) -> Regions:
        """Find regions.

        Args:
            tokens: (B, T', N, D).
            grid: (h, w), ``h * w == N``.
            boxes: play no part here; see `whyact.nn.box_graph`.
        """
        cells = cell_positions(grid, tokens)
        values = self.embed(self.norm(tokens))
        assignment = self._assign(values, cells)
        pooled = regions = pool(assignment, values)
        position = pool(assignment, cells.expand(*values.shape[:-1], 2))
        adjacency = self.adjacency(regions, position)
        for convolution in self.convolutions:
            regions = regions + F.gelu(adjacency @ convolution(regions))
        fused = pooled + self._fuse(values, regions, assignment)
        action, nuisance, share = self.codes(regions + fused, assignment, tokens)
        mass = assignment.mean(-1)
        return Regions(assignment, action, nuisance, share, adjacency, position, mass)

    def _assign(self, values: Tensor, cells: Tensor) -> Tensor:
        keys = values + self.place(cells)
        # Over the norm: the cosine, without a normalised copy of every cell.
        sharpness = self.log_scale.exp() / self.temperature / keys.norm(dim=-1).clamp_min(1e-6)
        queries: Tensor = self.queries
        if self.compact:
            queries = queries.repeat(len(self.homes), 1)
        first = self._fit(queries.expand(len(values), 1, -1, -1), keys, sharpness)
        if self.compact:
            homes = self.homes.repeat_interleave(self.compact, 0)
            first = first - self._distance(homes, cells)
        first = first.softmax(-2)
        gathered = pool(first.transpose(1, 2).flatten(2), values.flatten(1, 2))
        refined = queries + self.refine(gathered)
        fit = self._fit(refined.unsqueeze(1), keys, sharpness)
        if self.compact:
            fit = fit - self._distance(pool(first, cells.expand(*keys.shape[:-1], 2)), cells)
        return fit.softmax(-2)

    @staticmethod
    def _fit(queries: Tensor, keys: Tensor, sharpness: Tensor) -> Tensor:
        # Cells first: the gradient of a left factor lies in memory as the cells do, that of a right
        # one across them, which makes everything that it is added to several times slower.
        cosine = keys @ F.normalize(queries, dim=-1).transpose(-1, -2)
        return (cosine * sharpness.unsqueeze(-1)).transpose(-1, -2)

    def _distance(self, centres: Tensor, cells: Tensor) -> Tensor:
        """Squared distance of cells (N, 2) to centres (..., K, 2) over twice the squared reach."""
        square = (centres.unsqueeze(-2) - cells).square().sum(-1)
        return square / (2 * (2 * self.log_reach).exp())

    def _fuse(self, values: Tensor, regions: Tensor, assignment: Tensor) -> Tensor:
        """Mean over each region's cells of what the fusion adds to them, (B, T', K, C).

        Every cell gets a mixture of the regions' messages; the mean of mixtures is the mixture by
        mean shares, so no cell has to be written.
        """
        if self.fusion == "addition":
            mixture = assignment.transpose(-1, -2)
        else:
            scores = values @ self.fuse_key(regions).transpose(-1, -2)
            mixture = (scores / math.sqrt(values.shape[-1])).softmax(-1)
        return pool(assignment, mixture) @ self.fuse_value(regions)


class GridSpatialGraph(nn.Module):
    """The null twin: K fixed blocks of cells, no edges, no fusion; it splits codes too.

    Args:
        token_width: D. code_width: C.
        regions: K; the blocks form the most square ``rows x columns`` with that product.
        dynamics, lags, gate: see `RegionCodes`.
    """

    def __init__(
        self, *, token_width: int, code_width: int = 64, regions: int = 8, dynamics: str = "none",
        gate: bool = True, lags: Sequence[int] = (1,),
    ) -> None:  # fmt: skip
        super().__init__()
        if regions < 1:
            raise WhyactError(f"model.spatial_graph.regions must be at least 1, got {regions}.")
        self.rows, self.columns = most_square(regions)
        self.norm = nn.LayerNorm(token_width, elementwise_affine=False)
        self.embed = nn.Linear(token_width, code_width)
        self.codes = RegionCodes(
            token_width=token_width, inputs=code_width, code_width=code_width, motion=dynamics,
            gate=gate, lags=lags,
        )  # fmt: skip

    def forward(
        self, tokens: Tensor, grid: tuple[int, int], boxes: Tensor | None = None
    ) -> Regions:
        """As `LearnedSpatialGraph.forward`; fails where the grid has fewer rows than blocks."""
        h, w = grid
        if h < self.rows or w < self.columns:
            raise WhyactError(
                f"A {h} x {w} token grid cannot hold {self.rows} x {self.columns} blocks; "
                "lower model.spatial_graph.regions or take a backbone with a finer grid."
            )
        row = torch.arange(h, device=tokens.device) * self.rows // h
        column = torch.arange(w, device=tokens.device) * self.columns // w
        block = (row[:, None] * self.columns + column[None]).flatten()
        regions = self.rows * self.columns
        hard = F.one_hot(block, regions).T.to(tokens.dtype)
        assignment = hard.expand(*tokens.shape[:2], regions, h * w)
        pooled = self.embed(pool(assignment, self.norm(tokens)))
        action, nuisance, share = self.codes(pooled, assignment, tokens)
        position = pool(assignment, cell_positions(grid, tokens).expand(*tokens.shape[:3], 2))
        adjacency = tokens.new_zeros(*tokens.shape[:2], regions, regions)
        mass = assignment.mean(-1)
        return Regions(assignment, action, nuisance, share, adjacency, position, mass)
