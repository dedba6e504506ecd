"""Explain clips: an overlay video, a picture and a JSON file each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.progress import track
from torch import Tensor, nn

from whyact.config_io import nearest
from whyact.explainers.native import action_share, explain_output, region_tracks
from whyact.models.recognizer import ActionRecognizer
from whyact.nn.graph_prompt_gnn import GraphPromptGnn
from whyact.ops.encode import write_video
from whyact.ops.fill import fill_region
from whyact.ops.motion import foreground
from whyact.report.overlay import overlay_frames
from whyact.report.schema import to_json
from whyact.report.sheet import contact_sheet
from whyact.tasks.counterfactual import add_counterfactual, in_words
from whyact.tasks.inputs import clips_of, find_clips
from whyact.training.checkpoint import load_model
from whyact.types import Batch, Explanation, Failure, WhyactError

PLAYBACK_RATE = 4.0
"""Frames a second of overlay videos: slow enough to look at."""


@dataclass(frozen=True)
class Explained:
    """The files of one clip's explanation.

    Attributes:
        source: of the clip. video, picture, data: MP4, PNG and JSON.
        explanation: what they show. found: its counterfactual in words, where asked for.
        error: why there are none; None if there are.
    """

    source: str
    video: Path | None = None
    picture: Path | None = None
    data: Path | None = None
    explanation: Explanation | None = None
    found: str = ""
    error: str | None = None


@dataclass(frozen=True)
class Share:
    """How much of a logit the actor and the scene carry.

    Attributes:
        actor: the actor's share of both drops, in [0, 1]; None where neither drops, or where no
            actor was found.
        drops: of the logit when ``actor`` and when ``background`` is filled in.
        mask: where the actor came from: ``given`` or ``motion``.
    """

    actor: float | None
    drops: dict[str, float]
    mask: str


@torch.no_grad()
def measure_shares(
    model: nn.Module, clips: Tensor, targets: Tensor, scores: Tensor, mask: Tensor | None = None
) -> list[Share]:
    """How much of each logit the actor and the background carry, by filling each in.

    The actor is filled with the background that other frames show behind it, the background with
    a blur of itself, which keeps its colours' mean but none of its objects. Two forward passes.

    Args:
        model: maps (B, 3, T, H, W) in [0, 1] to an `ActionOutput`.
        clips: (B, 3, T, H, W). targets: (B,) classes. scores: (B,) logits of the clips as they are.
        mask: (B, T, H, W) of the actor; found by motion (`whyact.ops.motion`) if None.
    """
    actor = (foreground(clips) if mask is None else mask.to(clips)).clamp(0, 1)
    rest = fill_region(clips, actor, "plate"), fill_region(clips, 1 - actor, "blur")
    places = targets[:, None]
    without = [model(clip).logits.gather(1, places).squeeze(1) for clip in rest]
    found = actor.amax((1, 2, 3)) > 0.5
    shares = []
    for b, values in enumerate(torch.stack([scores, *without], 1).tolist()):
        drops = {"actor": values[0] - values[1], "background": values[0] - values[2]}
        share = action_share(values) if bool(found[b]) else None
        shares.append(Share(share, drops, "motion" if mask is None else "given"))
    return shares


def graph_rounds(model: nn.Module) -> int:
    """Rounds of messages in the model's clip graph; 0 without one."""
    graph = model.graph_prompt_gnn if isinstance(model, ActionRecognizer) else None
    return len(graph.rounds) if isinstance(graph, GraphPromptGnn) else 0


@torch.no_grad()
def explain_clips(
    model: nn.Module,
    clips: Tensor,
    *,
    targets: Tensor | None = None,
    mask: Tensor | None = None,
    shares: bool = True,
    multi_label: bool = False,
) -> tuple[list[Explanation], Tensor]:
    """Explain clips of equal size in one forward pass, and two more for the shares.

    Args:
        model: maps (B, 3, T, H, W) in [0, 1] to an `ActionOutput`.
        clips: (B, 3, T, H, W), uint8 or float in [0, 1].
        targets: (B,) classes; the predicted ones if None.
        mask: (B, T, H, W) of the actors, for the shares; found by motion if None.
        shares: measure them.
        multi_label: each class has a probability of its own.

    Returns:
        The explanations, and the probabilities (B, Y) of all classes.
    """
    if not clips.is_floating_point():
        clips = clips.float() / 255
    output = model(clips)
    t, h, w = clips.shape[2:]
    found = explain_output(output, (t, h, w), targets, path_length=graph_rounds(model))
    if shares:
        chosen = torch.tensor([e.target for e in found], device=clips.device)
        scores = output.logits.gather(1, chosen[:, None]).squeeze(1)
        measured = measure_shares(model, clips, chosen, scores, mask)
        found = [
            replace(e, action_share=s.actor, extra={**e.extra, "drops": s.drops, "mask": s.mask})
            for e, s in zip(found, measured, strict=True)
        ]
    logits = output.logits.float().cpu()
    return found, logits.sigmoid() if multi_label else logits.softmax(1)


def explain_clip(
    model: nn.Module,
    video: Tensor,
    *,
    target: int | None = None,
    mask: Tensor | None = None,
    shares: bool = True,
    multi_label: bool = False,
) -> tuple[Explanation, list[float]]:
    """Explain one clip (3, T, H, W); otherwise as `explain_clips`, for a single class and mask."""
    found, chances = explain_clips(
        model,
        video[None],
        targets=None if target is None else torch.tensor([target]),
        mask=None if mask is None else mask[None],
        shares=shares,
        multi_label=multi_label,
    )
    return found[0], chances[0].tolist()


def write_explanation(
    folder: Path,
    stem: str,
    *,
    source: str,
    video: Tensor,
    times: Sequence[float],
    explanation: Explanation,
    probabilities: Sequence[float],
    classes: Sequence[str],
) -> Explained:
    """Write ``<stem>.mp4``, ``<stem>.png`` and ``<stem>.json`` into a folder.

    Args:
        folder: made if missing. stem: of the files' names. source: of the clip.
        video: (3, T, H, W). times: (T,) of the frames in seconds; empty where unknown.
        explanation: of the clip. probabilities: (Y,). classes: names in label order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = classes[explanation.target]
    chance = probabilities[explanation.target]
    ranked = sorted(zip(classes, probabilities, strict=True), key=lambda p: -p[1])
    movie, picture, data = (folder / f"{stem}.{end}" for end in ("mp4", "png", "json"))
    pages = overlay_frames(video, explanation, name, probability=chance)
    write_video(movie, pages, PLAYBACK_RATE)
    contact_sheet(
        picture, video, explanation, name=name, source=source, predicted=ranked, times=times
    )
    values = to_json(
        explanation,
        source=source,
        classes=classes,
        probabilities=probabilities,
        times=times,
        tracks=region_tracks(explanation),
    )
    data.write_text(json.dumps(values, ensure_ascii=False, allow_nan=False), encoding="utf-8")
    said = in_words(explanation, tuple(classes))
    return Explained(source, movie, picture, data, explanation, said)


def explain_batch(
    model: nn.Module,
    batch: Batch,
    *,
    classes: Sequence[str],
    output: str | Path,
    targets: Tensor | None = None,
    shares: bool = True,
) -> list[Explained]:
    """Explain clips of a data set, with their true masks where the batch has them.

    The files of a clip are named by its place in the batch and its true class.

    Args:
        model: in evaluation mode. batch: on the model's device. classes: names in label order.
        output: folder. targets: (B,) classes to explain; the predicted ones if None.
        shares: measure the actor's and the scene's.
    """
    found, chances = explain_clips(
        model, batch.video, targets=targets, mask=batch.mask, shares=shares
    )
    results = []
    for b, explanation in enumerate(found):
        label = batch.label[b]
        truth = classes[int(label.argmax() if label.ndim else label)]
        results.append(
            write_explanation(
                Path(output),
                f"{b:03d}-{truth}",
                source=f"{batch.ids[b]} (true: {truth})",
                video=batch.video[b].cpu(),
                times=(),
                explanation=explanation,
                probabilities=chances[b].tolist(),
                classes=classes,
            )
        )
    return results


def explain(
    checkpoint: str | Path,
    paths: Sequence[str],
    *,
    action: str | None = None,
    output: str | Path = "explanations",
    device: str = "cpu",
    shares: bool = True,
    counterfactual: bool = False,
) -> list[Explained]:
    """Explain videos; one that cannot be read gets its error, and the others go on.

    Explained is the middle view of each, the only one of the test protocol ``1x1``.

    Args:
        checkpoint: of a run. paths: files, folders, globs.
        action: class to explain; each clip's predicted one if None.
        output: folder of the results. device: torch device. shares: measure action and nuisance.
        counterfactual: find the smallest set of regions whose removal changes the prediction.

    Raises:
        WhyactError: an action that the model does not know, or no video at a path.
    """
    loaded = load_model(checkpoint, device)
    if action is not None and action not in loaded.classes:
        raise WhyactError(
            f"The model has no class '{action}'. Did you mean '{nearest(action, loaded.classes)}'?"
        )
    target = None if action is None else loaded.classes.index(action)
    results = []
    stems: set[str] = set()
    single = replace(loaded.config.data, protocol="1x1")
    clips = clips_of(single, find_clips(paths), loaded.classes)
    for index in track(range(len(clips)), "Explain", transient=True):
        path, clip = clips.listing.records[index].path, clips[(index, 0)]
        if isinstance(clip, Failure):
            results.append(Explained(str(path), error=clip.reason))
            continue
        explanation, chances = explain_clip(
            loaded.model, clip.video.to(device), target=target, shares=shares,
            multi_label=loaded.multi_label,
        )  # fmt: skip
        if counterfactual:
            explanation = add_counterfactual(loaded.model, clip.video.to(device), explanation)
        files = write_explanation(
            Path(output),
            _unused(path.stem, stems),
            source=path.name,
            video=clip.video,
            times=[] if clip.times is None else clip.times.tolist(),
            explanation=explanation,
            probabilities=chances,
            classes=loaded.classes,
        )
        results.append(files)
    return results


def _unused(stem: str, taken: set[str]) -> str:
    """The stem, with a number behind it where files of that name were written in this call."""
    name, number = stem, 1
    while name in taken:
        number += 1
        name = f"{stem}-{number}"
    taken.add(name)
    return name
