"""Measure localisation in time without interval labels, against baselines that see no action."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.progress import track
from torch import Tensor

from whyact.config import Config
from whyact.data.backdrop.arrays import BackdropDataset
from whyact.data.builders import build_dataset
from whyact.data.joined import JoinedDataset
from whyact.data.loader import chosen, none_read
from whyact.data.video_dataset import VideoDataset
from whyact.explainers.controls import MotionMagnitude
from whyact.metrics.temporal import detection_map, frame_map
from whyact.models.interventions import with_boxes
from whyact.models.windows import video_evidence, wish_evidence
from whyact.ops.intervals import cut, logarithmic, read_evidence, smoothed
from whyact.tasks.evaluate import run_folder
from whyact.training.checkpoint import LoadedModel, check_label_map, load_model
from whyact.training.record import environment, write_json
from whyact.types import Clip, Interval, WhyactError

METHODS = ("model", "motion", "uniform", "random")


@dataclass
class Localised:
    """What was found of every clip.

    Attributes:
        ids: of the clips. failed: of those that could not be read.
        truth: intervals in frames, a list a clip.
        evidence: (T, Y) of every frame, by method: shares of each class' highest step, times the
            score that the class has in the clip.
        found: intervals in frames, a list a clip, by method.
    """

    ids: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    truth: list[list[Interval]] = field(default_factory=list)
    evidence: dict[str, list[Tensor]] = field(default_factory=lambda: {m: [] for m in METHODS})
    found: dict[str, list[list[Interval]]] = field(default_factory=lambda: {m: [] for m in METHODS})

    def scores(self, method: str) -> dict[str, float | None]:
        """``map@0.1`` … ``map@0.7``, their mean ``map``, and ``frame_map``."""
        found = detection_map(self.truth, self.found[method])
        return {**found, "frame_map": frame_map(self.evidence[method], self.truth)}


def localise(
    checkpoint: str | Path, *, split: str = "untrimmed", clips: int = 0, window: int = 0,
    hop: int = 0, smooth: int = 1, threshold: float | None = None, least_score: float = 0.05,
    data: Config | None = None, output: str | Path = "", device: str = "cpu",
) -> dict[str, Any]:  # fmt: skip
    """Turn evidence of frames into intervals and score them; write ``localisation.json``.

    Every method detects the same classes with the same scores, the model's probabilities of the
    whole clip (of which each of several `pieces` has its share), and has evidence of its own for
    when: ``model`` the contributions of every frame (`whyact.models.windows.wish_evidence`),
    ``motion`` the mean change of pixels, ``uniform`` the whole clip, ``random`` an interval drawn
    for each class. So the rows differ in time only.

    Args:
        checkpoint: of a run. split: of Backdrop or Charades, or of any set with ``data.join``.
        clips: how many, drawn from all; all if 0.
        window: frames that the model sees at once; all frames of a clip if 0. A model remembers
            within a window only, so that short ones say better when something ends.
        hop: frames between windows, see `whyact.models.windows.video_evidence`.
        smooth: evidence of a frame is the mean with this many on either side, of the model and of
            the motion alike; see `whyact.ops.intervals.read_evidence` for the model's scale.
        threshold: least evidence in logits, of the model only, 0 or below too; half way between a
            clip's lowest and highest on that scale if None, with evidence against an action as none
            (`whyact.ops.intervals.cut`). This and the three before, chosen on the split that they
            are reported on, would be tuned: choose them on ``data.val``.
        least_score: classes whose score for the clip is lower are not detected.
        data: a config whose ``data`` part replaces the checkpoint's.
        output: folder; ``localisation/<split>`` in the run's folder if empty. device: torch device.

    Returns:
        The record: by method ``map@0.1`` … ``map@0.7``, their mean ``map``, and ``frame_map``.
    """
    loaded = load_model(checkpoint, device)
    config = data or loaded.config
    dataset = _with_intervals(config, split, loaded)
    made = Localised()
    settings = LocaliseSettings(window, hop, smooth, threshold, least_score)
    generator = torch.Generator().manual_seed(loaded.config.seed)
    for index in track(chosen(len(dataset), clips), "Localise", transient=True):
        clip = dataset[(index, 0)]
        if not isinstance(clip, Clip):
            made.failed.append(clip.id)
            continue
        video = clip.video.float() / 255
        evidence = _evidence(loaded, video, clip.boxes, window or video.shape[1], hop)
        change = MotionMagnitude(model=loaded.model).heat(video[None])[0].mean((1, 2))
        truth = dataset.intervals(index)
        add_clip(made, loaded, clip.id, truth, evidence, change, settings, generator)
    if not made.ids:
        raise none_read(split)
    record = {
        "split": split, "clips": len(made.ids), "failed": made.failed, **asdict(settings),
        "fingerprint": dataset.fingerprint, "checkpoint": str(loaded.folder),
        "seed": loaded.config.seed,
        "scores": {m: made.scores(m) for m in METHODS},
        "truth": _intervals(made.ids, made.truth),
        "found": {m: _intervals(made.ids, made.found[m]) for m in METHODS},
        **environment(torch.device(device), []),
    }  # fmt: skip
    folder = Path(output) if output else run_folder(loaded.folder) / "localisation" / split
    write_json(folder / "localisation.json", record)
    return record


def _with_intervals(
    config: Config, split: str, loaded: LoadedModel
) -> BackdropDataset | JoinedDataset | VideoDataset:
    dataset = build_dataset(config.data, split, train=False, seed=loaded.config.seed)
    if not isinstance(dataset, BackdropDataset | JoinedDataset | VideoDataset) or (
        isinstance(dataset, VideoDataset) and not any(r.intervals for r in dataset.listing.records)
    ):
        raise WhyactError(
            f"data.type '{config.data.type}' has no intervals; localise Backdrop, Charades, or "
            "joined clips (data.join)."
        )
    if dataset.views != 1:
        raise WhyactError("Localisation reads one view a clip; set data.protocol to 1x1.")
    check_label_map(loaded.folder, loaded.classes, dataset.classes)
    return dataset


@dataclass(frozen=True)
class LocaliseSettings:
    """As in `localise`."""

    window: int = 0
    hop: int = 0
    smooth: int = 1
    threshold: float | None = None
    least_score: float = 0.05


def add_clip(
    made: Localised, loaded: LoadedModel, name: str, truth: Sequence[Interval], evidence: Tensor,
    change: Tensor, settings: LocaliseSettings, generator: torch.Generator,
) -> None:  # fmt: skip
    """Find the intervals of one clip by every method and add them to what was found.

    Args:
        made: what was found so far. loaded: model. name: of the clip.
        truth: its intervals, as shares of the clip.
        evidence: (T, Y) of every class in every frame. change: (T,), motion of every frame.
        settings: of the procedure. generator: of the random intervals.
    """
    length, classes = evidence.shape
    score = loaded.probabilities(evidence.mean(0))
    wanted = torch.nonzero(score >= settings.least_score).flatten().tolist()
    least = settings.threshold
    bar = None if least is None else float(logarithmic(least))
    read = read_evidence(evidence.numpy(), settings.smooth, bar)
    each = {
        "model": torch.from_numpy(read),
        "motion": torch.from_numpy(smoothed(change.numpy(), settings.smooth))[:, None].expand(
            -1, classes
        ),
        "uniform": torch.ones(length, classes),
        "random": torch.stack([_random(length, generator) for _ in range(classes)], 1),
    }
    made.ids.append(name)
    made.truth.append([Interval(i.action, i.start * length, i.stop * length) for i in truth])
    for method, values in each.items():
        made.evidence[method].append(_to_scores(values.float(), score))
        found: list[Interval] = []
        for y in wanted:
            spans = cut(values[:, y].numpy(), bar if method == "model" else None).spans
            found += pieces(y, spans, float(score[y]))
        made.found[method].append(found)


def pieces(action: int, spans: Sequence[tuple[int, int]], score: float) -> list[Interval]:
    """Intervals of an action in a clip, each with the action's score times its share of their time.

    So of several pieces the long one comes first, and a short one is not as sure as the action is.
    """
    total = sum(stop - start for start, stop in spans)
    return [Interval(action, start, stop, score * (stop - start) / total) for start, stop in spans]


def _evidence(
    loaded: LoadedModel, video: Tensor, boxes: Tensor | None, window: int, hop: int
) -> Tensor:
    """Of every class in every frame of a clip (3, T, H, W) that the model sees in windows."""
    device = next(loaded.model.parameters()).device
    each = torch.eye(len(loaded.classes), device=device)

    def score(start: int, stop: int) -> Tensor:
        model = with_boxes(loaded.model, None if boxes is None else boxes[start:stop])
        part = video[:, start:stop].to(device)
        return wish_evidence(model, part, each, softmax=not loaded.multi_label)[0]

    return video_evidence(score, length=video.shape[1], window=window, hop=hop)


def _to_scores(values: Tensor, score: Tensor) -> Tensor:
    """Evidence (T, Y) as shares of each class' highest step, times its score for the clip (Y,)."""
    positive = values.relu()
    return positive / positive.amax(0).clamp_min(1e-9) * score


def _random(length: int, generator: torch.Generator) -> Tensor:
    """One in an interval between two random ends, and zero outside."""
    first, last = sorted((torch.rand(2, generator=generator) * (length + 1)).long().tolist())
    inside = torch.zeros(length)
    inside[min(first, length - 1) : max(last, first + 1)] = 1.0
    return inside


def _intervals(ids: list[str], clips: list[list[Interval]]) -> list[dict[str, Any]]:
    return [
        {"id": name, "intervals": [asdict(i) for i in one]}
        for name, one in zip(ids, clips, strict=True)
    ]
