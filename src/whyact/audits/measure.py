"""What a model says of clips under every change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from rich.progress import track
from torch import Tensor

from whyact.audits.changes import CHANGES, Scene
from whyact.audits.clips import AuditClips
from whyact.explainers.base import Model, logits_of
from whyact.metrics.background import contrasted_accuracy
from whyact.metrics.summary import Summary, summarise
from whyact.types import WhyactError

NAN = float("nan")

MEASURES: dict[str, str] = {
    **{name: f"accuracy on {change.text}" for name, change in CHANGES.items()},
    "contrasted": "right on the moving actor before stripes and wrong on its still frame",
    "background_reliance": "accuracy lost when another background takes the own one's place",
    "follows_background": "share of swapped clips that are named after the background's clip",
    "paste_cost": "accuracy lost by cutting and pasting alone",
    "order_use": "accuracy lost when the frames are shuffled",
    "motion_use": "accuracy lost when the middle frame stands still",
}
"""All numbers of an audit that a bound can be put on."""


@dataclass(frozen=True)
class Answers:
    """Logits by change; NaN in the rows where a change is not defined.

    Attributes:
        logits: (n, Y) by name of `CHANGES`.
    """

    logits: dict[str, Tensor]

    @property
    def target(self) -> Tensor:
        """(n,) the class that the model names on the clips as they are."""
        return self.logits["original"].argmax(1)

    def defined(self, change: str) -> Tensor:
        """(n,) bool."""
        return ~self.logits[change].isnan().any(1)

    def named(self, change: str) -> Tensor:
        """(n,) the class that the model names; -1 where undefined."""
        logits = self.logits[change]
        return torch.where(self.defined(change), logits.nan_to_num().argmax(1), -1)

    def hits(self, change: str, labels: Tensor) -> Tensor:
        """(n,) float64, 1 where the class is right; NaN where undefined."""
        right = (self.named(change) == labels).double()
        return right.where(self.defined(change), right.new_tensor(NAN))

    def probability_of(self, change: str, classes: Tensor) -> Tensor:
        """(n,) probability of classes (n,); NaN where undefined."""
        return self.logits[change].softmax(1).gather(1, classes[:, None]).squeeze(1)


@torch.no_grad()
def ask(
    model: Model, clips: AuditClips, *, seed: int = 0, batch_size: int = 16, device: str = "cpu"
) -> Answers:
    """Run a model on the clips under every change.

    Args:
        model: see `whyact.explainers.base.Model`; one output for each class of the clips.
        clips: to change.
        seed: of shuffles and stripes. batch_size: clips a forward pass. device: of the model.

    Raises:
        WhyactError: outputs that are not one logit a class, or no finite numbers.
    """
    found = {name: torch.full((len(clips), len(clips.classes)), NAN) for name in CHANGES}
    usable = {"": torch.ones(len(clips), dtype=torch.bool), "mask": clips.masked}
    # A donor lends its background: where its own actor was found it is taken out.
    usable["donor"] = usable["mask"] & (clips.donor >= 0) & clips.masked[clips.donor]
    parts = torch.arange(len(clips)).split(batch_size)
    for rows in track(parts, "Ask the model", transient=True):
        whole = _scene(clips, rows, seed)
        for name, change in CHANGES.items():
            keep = usable[change.needs][rows]
            if not bool(keep.any()):
                continue
            changed = change.make(_part(whole, keep)).to(device)
            logits = checked_logits(model, changed, len(clips.classes))
            found[name][rows[keep]] = logits.float().cpu()
    return Answers(found)


def checked_logits(model: Model, clips: Tensor, classes: int) -> Tensor:
    """Logits (B, Y), finite, one for each of the classes."""
    logits = logits_of(model, clips)
    if logits.shape[1] != classes:
        raise WhyactError(
            f"The model gives {logits.shape[1]} logits, the data has {classes} classes."
        )
    if not bool(torch.isfinite(logits).all()):
        raise WhyactError("The model gave logits that are no finite numbers.")
    return logits


def _scene(clips: AuditClips, rows: Tensor, seed: int) -> Scene:
    own, donors = clips.floats(rows), clips.floats(clips.donor[rows].clamp_min(0))
    return Scene(*own, *donors, seeds=rows + 1_000_003 * seed)


def _part(scene: Scene, keep: Tensor) -> Scene:
    return Scene(
        scene.clips[keep], scene.masks[keep], scene.donors[keep], scene.donor_masks[keep],
        scene.seeds[keep],
    )  # fmt: skip


def middle_frames(
    clips: AuditClips, rows: Tensor, changes: Sequence[str], *, seed: int = 0
) -> dict[str, Tensor]:
    """The middle frame (b, 3, H, W) of rows (b,) under each change, as the model saw it."""
    if not len(rows):
        return {name: clips.video[:0, :, 0].float() for name in changes}
    scene = _scene(clips, rows, seed)
    middle = clips.video.shape[2] // 2
    return {name: CHANGES[name].make(scene)[:, :, middle].clamp(0, 1) for name in changes}


def values(answers: Answers, clips: AuditClips) -> dict[str, Tensor]:
    """(n,) a clip by measure, see `MEASURES`; NaN where undefined."""
    hits = {name: answers.hits(name, clips.labels) for name in CHANGES}
    donors = clips.labels[clips.donor.clamp_min(0)]
    return {
        **hits,
        "contrasted": contrasted_accuracy(hits["scuba"], hits["scufo"]),
        "background_reliance": hits["own_background"] - hits["swapped"],
        "follows_background": answers.hits("swapped", donors),
        "paste_cost": hits["original"] - hits["own_background"],
        "order_use": hits["original"] - hits["shuffled"],
        "motion_use": hits["original"] - hits["static"],
    }


def summaries(found: dict[str, Tensor], *, seed: int = 0) -> dict[str, Summary]:
    """Mean and bootstrap 95 % interval over clips of every measure."""
    return {name: summarise(one, seed=seed) for name, one in found.items()}
