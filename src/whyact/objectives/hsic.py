"""Independence of the action code and the nuisance code, measured by kernels."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from whyact.objectives.base import Objective, View
from whyact.objectives.codes import crossed_codes
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

    It reads pasted clips where there are any (`whyact.objectives.codes.crossed_codes`).

    Statistics are gathered over processes, with gradient, so that the result is that of one process
    with the whole batch; gradient accumulation still splits the batch. Give it 16 pasted clips at a
    time or more: of independent codes it is 0.06 by chance then (median of its size), 0.15 of 8
    clips, and 0.7 of 4.

    Args:
        permutations: of the p-value that is logged as ``hsic_p``; 0 skips it.
    """

    name = "hsic"
    needs_regions = True

    def __init__(self, *, permutations: int = 0) -> None:
        if permutations < 0:
            raise WhyactError(f"hsic_permutations must be at least 0, got {permutations}.")
        self.permutations = permutations

    def loss(
        self, outputs: Mapping[str, ActionOutput], batch: Batch, views: Mapping[str, View]
    ) -> Tensor:
        """In about [-1, 1]; 0 for codes of width 0 or fewer than four clips."""
        action, nuisance = crossed_codes(outputs)
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
            action, nuisance = crossed_codes(outputs)
            p = permutation_p_value(action, nuisance, self.permutations, generator)
        return {"hsic_p": action.new_tensor(p)}
