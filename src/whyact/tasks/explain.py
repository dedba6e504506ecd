"""Explain clips: an overlay video, a picture, a JSON file and, where asked for, a page each."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from rich.progress import track
from torch import Tensor, nn

from whyact.data.builders import middle_view
from whyact.explainers.native import explain_output
from whyact.models.interventions import wishing, with_boxes
from whyact.models.recognizer import ActionRecognizer
from whyact.models.sentence_encoder import load_encoder
from whyact.models.vocabulary import Vocabulary, Wanted, items
from whyact.nn.graph_prompt_gnn import GraphPromptGnn
from whyact.ops.intervals import cut, read_evidence
from whyact.tasks.counterfactual import add_counterfactual
from whyact.tasks.explanation_files import Explained, spare, write_explanation, write_gallery
from whyact.tasks.explanation_tests import STEPS, add_tests
from whyact.tasks.inputs import boxes_from, clips_of, find_clips
from whyact.tasks.shares import Share, measure_shares
from whyact.training.checkpoint import LoadedModel, load_model
from whyact.types import ActionOutput, Clip, Explanation, Failure, WhyactError

PAGE_CLASSES = 5
"""Classes that a page explains: those asked for or the predicted one, and the most probable."""


def graph_rounds(model: nn.Module) -> int:
    """Rounds of messages in the model's clip graph; 0 without one."""
    graph = model.graph_prompt_gnn if isinstance(model, ActionRecognizer) else None
    return len(graph.rounds) if isinstance(graph, GraphPromptGnn) else 0


@torch.no_grad()
def explain_classes(
    model: nn.Module,
    video: Tensor,
    *,
    targets: Sequence[int] = (),
    count: int = PAGE_CLASSES,
    mask: Tensor | None = None,
    shares: bool = True,
    multi_label: bool = False,
    run: Callable[..., ActionOutput] | None = None,
) -> tuple[list[Explanation], list[float]]:
    """Explain one clip, for several classes from the same forward passes as for one.

    Args:
        model: maps (B, 3, T, H, W) in [0, 1] to an `ActionOutput`.
        video: (3, T, H, W), uint8 or float in [0, 1].
        targets: classes that come first, the most probable of them in front.
        count: explanations; beyond the targets the most probable classes, in order.
        mask: (T, H, W) of the actors, for the shares; found by motion if None.
        shares: measure them, with two more forward passes.
        multi_label: each class has a probability of its own.
        run: what a forward pass is, where it is not the model's own (an intervention).

    Returns:
        An explanation a class, and the probabilities of all classes.
    """
    run = run or model
    clip = _as_float(video[None])
    output = run(clip, traced=True)
    order = output.logits[0].argsort(descending=True).tolist()
    chosen = sorted(order, key=lambda k: k not in targets)[:count]
    size, rounds = clip.shape[2:], graph_rounds(model)
    found = [explain_output(output, size, torch.tensor([k]), path_length=rounds)[0] for k in chosen]
    output = output.detach()
    found = [_with_times(e, output.frame_logits[0], multi_label) for e in found]
    if shares:
        picked = torch.tensor([chosen], device=clip.device)
        scores = output.logits.gather(1, picked)
        (measured,) = measure_shares(
            run, clip, picked, scores, None if mask is None else mask[None]
        )
        found = [_with_share(e, s) for e, s in zip(found, measured, strict=True)]
    return found, _probabilities(output.logits, multi_label)[0].tolist()


def _as_float(clips: Tensor) -> Tensor:
    return clips if clips.is_floating_point() else clips.float() / 255


def _with_share(explanation: Explanation, share: Share) -> Explanation:
    extra = {**explanation.extra, "drops": share.drops, "mask": share.mask}
    return replace(explanation, action_share=share.actor, extra=extra)


def _with_times(explanation: Explanation, frames: Tensor, multi_label: bool) -> Explanation:
    """With ``when``, the shares of the clip in which its class is, cut as a timeline is.

    But not smoothed: a clip has few steps, whose evidence is drawn beside it as it is.

    Args:
        explanation: of one class. frames: (T', Y), logits. multi_label: as of `explain_classes`.
    """
    evidence = frames.float().cpu()
    if not multi_label:  # see whyact.models.windows.wish_evidence
        evidence = evidence - evidence.mean(1, keepdim=True)
    spans = cut(read_evidence(evidence[:, explanation.target].numpy(), smooth=0)).spans
    when = [[start / len(evidence), stop / len(evidence)] for start, stop in spans]
    return replace(explanation, extra={**explanation.extra, "when": when})


def _probabilities(logits: Tensor, multi_label: bool) -> Tensor:
    logits = logits.float().cpu()
    return logits.sigmoid() if multi_label else logits.softmax(1)


def explain(
    checkpoint: str | Path,
    paths: Sequence[str],
    *,
    action: Wanted | None = None,
    encoder: str | Path = "",
    output: str | Path = "explanations",
    device: str = "cpu",
    shares: bool = True,
    counterfactual: bool = False,
    html: bool = False,
    test_steps: int = STEPS,
    boxes: str | Path = "",
) -> list[Explained]:
    """Explain videos; one that cannot be explained gets its error, and the others go on.

    Explained is the middle view of each, the only one of the test protocol ``1x1``.

    Args:
        checkpoint: of a run. paths: files, folders, globs.
        action: class to explain, by index, name or free text; each clip's predicted one if None.
            Of text that means several classes the most probable is explained first. A model that
            splits its graph is asked for it in every forward pass, those of the tests included.
            Several actions are asked for and explained one by one, as in a timeline.
        encoder: folder of a sentence encoder, for free text.
        output: folder of the results. device: torch device. shares: measure action and nuisance.
        counterfactual: find the smallest set of regions whose removal changes the prediction.
        html: write a page a clip, and ``index.html``, which sorts them.
        test_steps: of deletion and insertion, for the pages, each 20 forward passes a clip; 0
            leaves the tests out.
        boxes: as of `whyact.tasks.predict.predict`.

    Raises:
        WhyactError: an action that the model does not know, or no video at a path.
    """
    loaded = boxes_from(load_model(checkpoint, device), boxes)
    found = find_clips(paths)
    inputs = {path.resolve() for path in found}
    words = Vocabulary(names=loaded.classes, encoder=load_encoder(encoder) if encoder else None)
    actions = [] if action is None else items(action)
    wishes = {words.title(one): _classes(words, one) for one in actions} or {"": []}
    results = []
    stems: set[str] = {"index"} if html else set()
    single = middle_view(loaded.config.data)
    clips = clips_of(single, found, loaded.classes)
    for index in track(range(len(clips)), "Explain", transient=True):
        record, clip = clips.listing.records[index], clips[(index, 0)]
        if isinstance(clip, Failure):
            results.append(Explained(record.id, error=clip.reason))
            continue
        for name, targets in wishes.items():
            path = Path(record.id)
            stem = path.stem if len(wishes) == 1 else f"{path.stem}-{_in_a_file(name)}"
            stem = unused_stem(stem, stems)
            try:
                spare(inputs, Path(output), stem)
                files = explain_to(
                    Path(output), stem, clip, loaded, source=path.name, targets=targets,
                    shares=shares, counterfactual=counterfactual, html=html, test_steps=test_steps,
                )  # fmt: skip
            except WhyactError as error:
                files = Explained(record.id, error=str(error))
            results.append(files)
    if html:
        write_gallery(Path(output), results)
    return results


def explain_to(
    folder: Path,
    stem: str,
    clip: Clip,
    loaded: LoadedModel,
    *,
    source: str,
    targets: Sequence[int] = (),
    truth: str | None = None,
    shares: bool = True,
    counterfactual: bool = False,
    html: bool = False,
    test_steps: int = STEPS,
) -> Explained:
    """Explain one clip and write its files, ``<folder>/<stem>.*``.

    Args:
        folder, stem, source, truth: as of `write_explanation`. clip: with its mask, where known.
        loaded: the model.
        targets: classes to explain, which a model that can be asked is asked for in every forward
            pass; the predicted one if empty.
        shares, counterfactual, html, test_steps: as of `explain`.
    """
    device = next(loaded.model.parameters()).device
    model = with_boxes(loaded.model, clip.boxes)
    model = wishing(model, targets) if targets and loaded.model.can_be_asked else model
    video = clip.video.to(device)
    (explanation, *others), chances = explain_classes(
        model, video, targets=targets, count=PAGE_CLASSES if html else 1, mask=clip.mask,
        shares=shares, multi_label=loaded.multi_label,
    )  # fmt: skip
    if counterfactual:
        explanation = add_counterfactual(model, video, explanation)
    if html and test_steps:
        explanation = add_tests(
            model, video, explanation, steps=test_steps, probabilities=loaded.probabilities
        )
    return write_explanation(
        folder,
        stem,
        source=source,
        video=clip.video,
        times=[] if clip.times is None else clip.times.tolist(),
        explanation=explanation,
        probabilities=chances,
        classes=loaded.classes,
        truth=truth,
        html=html,
        others=others,
    )


def _classes(words: Vocabulary, wanted: Wanted) -> list[int]:
    return words.specification(wanted).nonzero().flatten().tolist()


def _in_a_file(name: str) -> str:
    """A name without what a file's name cannot hold."""
    return re.sub(r"[^\w-]+", "_", name).strip("_")[:80] or "action"


def unused_stem(stem: str, taken: set[str]) -> str:
    """The stem, with a number behind it where files of that name were written in this call."""
    name, number = stem, 1
    while name in taken:
        number += 1
        name = f"{stem}-{number}"
    taken.add(name)
    return name
