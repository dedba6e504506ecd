"""Robustness and randomisation: maps must not jump, and must depend on the model and the class."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from whyact.metrics.maps import check_heat, map_similarity
from whyact.ops.draw import clip_generators, clip_rand
from whyact.types import WhyactError

Attribute = Callable[[Tensor], Tensor]
"""Maps clips (B, 3, T, H, W) to heat maps (B, T, H, W), for classes that it knows."""


def neighbours(clips: Tensor, *, radius: float, samples: int, seed: int = 0) -> list[Tensor]:
    """Clips with uniform noise of at most ``radius``, cut to [0, 1]; drawn from a clip's pixels."""
    if samples < 1 or not 0 < radius < 1:
        raise WhyactError(
            f"Expected at least one sample and a radius in (0, 1), got {samples} and {radius}."
        )
    noise = clip_rand(clip_generators(clips, seed), (samples, *clips.shape[1:]), clips)
    shifts = (2 * noise - 1) * radius
    return [(clips + shifts[:, s]).clamp(0, 1) for s in range(samples)]


def largest_change(heat: Tensor, others: Sequence[Tensor]) -> Tensor:
    """Largest ``|phi' - phi| / |phi|`` (B,) over the maps of a clip's neighbours.

    NaN where the map of the clip itself is empty.

    Args:
        heat: (B, T, H, W). others: maps of the neighbours, each like ``heat``.
    """
    first = check_heat(heat).flatten(1)
    size = first.norm(dim=1)
    changes = torch.stack([(check_heat(h).flatten(1) - first).norm(dim=1) for h in others])
    value = changes.amax(0) / size.clamp_min(1e-300)
    return value.where(size > 0, value.new_tensor(float("nan")))


def max_sensitivity(
    attribute: Attribute, clips: Tensor, *, radius: float = 0.02, samples: int = 4, seed: int = 0
) -> Tensor:
    """How far a map moves when the clip hardly does (Yeh et al., NeurIPS 2019, def. 3.2), (B,).

    Relative to the map's norm, over uniform noise; lower is better. A constant map wins with 0, so
    never rank by this alone. The classes are those of the clip as it is: ``attribute`` holds them.

    Args:
        attribute: see `Attribute`; it is called ``samples + 1`` times.
        clips: (B, 3, T, H, W). radius: of the noise, RGB in [0, 1]. samples: draws. seed: of them.
    """
    near = neighbours(clips, radius=radius, samples=samples, seed=seed)
    return largest_change(attribute(clips), [attribute(c) for c in near])


def random_logit(heat: Tensor, other: Tensor) -> Tensor:
    """Similarity (B,) of the maps for the class and for another one; lower is better.

    Source: Sixt et al. (ICML 2020). See `map_similarity`; a map that ignores the class scores 1.
    Noisy maps pass: read it beside faithfulness.
    """
    return map_similarity(heat, other)


def other_classes(targets: Tensor, clips: Tensor, classes: int, seed: int = 0) -> Tensor:
    """Another class (B,) for each clip, drawn from its pixels.

    Raises:
        WhyactError: there is just one class.
    """
    if classes < 2:
        raise WhyactError("The random-logit test needs at least two classes.")
    draws = clip_rand(clip_generators(clips, seed), (), clips)
    step = 1 + (draws * (classes - 1)).long().clamp_max(classes - 2)
    return (targets.to(step.device) + step) % classes


def top_down(
    model: nn.Module, score: Callable[[], Tensor] | None = None
) -> list[list[nn.Parameter]]:
    """The parameters of a model's children, the last child first; those without any are left out.

    Args:
        model: whose children are in the order of the forward pass.
        score: gives what is explained, with gradient; children without a part in it (a head for
            something else) are left out too, as their weights could be anything.

    Raises:
        WhyactError: a model without parameters.
    """
    acting = None if score is None else _acting(model, score)
    stages: list[list[nn.Parameter]] = []
    for part in [*reversed(list(model.children())), model]:
        stage = [p for p in part.parameters() if p.numel() and (acting is None or id(p) in acting)]
        if stage and (part is not model or not stages):
            stages.append(stage)
    if not stages:
        raise WhyactError("Parameter randomisation needs a model with weights.")
    return stages


def _acting(model: nn.Module, score: Callable[[], Tensor]) -> set[int]:
    """Ids of the parameters that a score depends on."""
    parameters = list(model.parameters())
    learn = [p.requires_grad for p in parameters]
    with torch.enable_grad():
        for p in parameters:
            p.requires_grad_(True)
        found = torch.autograd.grad(score().sum(), parameters, allow_unused=True)
    for p, before in zip(parameters, learn, strict=True):
        p.requires_grad_(before)
    return {id(p) for p, g in zip(parameters, found, strict=True) if g is not None}


@contextmanager
def redrawn(parameters: Sequence[nn.Parameter], seed: int = 0) -> Iterator[None]:
    """Parameters drawn anew while the context is open: each tensor's own values, shuffled.

    A shuffle keeps the scale of every layer, which fresh initial weights would not.
    """
    saved = [p.detach().clone() for p in parameters]
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in parameters:
            order = torch.randperm(p.numel(), generator=generator).to(p.device)
            p.copy_(p.flatten()[order].view_as(p))
    try:
        yield
    finally:
        with torch.no_grad():
            for p, value in zip(parameters, saved, strict=True):
                p.copy_(value)


def cascade(
    attribute: Callable[[], Tensor], stages: Sequence[Sequence[nn.Parameter]], *, seed: int = 0
) -> list[Tensor]:
    """Maps after weights are drawn anew, stage by stage from the output down, each on the last.

    Args:
        attribute: gives the maps (B, T, H, W) of the model as it is at the call.
        stages: see `top_down`. seed: of the draws.
    """
    maps = []
    for count in range(1, len(stages) + 1):
        with redrawn([p for stage in stages[:count] for p in stage], seed):
            maps.append(attribute())
    return maps


def parameter_randomisation(
    attribute: Callable[[], Tensor], stages: Sequence[Sequence[nn.Parameter]], *, seed: int = 0
) -> Tensor:
    """Similarity (B, stages) of a map before and after its model forgets; lower is better.

    Cascading randomisation (Adebayo et al., NeurIPS 2018, sec. 3.1) with rank correlation. A map
    that does not look at the model stays as it is and scores 1. Noisy maps pass.

    Args:
        attribute, stages, seed: see `cascade`.
    """
    first = attribute()
    return torch.stack([map_similarity(first, m) for m in cascade(attribute, stages, seed=seed)], 1)
