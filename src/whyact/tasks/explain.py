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
from whyact.ops.encode import write_video
from whyact.ops.fill import fill_region
from whyact.ops.motion import foreground
from whyact.report.overlay import overlay_frames
from whyact.report.schema import to_json
from whyact.report.sheet import contact_sheet
from whyact.tasks.inputs import find_clips, read_test_clip
from whyact.training.checkpoint import load_model
from whyact.types import Explanation, WhyactError

PLAYBACK_RATE = 4.0
"""Frames a second of overlay videos: slow enough to look at."""


@dataclass(frozen=True)
class Explained:
    """The files of one clip's explanation.

    Attributes:
        source: of the clip. video, picture, data: MP4, PNG and JSON.
        explanation: what they show. error: why there are none; None if there are.
    """

    source: str
    video: Path | None = None
    picture: Path | None = None
    data: Path | None = None
    explanation: Explanation | None = None
    error: str | None = None


@torch.no_grad()
def measure_shares(
    model: nn.Module, video: Tensor, target: int, mask: Tensor | None = None
) -> tuple[float | None, dict[str, float]]:
    """How much of a logit the actor and the background carry, by filling each in.

    The actor is filled with the background that other frames show behind it, the background with
    a blur of itself, which keeps its colours' mean but none of its objects.

    Args:
        model: maps (B, 3, T, H, W) in [0, 1] to an `ActionOutput`.
        video: (1, 3, T, H, W). target: class. mask: (1, T, H, W) of the actor; found by motion if
            None.

    Returns:
        The actor's share of both drops (None where neither drops), and the two drops.
    """
    actor = (foreground(video) if mask is None else mask.float()).clamp(0, 1)
    clips = torch.cat(
        [video, fill_region(video, actor, "plate"), fill_region(video, 1 - actor, "blur")]
    )
    scores = model(clips).logits[:, target].tolist()
    drops = {"actor": scores[0] - scores[1], "background": scores[0] - scores[2]}
    return action_share(scores), drops


@torch.no_grad()
def explain_clip(
    model: nn.Module,
    video: Tensor,
    *,
    target: int | None = None,
    mask: Tensor | None = None,
    shares: bool = True,
) -> tuple[Explanation, list[float]]:
    """Explain one clip.

    Args:
        model: maps (B, 3, T, H, W) in [0, 1] to an `ActionOutput`.
        video: (3, T, H, W), uint8 or float in [0, 1]. target: class; the predicted one if None.
        mask: (T, H, W) of the actor, for the shares. shares: measure them (three more passes).

    Returns:
        The explanation, and the probabilities of all classes.
    """
    clip = video[None].float() / (1 if video.is_floating_point() else 255)
    output = model(clip)
    wanted = None if target is None else torch.tensor([target])
    explanation = explain_output(output, tuple(clip.shape[2:]), wanted)[0]  # type: ignore[arg-type]
    if shares:
        batch_mask = None if mask is None else mask[None]
        share, drops = measure_shares(model, clip, explanation.target, batch_mask)
        extra = {**explanation.extra, "drops": drops}
        explanation = replace(explanation, action_share=share, extra=extra)
    return explanation, output.logits[0].softmax(0).tolist()


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
    """Write ``<stem>.mp4``, ``<stem>.png`` and ``<stem>.json`` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    name = classes[explanation.target]
    ranked = sorted(zip(classes, probabilities, strict=True), key=lambda p: -p[1])
    picture, data = folder / f"{stem}.png", folder / f"{stem}.json"
    movie = folder / f"{stem}.mp4"
    chance = probabilities[explanation.target]
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
    data.write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
    return Explained(source, movie, picture, data, explanation)


def explain(
    checkpoint: str | Path,
    paths: Sequence[str],
    *,
    action: str | None = None,
    output: str | Path = "explanations",
    device: str = "cpu",
    shares: bool = True,
) -> list[Explained]:
    """Explain videos; one that cannot be read gets its error, and the others go on.

    Args:
        checkpoint: of a run. paths: files, folders, globs.
        action: class to explain; each clip's predicted one if None.
        output: folder of the results. device: torch device. shares: measure action and nuisance.

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
    for path in track(find_clips(paths), "Explain", transient=True):
        try:
            video, times = read_test_clip(loaded.config.data, path)
        except WhyactError as error:
            results.append(Explained(str(path), error=str(error)))
            continue
        explanation, chances = explain_clip(
            loaded.model, video.to(device), target=target, shares=shares
        )
        stem = path.stem if path.stem not in stems else f"{path.stem}-{len(stems)}"
        stems.add(stem)
        results.append(
            write_explanation(
                Path(output),
                stem,
                source=path.name,
                video=video,
                times=times.tolist(),
                explanation=explanation,
                probabilities=chances,
                classes=loaded.classes,
            )
        )
    return results
