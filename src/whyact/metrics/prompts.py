"""Prompts: do they differ from each other, and do they say something of the clip?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from whyact.types import WhyactError


def prompt_redundancy(prompts: Tensor) -> Tensor:
    """Mean absolute cosine between the prompts of a frame, over frames, (n,); lower is better.

    Args:
        prompts: (n, T', P, C). NaN for fewer than two prompts.
    """
    count = prompts.shape[2]
    if count < 2:
        return prompts.new_full((len(prompts),), float("nan"), dtype=torch.float64)
    unit = F.normalize(prompts.double(), dim=-1)
    cosine = (unit @ unit.transpose(-1, -2)).abs()
    off = cosine.sum((-1, -2)) - cosine.diagonal(dim1=-2, dim2=-1).sum(-1)
    return (off / (count * (count - 1))).mean(1)


def effective_rank(bank: Tensor) -> float:
    """How many prompts of a bank (M, C) are really different, from 1 to M; higher is better.

    ``exp`` of the entropy of the normalised singular values (Roy and Vetterli, EUSIPCO 2007).

    Raises:
        WhyactError: an empty bank, or one that is zero.
    """
    if bank.ndim != 2 or not bank.numel() or not bool(bank.any()):
        raise WhyactError(f"Expected a bank (M, C) of prompts, got {tuple(bank.shape)} or zeros.")
    values = torch.linalg.svdvals(bank.detach().double())
    share = values / values.sum()
    return float(torch.exp(-(share * share.clamp_min(1e-300).log()).sum()))


@dataclass(frozen=True)
class Alignment:
    """How well a clip is found by its prompts.

    Attributes:
        rank: (n,) of the clip among the candidates, 0 for the first, 1 for the last; 0.5 is chance.
        found: (n,), 1 where it is the first.
        information: lower bound of the mutual information of prompts and content, in nats; at most
            ``log(candidates)``.
        candidates: clips to choose from, the right one among them.
    """

    rank: Tensor
    found: Tensor
    information: float
    candidates: int


def prompt_alignment(
    prompts: Tensor, content: Tensor, *, candidates: int = 100, ridge: float = 0.05, seed: int = 0
) -> Alignment:
    """Find each clip among others by its prompts.

    A ridge regression from prompts to content is learnt on one half of the clips and asked on the
    other, and the other way round; candidates are ranked by the cosine of told and true content.
    The information is the InfoNCE bound (van den Oord et al., 2018, eq. 5) at the best temperature
    of five. Prompts that do not see the clip rank at chance.

    Args:
        prompts: (n, D), a row a clip, e.g. the mixture weights, flattened.
        content: (n, D'), a row a clip, e.g. the mean backbone token; never something that the
            prompts went into.
        candidates: of every question; fewer where a half has fewer clips.
        ridge: of the regression, relative to the mean variance. seed: of halves and candidates.

    Raises:
        WhyactError: fewer than eight clips, or different numbers of them.
    """
    count = len(prompts)
    if count < 8 or len(content) != count:
        raise WhyactError(
            f"Prompt alignment needs prompts and content of the same clips, at least eight, got "
            f"{count} and {len(content)}."
        )
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(count, generator=generator)
    halves = order[: count // 2], order[count // 2 :]
    candidates = min(candidates, count // 2)
    x, y = _standardised(prompts), _standardised(content)
    rank, found = x.new_zeros(count), x.new_zeros(count)
    logs = []
    for asked, learnt in (halves, halves[::-1]):
        gram = x[learnt].T @ x[learnt]
        size = ridge * gram.diagonal().mean().clamp_min(1e-9)
        weights = torch.linalg.solve(
            gram + size * torch.eye(len(gram)).to(gram), x[learnt].T @ y[learnt]
        )
        told = F.normalize(x[asked] @ weights, dim=1)
        fit = told @ F.normalize(y[asked], dim=1).T
        chosen = _candidates(len(asked), candidates, generator).to(fit.device)
        scores = fit.gather(1, chosen)  # the right one comes first
        rest = scores[:, 1:]
        ahead = (rest > scores[:, :1]).double() + 0.5 * (rest == scores[:, :1]).double()
        rank[asked] = ahead.mean(1)
        found[asked] = (ahead.sum(1) < 0.5).double()
        logs.append(scores)
    both = torch.cat(logs)
    bounds = [
        float(math.log(candidates) + (both / t).log_softmax(1)[:, 0].mean())
        for t in (0.02, 0.05, 0.1, 0.3, 1.0)
    ]
    return Alignment(rank, found, max(0.0, *bounds), candidates)


def _standardised(values: Tensor) -> Tensor:
    values = values.detach().double().flatten(1)
    spread = values.std(0)
    scale = torch.where(spread > 1e-8, 1 / spread.clamp_min(1e-8), 0.0)
    return (values - values.mean(0)) * scale


def _candidates(count: int, size: int, generator: torch.Generator) -> Tensor:
    """(count, size): each row's own number, then others without repeats."""
    rows = []
    for i in range(count):
        others = torch.randperm(count - 1, generator=generator)[: size - 1]
        rows.append(torch.cat([torch.tensor([i]), others + (others >= i)]))
    return torch.stack(rows)
