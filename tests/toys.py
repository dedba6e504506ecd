"""Small hand-made model outputs and batches, for tests."""

from __future__ import annotations

import torch
from torch import Tensor

from whyact.nn.held_gates import HeldGates
from whyact.types import ActionOutput, Batch


def toy_batch(
    count: int = 4,
    frames: int = 4,
    size: int = 16,
    classes: int = 3,
    scenes: int = 2,
    seed: int = 0,
) -> Batch:
    """Noise clips whose labels and scenes go round; no masks, no foreground."""
    generator = torch.Generator().manual_seed(seed)
    return Batch(
        video=torch.rand(count, 3, frames, size, size, generator=generator),
        label=torch.arange(count) % classes,
        ids=tuple(f"clip{i}" for i in range(count)),
        nuisance=torch.arange(count) % scenes,
        index=torch.arange(count),
    )


def toy_output(
    count: int = 4,
    frames: int = 4,
    regions: int = 2,
    grid: tuple[int, int] = (2, 2),
    width: int = 3,
    classes: int = 3,
    scenes: int = 2,
    modules: tuple[str, ...] = ("spatial_graph", "graph_prompt_gnn"),
    prompts: int = 0,
    seed: int = 0,
    **given: Tensor,
) -> ActionOutput:
    """A consistent random output; any tensor can be given instead.

    Contributions add up to the logits unless ``logits`` or ``contributions`` are given. Every
    float tensor is a leaf of its own that records gradients, except the ones derived from others.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    def leaf(name: str, value: Tensor) -> Tensor:
        return given[name] if name in given else value.requires_grad_()

    cells = grid[0] * grid[1]
    contributions = leaf("contributions", draw(count, frames, regions, classes))
    bias = leaf("bias", draw(classes))
    frame_logits = contributions.sum(2) * frames + bias
    weights = draw(count, frames * regions).softmax(1).view(count, frames, regions)
    code = leaf("action_code", draw(count, frames, regions, width))
    return ActionOutput(
        logits=given.get("logits", frame_logits.mean(1)),
        frame_logits=frame_logits,
        contributions=contributions,
        bias=bias,
        assignment=leaf("assignment", draw(count, frames, regions, cells).softmax(2)),
        grid=grid,
        action_code=code,
        region_code=given.get("region_code", code),
        nuisance_code=leaf("nuisance_code", draw(count, frames, regions, width)),
        action_gate=leaf("action_gate", torch.ones(count, frames, regions)),
        adjacency=leaf("adjacency", draw(count, frames, regions, regions).softmax(-1)),
        prompts=leaf("prompts", draw(count, frames, prompts, width)),
        prompt_weights=torch.zeros(count, frames, prompts, 0),
        edge_gates={},
        module_logits={m: leaf(f"module_{m}", draw(count, classes)) for m in modules},
        nuisance_logits=leaf("nuisance_logits", draw(count, scenes)),
        region_weights=leaf("region_weights", weights),
        tokens=leaf("tokens", draw(count, frames, cells, width)),
    )


class ToyModel(torch.nn.Module):
    """A tiny trainable model of the full output type, linear in the mean colour of each quarter."""

    def __init__(self, classes: int = 3, scenes: int = 2, width: int = 3) -> None:
        super().__init__()
        self.assign = torch.nn.Linear(3, 2)
        self.action = torch.nn.Linear(3, width)
        self.nuisance = torch.nn.Linear(3, width)
        self.classify = torch.nn.Linear(width, classes)
        self.scene = torch.nn.Linear(width, scenes)
        self.prompt = torch.nn.Linear(width, width)
        self.calls: list[int] = []

    def forward(self, video: Tensor, traced: bool = False) -> ActionOutput:
        """Run on (B, 3, T, H, W) with a 2 x 2 grid and two regions."""
        self.calls.append(len(video))
        tokens = torch.nn.functional.adaptive_avg_pool3d(video, (video.shape[2], 2, 2)).flatten(3)
        tokens = tokens.permute(0, 2, 3, 1)
        if not traced:
            return self.decode(tokens)
        with torch.enable_grad(), HeldGates():
            return self.decode(tokens.detach().requires_grad_())

    def decode(self, tokens: Tensor) -> ActionOutput:
        """What it makes of tokens (B, T, 4, 3)."""
        n, t = tokens.shape[:2]
        assignment = self.assign(tokens).softmax(-1).transpose(2, 3)
        pooled = assignment @ tokens / assignment.sum(-1, keepdim=True)
        code, other = self.action(pooled), self.nuisance(pooled)
        weights = pooled.mean(-1).softmax(-1) / t
        contributions = weights[..., None] * (code @ self.classify.weight.T)
        frame_logits = contributions.sum(2) * t + self.classify.bias
        return ActionOutput(
            logits=frame_logits.mean(1),
            frame_logits=frame_logits,
            contributions=contributions,
            bias=self.classify.bias,
            assignment=assignment,
            grid=(2, 2),
            action_code=code,
            region_code=code,
            nuisance_code=other,
            action_gate=torch.ones_like(weights),
            adjacency=torch.zeros(n, t, 2, 2),
            prompts=self.prompt(code).mean(2, keepdim=True),
            prompt_weights=torch.zeros(n, t, 1, 0),
            edge_gates={},
            module_logits={"spatial_graph": self.classify(code.mean((1, 2)))},
            nuisance_logits=self.scene(other.mean((1, 2))),
            region_weights=weights,
            tokens=tokens,
        )
