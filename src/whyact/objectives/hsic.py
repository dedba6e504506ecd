"""Independence of the action code and the nuisance code, measured by kernels."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.distributed.nn.functional import all_gather

from whyact.objectives.base import Objective, View
from whyact.objectives.terms import zero
from whyact.ops.independence import MIN_CLIPS, normalised_hsic, permutation_p_value
from whyact.types import ActionOutput, Batch, WhyactError


class Hsic(Objective):
    """Normalised HSIC between the clips' mean action code and mean nuisance code.

    ``nHSIC(a, z) = HSIC(a, z) / sqrt(HSIC(a, a) HSIC(z, z))``, which is the kernel alignment of
    Kornblith et al. (ICML 2019, eq. 4), with Gaussian kernels whose bandwidth is the median
    distance (constant for the gradient) and the unbiased estimate of each term (Song et al., JMLR
    2012, eq. 5). The estimate is not clipped at 0: its gradient stays an unbiased direction, and
    the mean over batches of a converged, independent pair is 0. The normalisation keeps a code from
    looking independent by shrinking.

    Where action and scene go together in the data, independent codes contradict the right answer;
    so where `foreground_paste` is on, its pasted clips are read, whose scene is drawn apart from
    their action, and the clips themselves only where it is off or made fewer than four.

    Statistics are gathered over processes, with gradient, so that the result is that of one process
    with the whole batch; gradient accumulation still splits the batch.

    Args:
        permutations: of the p-value that is logged as ``hsic_p``; 0 skips it.
    """

    name = "hsic"

    def __init__(self, *, permutations: int = 0) -> None:
        if permutations < 0:
            raise WhyactError(f"hsic_permutations must be at least 0, got {permutations}.")
        self.permutations = permutations

    def loss(
        self, outputs: Mapping[str, ActionOutput], batch: Batch, views: Mapping[str, View]
    ) -> Tensor:
        """In about [-1, 1]; 0 for codes of width 0 or fewer than four clips."""
        action, nuisance = _codes(outputs)
        if action.shape[1] == 0 or nuisance.shape[1] == 0 or len(action) < MIN_CLIPS:
            return zero(outputs["clip"])
        return normalised_hsic(action, nuisance)

    def measures(
        self,
        outputs: Mapping[str, ActionOutput],
        batch: Batch,
        views: Mapping[str, View],
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """``hsic_p``, the permutation p-value of the batch."""
        if not self.permutations:
            return {}
        with torch.no_grad():
            action, nuisance = _codes(outputs)
            p = permutation_p_value(action, nuisance, self.permutations, generator)
        return {"hsic_p": action.new_tensor(p)}


def _codes(outputs: Mapping[str, ActionOutput]) -> tuple[Tensor, Tensor]:
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
