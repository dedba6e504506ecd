"""The clips of an audit, with the actors' masks and a donor of another background for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from rich.progress import track
from torch import Tensor

from whyact.data.loader import load
from whyact.data.protocol import ClipDataset
from whyact.ops.motion import whole_actors
from whyact.types import Failure, WhyactError

Segmenter = Callable[[Tensor], Tensor]
"""Maps images (N, 3, H, W), RGB in [0, 1], to the probability (N, 1, H, W) of an actor."""
MASKS = ("auto", "given", "motion", "none")


@dataclass(frozen=True)
class AuditClips:
    """Clips of equal size with single labels.

    Attributes:
        video: (n, 3, T, H, W) uint8. labels: (n,) int64. ids: n names.
        nuisance: (n,) int64 scene, -1 where unknown.
        mask: (n, T, H, W) bool; all false where a clip has none.
        masks_from: who made each mask: ``given``, ``motion``, ``segmentation`` or ``none``.
        donor: (n,) int64, the clip whose background each gets, of another class and each used once;
            -1 where the classes leave none.
        classes, scenes: names. expected: clips asked for. failures: those that could not be read.
    """

    video: Tensor
    labels: Tensor
    ids: tuple[str, ...]
    nuisance: Tensor
    mask: Tensor
    masks_from: tuple[str, ...]
    donor: Tensor
    classes: tuple[str, ...]
    scenes: tuple[str, ...]
    expected: int
    failures: tuple[Failure, ...]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def masked(self) -> Tensor:
        """(n,) bool: clips with a mask that is neither empty nor full."""
        flat = self.mask.flatten(1)
        return flat.any(1) & ~flat.all(1)

    def floats(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Clips (b, 3, T, H, W) in [0, 1] and masks (b, T, H, W) in {0, 1} of rows (b,)."""
        return self.video[rows].float() / 255, self.mask[rows].float()


def collect(
    dataset: ClipDataset, *, clips: int = 200, seed: int = 0, masks: str = "auto",
    segmenter: Segmenter | None = None, workers: int = 0,
) -> AuditClips:  # fmt: skip
    """Read the clips of an audit, the first view of each.

    Args:
        dataset: with a single label a clip. clips: how many are drawn from it, at most.
        seed: of the draw and of the donors.
        masks: ``given`` takes those of the data set, ``motion`` finds what moves
            (`whyact.ops.motion`), ``auto`` takes the given ones and motion where there are none,
            ``none`` does without.
        segmenter: makes the masks instead, frame by frame. workers: loader processes.

    Raises:
        WhyactError: several labels a clip, clips without a label, or no clip that can be read.
    """
    if masks not in MASKS:
        raise WhyactError(
            f"Unknown masks '{masks}'; choose from {list(MASKS)}, or give the file of a "
            "segmentation model."
        )
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(dataset), generator=generator)[:clips].sort().values.tolist()
    videos, found, sources, failures = [], [], [], []
    labels, ids, scenes = [], [], []
    batches = [[(i, 0)] for i in chosen]
    for batch in track(load(dataset, batches, workers=workers), "Read", total=len(batches)):
        failures += list(batch.failures)
        if not len(batch):
            continue
        if batch.label.ndim != 1 or int(batch.label[0]) < 0:
            raise WhyactError(f"{batch.ids[0]}: an audit needs clips with exactly one label.")
        mask, source = _mask(batch.video, batch.mask, masks, segmenter)
        videos.append(batch.video[0])
        found.append(mask)
        sources.append(source)
        labels.append(int(batch.label[0]))
        ids.append(batch.ids[0])
        scenes.append(int(batch.nuisance[0]))
    if not videos:
        why = f", e.g. {failures[0].id}: {failures[0].reason}" if failures else ""
        raise WhyactError(f"None of {len(chosen)} clips could be read{why}.")
    classes = torch.tensor(labels)
    return AuditClips(
        video=torch.stack(videos), labels=classes, ids=tuple(ids), nuisance=torch.tensor(scenes),
        mask=torch.stack(found), masks_from=tuple(sources),
        donor=draw_donors(classes, generator), classes=tuple(dataset.classes),
        scenes=tuple(dataset.scenes), expected=len(chosen), failures=tuple(failures),
    )  # fmt: skip


def _mask(
    video: Tensor, given: Tensor | None, masks: str, segmenter: Segmenter | None
) -> tuple[Tensor, str]:
    """(T, H, W) bool of a clip (1, 3, T, H, W) uint8, and who made it."""
    clip = video.float() / 255
    if segmenter is not None:
        images = clip[0].transpose(0, 1)
        found = segmenter(images)
        if not isinstance(found, Tensor) or found.shape != (len(images), 1, *images.shape[2:]):
            came = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise WhyactError(
                f"Expected probabilities (N, 1, H, W) = {(len(images), 1, *images.shape[2:])} from "
                f"the segmentation model, got {came}."
            )
        return found[:, 0] > 0.5, "segmentation"
    if masks in ("auto", "given") and given is not None:
        return given[0].bool(), "given"
    if masks in ("auto", "motion"):
        return whole_actors(clip)[0], "motion"
    return torch.zeros(clip.shape[2:], dtype=torch.bool), "none"


def draw_donors(labels: Tensor, generator: torch.Generator) -> Tensor:
    """(n,) a random clip of another class for each clip, every clip used at most once; -1: none."""
    count = len(labels)
    donor = torch.randperm(count, generator=generator)
    for i in range(count):
        if labels[donor[i]] != labels[i]:
            continue
        # Exchange donors with a clip for which both are then of another class.
        fits = (labels[donor] != labels[i]) & (labels != labels[donor[i]])
        places = fits.nonzero()[:, 0]
        if len(places):
            j = places[int(torch.randint(len(places), (), generator=generator))]
            donor[i], donor[j] = donor[j].clone(), donor[i].clone()
    return torch.where(labels[donor] != labels, donor, -1)
