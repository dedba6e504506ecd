"""What would the model say if the clip, or the model itself, were changed?"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from whyact.audits.changes import CHANGES, Scene
from whyact.config import ClipConfig
from whyact.data.film import Film
from whyact.data.sampling import sample
from whyact.explainers.native import region_tracks
from whyact.explainers.paths import without_chains
from whyact.models.interventions import Intervention, intervened
from whyact.models.recognizer import ActionRecognizer
from whyact.ops.fill import Fill, fill_region
from whyact.ops.motion import foreground
from whyact.report.schema import to_json
from whyact.tasks.explain import explain_classes
from whyact.training.checkpoint import LoadedModel
from whyact.types import ActionOutput, Explanation, WhyactError

BACKGROUNDS = ("original", "human_only", "background_only", "scuba", "swapped")
"""Changes of `whyact.audits.changes.CHANGES` that a page offers; ``swapped`` needs a donor."""


SAID = {
    "original": "", "human_only": "before one colour", "scuba": "before coloured stripes",
    "background_only": "the background alone", "swapped": "before another background",
}  # fmt: skip
FILLED: dict[Fill, str] = {
    "blur": "a blur", "mean": "one colour", "plate": "what other frames show"
}  # fmt: skip


class Node(NamedTuple):
    """A node of the clip graph: time step, ``region`` or ``prompt``, and its number."""

    step: int
    kind: str
    number: int

    def __str__(self) -> str:
        return f"{self.kind} {self.number} in step {self.step + 1}"


Edge = tuple[Node, Node]
"""Sender and receiver."""


def _named(edges: Sequence[Edge]) -> str:
    return ", ".join(f"{source} → {to}" for source, to in edges)


@dataclass(frozen=True)
class Box:
    """A box in space and time that is hidden.

    Attributes:
        left, top, right, bottom: in [0, 1] of the frame. first, last: frames, both included.
    """

    left: float
    top: float
    right: float
    bottom: float
    first: int
    last: int


@dataclass(frozen=True)
class Changes:
    """What is changed; nothing by default.

    Attributes:
        trim: first and last second of the film that the clip is sampled from.
        background: of `BACKGROUNDS`. donor: film that lends the background of ``swapped``.
        boxes: hidden, by ``fill``.
        prompts_off: prompts of a frame. edges_off: of the clip graph.
    """

    trim: tuple[float, float] | None = None
    background: str = "original"
    donor: Film | None = None
    boxes: tuple[Box, ...] = ()
    fill: Fill = "blur"
    prompts_off: frozenset[int] = frozenset()
    edges_off: tuple[Edge, ...] = ()

    def in_words(self) -> str:
        """What is changed, for people; empty where nothing is."""
        behind = SAID[self.background]
        if self.background == "swapped" and self.donor is not None:
            behind = f"before the background of {self.donor.name}"
        hidden, off = len(self.boxes), len(self.edges_off)
        said = [
            f"only {self.trim[0]:.2f} to {self.trim[1]:.2f} s" if self.trim else "",
            behind,
            f"{hidden} box{'es' * (hidden > 1)} hidden by {FILLED[self.fill]}" if hidden else "",
            f"without prompt {', '.join(map(str, sorted(self.prompts_off)))}"
            if self.prompts_off
            else "",
            f"without {off} edge{'s' * (off > 1)} ({_named(self.edges_off)})" if off else "",
        ]
        return "; ".join(part for part in said if part)


@torch.no_grad()
def what_if(
    loaded: LoadedModel, film: Film, changes: Changes, target: int | None = None
) -> list[dict[str, Any]]:
    """Explain a changed clip: JSON values (`whyact.report.schema`), one a class.

    Args:
        loaded: the model. film: the clip is sampled from it as for ``whyact explain``.
        changes: to make. target: class that comes first; the predicted one if None.

    Raises:
        WhyactError: a change that this clip or model does not allow.
    """
    device = next(loaded.model.parameters()).device
    video, times = cut(film, loaded.config.data.clip, changes.trim)
    clip = edited(video[None].to(device).float() / 255, loaded.config.data.clip, changes)
    run, whole = _changed_model(loaded, clip, changes)
    found, chances = explain_classes(
        loaded.model, clip[0], targets=[] if target is None else [target],
        multi_label=loaded.multi_label, run=run,
    )  # fmt: skip
    shown = (clip[0] * 255).round().byte().cpu()
    return [
        to_json(
            e, source=film.name, classes=loaded.classes, probabilities=chances,
            times=times.tolist(), tracks=region_tracks(e), video=shown,
        )
        for e in (whole(one) for one in found)
    ]  # fmt: skip


def cut(
    film: Film, clip: ClipConfig, trim: tuple[float, float] | None = None
) -> tuple[Tensor, Tensor]:
    """The clip (3, T, H, W) uint8 that the model reads from a part of a film, and its times (T,).

    Raises:
        WhyactError: no frame between the first and the last second.
    """
    start, end = trim or (0.0, float("inf"))
    inside = ((film.times >= start - 1e-6) & (film.times <= end + 1e-6)).nonzero().flatten()
    if not len(inside):
        raise WhyactError(f"There is no frame between {start:.2f} s and {end:.2f} s.")
    times = film.times[inside]
    picked = sample(
        (times - times[0]).numpy(), frames=clip.frames, sampling=clip.sampling,
        stride=clip.stride, frame_rate=clip.frame_rate, short=clip.short,
    )  # fmt: skip
    rows = inside[torch.from_numpy(picked)]
    return film.frames[:, rows], film.times[rows]


def edited(clip: Tensor, config: ClipConfig, changes: Changes) -> Tensor:
    """A clip (1, 3, T, H, W) in [0, 1] with another background and boxes hidden."""
    if changes.background != "original":
        clip = _before(clip, config, changes)
    if changes.boxes:
        mask = clip.new_zeros(clip[:, 0].shape)
        height, width = clip.shape[-2:]
        for b in changes.boxes:
            rows, columns = _pixels(b.top, b.bottom, height), _pixels(b.left, b.right, width)
            mask[:, b.first : b.last + 1, rows, columns] = 1
        clip = fill_region(clip, mask, changes.fill)
    return clip


def _pixels(start: float, end: float, size: int) -> slice:
    """Pixels between two shares of an axis, one at least."""
    first = min(round(start * size), size - 1)
    return slice(first, max(round(end * size), first + 1))


def _before(clip: Tensor, config: ClipConfig, changes: Changes) -> Tensor:
    """The moving things of a clip before another background, as an audit puts them there."""
    if changes.background == "swapped" and changes.donor is None:
        raise WhyactError("Choose the clip that lends the background.")
    mask = (foreground(clip) > 0.5).to(clip)
    if not mask.any():
        raise WhyactError("Nothing was found that moves in this clip, so nothing can be cut out.")
    donors, donor_masks = clip, mask
    if changes.donor is not None:
        donors = cut(changes.donor, config)[0][None].to(clip) / 255
        donor_masks = (foreground(donors) > 0.5).to(clip)
    scene = Scene(clip, mask, donors, donor_masks, torch.zeros(1, dtype=torch.int64))
    return CHANGES[changes.background].make(scene)


Whole = Callable[[Explanation], Explanation]


def _changed_model(
    loaded: LoadedModel, clip: Tensor, changes: Changes
) -> tuple[Callable[[Tensor], ActionOutput], Whole]:
    """The model without what is switched off, and how its explanations get their numbers back."""
    model, off = loaded.model, changes.prompts_off
    if not (off or changes.edges_off):
        return model, lambda e: e
    if not isinstance(model, ActionRecognizer):
        raise WhyactError("This model has neither prompts nor edges that could be switched off.")
    run = intervened(model, Intervention(without=off))
    if changes.edges_off:
        keep = _without(run(clip), changes.edges_off, off)
        run = intervened(model, Intervention(without=off, keep=keep))
    return run, lambda e: _numbered(e, off)


def _without(
    output: ActionOutput, edges: Sequence[Edge], off: Collection[int]
) -> dict[str, Tensor]:
    """What the gates are multiplied by; edges of prompts that are off are gone already."""
    steps, regions = output.assignment.shape[1:3]
    width = regions + output.prompts.shape[2]
    window = output.edge_gates["temporal"].shape[2] // 2 if output.edge_gates else -1
    place = {("region", k): k for k in range(regions)}
    place |= {("prompt", p): regions + i for i, p in enumerate(_left(width - regions, off))}
    gone = {("prompt", p) for p in off}
    chains = []
    for source, to in edges:
        ends = {source[1:], to[1:]}
        apart = abs(to.step - source.step)
        fits = apart == 0 or (apart <= window and to.kind == source.kind == "region")
        fits = fits and window >= 0 and max(source.step, to.step) < steps
        if not fits or ends - place.keys() - gone:
            raise WhyactError("The model has no such edge.")
        if not ends & gone:
            nodes = [to.step * width + place[to[1:]], source.step * width + place[source[1:]]]
            chains.append(nodes)
    return {k: v.amin(0, keepdim=True) for k, v in without_chains(output, chains).items() if chains}


def _left(count: int, off: Collection[int]) -> list[int]:
    """Numbers of the ``count`` prompts that are left."""
    return [p for p in range(count + len(off)) if p not in off]


def _numbered(e: Explanation, off: Collection[int]) -> Explanation:
    """An explanation whose prompts have the numbers that they have when all are on."""
    steps, left, bank = e.prompt_weights.shape
    regions = e.assignment.shape[1]
    numbers = _left(left, off)
    weights = torch.zeros(steps, left + len(off), bank)
    weights[:, numbers] = e.prompt_weights

    def node(place: tuple[int, int]) -> tuple[int, int]:
        t, i = place
        return (t, i) if i < regions else (t, regions + numbers[i - regions])

    path = tuple(replace(s, source=node(s.source), target=node(s.target)) for s in e.path)
    return replace(e, prompt_weights=weights, path=path)
