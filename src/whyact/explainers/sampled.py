"""Explainers that average over random samples: SmoothGrad, GradientSHAP and RISE.

Own code, because Captum draws its noise for whole batches, so that its maps depend on how clips are
batched; on models for which the samples do not matter both agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from whyact.explainers.base import Model, from_heat, logits_of, picked, scored
from whyact.ops.draw import clip_generators, clip_rand
from whyact.ops.fill import Fill, filling
from whyact.ops.probability import Probabilities, one_of
from whyact.types import Explanation, WhyactError


def _jobs(clips: int, samples: int, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows and samples (n,) of every forward pass, each pair once, clip by clip."""
    pairs = torch.arange(clips * samples)
    for part in pairs.split(batch_size):
        yield part // samples, part % samples


def _mean_gradients(
    model: Model, targets: Tensor, samples: int, batch_size: int, shape: torch.Size,
    point: Callable[[Tensor, Tensor], tuple[Tensor, Tensor | None]],
) -> Tensor:  # fmt: skip
    """Mean over samples of the target logit's gradient, (B, 3, T, H, W).

    ``point(rows, draws)`` gives where the gradients are taken and what they are multiplied by.
    """
    total = torch.zeros(shape, device=targets.device)
    for rows, draws in _jobs(shape[0], samples, batch_size):
        where, factor = point(rows, draws)
        with torch.enable_grad():
            where = where.detach().requires_grad_()
            score = picked(logits_of(model, where), targets[rows.to(targets.device)]).sum()
            (gradient,) = torch.autograd.grad(score, where)
        total.index_add_(
            0, rows.to(total.device), gradient if factor is None else gradient * factor
        )
    return total / samples


class SmoothGrad:
    """Size of the gradient, averaged over noisy copies of the clip (Smilkov et al., 2017, eq. 1).

    A pixel's value is the sum over its colours of the absolute mean gradient; so it tells what the
    score is sensitive to, for or against the class.

    Args:
        model: see `whyact.explainers.base.Model`.
        samples: noisy copies. deviation: of the noise, with RGB in [0, 1].
        batch_size: clips a forward pass. seed: of the noise; neither batch nor batch size matters.
    """

    name = "smooth_grad"

    def __init__(
        self, *, model: Model, samples: int = 16, deviation: float = 0.1, batch_size: int = 16,
        seed: int = 0,
    ) -> None:  # fmt: skip
        self.model, self.samples, self.deviation = model, samples, deviation
        self.batch_size, self.seed = batch_size, seed

    def __call__(self, clips: Tensor, targets: Tensor | None = None) -> list[Explanation]:
        """``samples`` forward and backward passes, and a forward pass for the score."""
        targets, scores = scored(self.model, clips, targets)
        seeds = clip_generators(clips, self.seed)
        noise = clip_rand(seeds, (self.samples, *clips.shape[1:]), clips, normal=True)

        def point(rows: Tensor, draws: Tensor) -> tuple[Tensor, None]:
            return clips[rows] + self.deviation * noise[rows, draws], None

        mean = _mean_gradients(
            self.model, targets, self.samples, self.batch_size, clips.shape, point
        )
        return from_heat(self.name, mean.abs().sum(1), targets, scores)


class GradientShap:
    """Expected gradients: between the clip and a random baseline (Lundberg and Lee, 2017).

    The mean over samples of ``(clip - baseline) * gradient`` at a random point between both
    (Erion et al., Nature Machine Intelligence 2021, eq. 3). Baselines are fill-ins of the whole
    clip instead of clips of the data set, so that an explainer needs no data. A pixel's value is
    the sum over its colours; the heat map is its positive part.

    Args:
        model: see `whyact.explainers.base.Model`.
        samples: points, that go round the baselines. baselines: names of fill-ins.
        batch_size: clips a forward pass. seed: of the points; neither batch nor batch size matters.

    Raises:
        WhyactError: no baselines.
    """

    name = "gradient_shap"

    def __init__(
        self, *, model: Model, samples: int = 16, baselines: Sequence[Fill] = ("blur", "mean"),
        batch_size: int = 16, seed: int = 0,
    ) -> None:  # fmt: skip
        if not baselines:
            raise WhyactError("GradientSHAP needs at least one baseline, such as blur.")
        self.model, self.samples, self.batch_size, self.seed = model, samples, batch_size, seed
        self.baselines = tuple(baselines)

    def __call__(self, clips: Tensor, targets: Tensor | None = None) -> list[Explanation]:
        """``samples`` forward and backward passes, and a forward pass for the score."""
        targets, scores = scored(self.model, clips, targets)
        whole = torch.ones_like(clips[:, 0])
        starts = torch.stack([filling(clips, whole, fill) for fill in self.baselines])
        place = clip_rand(clip_generators(clips, self.seed), (self.samples,), clips)

        def point(rows: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
            start = starts[draws % len(starts), rows]
            way = clips[rows] - start
            return start + place[rows, draws].view(-1, 1, 1, 1, 1) * way, way

        mean = _mean_gradients(
            self.model, targets, self.samples, self.batch_size, clips.shape, point
        )
        return from_heat(self.name, mean.sum(1), targets, scores)


class Rise:
    """How the class's probability goes with what is shown (RISE, Petsiuk et al., BMVC 2018).

    Random masks keep each space-time tube with a probability, are enlarged smoothly and shifted,
    and the rest of the clip is filled in. Deviations: tubes in place of cells; a fill-in in place
    of black; and a pixel's value is the covariance of its mask with the probability, over the
    mask's variance, in place of ``E[p * mask] / E[mask]`` (eq. 6), so that a pixel that changes
    nothing has 0 in place of the mean probability. The heat map is the positive part. All clips
    share their masks, so the map of a clip does not depend on the others.

    Args:
        model: see `whyact.explainers.base.Model`.
        masks: how many. grid: (frames, rows, columns) of tubes that a mask has. keep: probability.
        fill: what goes in place of a hidden tube. batch_size: clips a forward pass. seed: of the
            masks. probabilities: of logits.
    """

    name = "rise"

    def __init__(
        self, *, model: Model, masks: int = 1000, grid: tuple[int, int, int] = (4, 7, 7),
        keep: float = 0.5, fill: Fill = "blur", batch_size: int = 16, seed: int = 0,
        probabilities: Probabilities = one_of,
    ) -> None:  # fmt: skip
        self.model, self.masks, self.grid, self.keep = model, masks, grid, keep
        self.probabilities = probabilities
        self.batch_size, self.seed = batch_size, seed
        self.fill: Fill = fill

    @torch.no_grad()
    def __call__(self, clips: Tensor, targets: Tensor | None = None) -> list[Explanation]:
        """One forward pass a mask, and one for the score; arguments as in `Explainer`."""
        targets, logits = scored(self.model, clips, targets)
        size = (clips.shape[2], clips.shape[3], clips.shape[4])
        fills = filling(clips, torch.ones_like(clips[:, 0]), self.fill)
        generator = torch.Generator().manual_seed(self.seed)
        with_score = clips.new_zeros(clips[:, 0].shape, dtype=torch.float64)
        total, square = torch.zeros_like(with_score[0]), torch.zeros_like(with_score[0])
        scores = clips.new_zeros(len(clips), dtype=torch.float64)
        for chunk in torch.arange(self.masks).split(max(1, self.batch_size // len(clips))):
            masks = self._draw(len(chunk), size, generator).to(clips)
            shown = torch.lerp(fills[None], clips[None], masks[:, None, None])
            found = self.probabilities(logits_of(self.model, shown.flatten(0, 1))).double()
            chance = found.view(len(chunk), len(clips), -1).gather(
                2, targets.expand(len(chunk), -1)[..., None]
            )[..., 0]
            masks = masks.double()
            with_score += torch.einsum("mb,mthw->bthw", chance, masks)
            total += masks.sum(0)
            square += masks.square().sum(0)
            scores += chance.sum(0)
        mean = total / self.masks
        spread = (square / self.masks - mean.square()).clamp_min(1e-6)
        heat = with_score / self.masks - (scores / self.masks)[:, None, None, None] * mean
        return from_heat(self.name, (heat / spread).float(), targets, logits)

    def _draw(self, count: int, size: tuple[int, int, int], generator: torch.Generator) -> Tensor:
        """(count, T, H, W) in [0, 1]: coarse tubes, enlarged, cut out at a random shift."""
        grid = [min(g, n) for g, n in zip(self.grid, size, strict=True)]
        tube = [-(-n // g) for g, n in zip(grid, size, strict=True)]
        made = []
        for _ in range(count):
            coarse = (torch.rand([g + 1 for g in grid], generator=generator) < self.keep).float()
            fine = [(g + 1) * n for g, n in zip(grid, tube, strict=True)]
            large = F.interpolate(coarse[None, None], fine, mode="trilinear")[0, 0]
            at = [int(torch.randint(n, (), generator=generator)) for n in tube]
            made.append(large[tuple(slice(a, a + n) for a, n in zip(at, size, strict=True))])
        return torch.stack(made)
