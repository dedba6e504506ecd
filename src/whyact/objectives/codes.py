"""The codes that objectives compare: one row a clip, from all processes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.distributed.nn.functional import all_gather

from whyact.ops.independence import MIN_CLIPS
from whyact.types import ActionOutput


def crossed_codes(outputs: Mapping[str, ActionOutput]) -> tuple[Tensor, Tensor]:
    """Mean action and nuisance codes, (n, C) each, of clips whose scene is apart from their action.

    Where action and scene go together in the data, independent codes contradict the right answer;
    so where `foreground_paste` is on, its pasted clips are read, whose scene is drawn apart from
    their action, and the clips themselves only where it is off or made fewer than four. Codes are
    gathered over processes, with gradient.
    """
    pasted = outputs.get("foreground_paste.pasted")
    if pasted is not None:
        action, nuisance = _gathered(pasted)
        if len(action) >= MIN_CLIPS:
            return action, nuisance
    return _gathered(outputs["clip"])


def _gathered(output: ActionOutput) -> tuple[Tensor, Tensor]:
    action, nuisance = output.mean_code(output.action_code), output.mean_code(output.nuisance_code)
    both = gather_rows(torch.cat([action, nuisance], 1))
    return both[:, : action.shape[1]], both[:, action.shape[1] :]


def gather_rows(rows: Tensor) -> Tensor:
    """The rows (n, C) of all processes, with gradient; the same rows where there is one process.

    Every process must call it; n may differ. A process' gradient is the sum over all processes'
    losses, so that averaging the gradients over processes, as distributed training does, gives the
    gradient of one process that holds all rows.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return rows
    mine = torch.tensor([len(rows)], device=rows.device)
    counts = [torch.zeros_like(mine) for _ in range(dist.get_world_size())]
    dist.all_gather(counts, mine)
    sizes = [int(c) for c in counts]
    padded = F.pad(rows, (0, 0, 0, max(sizes) - len(rows)))
    parts = all_gather(padded)
    return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])


def first_row(count: int, device: torch.device) -> int:
    """Where this process' ``count`` rows begin among `gather_rows`; every process must call it."""
    rank = dist.get_rank() if dist.is_available() and dist.is_initialized() else 0
    owner = gather_rows(torch.full((count, 1), rank, device=device))
    return int((owner < rank).sum())


def info_nce(
    anchors: Tensor, candidates: Tensor, positive: Tensor, *, temperature: float,
    left_out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Cross-entropy of finding each anchor's positive among candidates, by the cosine; in nats.

    Source: InfoNCE (van den Oord et al., 2018, eq. 4) with the cosine over a temperature as in
    SimCLR (Chen et al., ICML 2020, eq. 1). ``log m`` is chance.

    Args:
        anchors: (n, C). candidates: (m, C). positive: (n,) row of each anchor's positive.
        temperature: what the cosine is divided by.
        left_out: (n, m) bool, candidates that are neither positive nor negative.

    Returns:
        Scalar, the mean over anchors; 0 for none.
    """
    with torch.autocast(anchors.device.type, enabled=False):
        fit = F.normalize(anchors.float(), dim=1) @ F.normalize(candidates.float(), dim=1).T
        fit = fit / temperature
        if left_out is not None:
            fit = fit.masked_fill(left_out, -torch.inf)
        return F.cross_entropy(fit, positive, reduction="sum") / max(1, len(anchors))
