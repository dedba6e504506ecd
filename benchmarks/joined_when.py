"""When on real clips: held-out clips of UT-Interaction's folds, three end to end.

    for seed in 42 0 1; do
        whyact train --config configs/ut_interaction.yaml --seed $seed --name ut_interaction_$seed
    done
    python benchmarks/joined_when.py --published runs/ut_interaction_{42,0,1}

Localises each action with the models of single clips, each on a sequence that it was not trained
on. Intervals are over resampled sequences, as clips repeat in the joins of theirs, of the mean over
``--published`` runs.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from joined_shared import arguments, clip_of, config_of, mean_of, over_folds, tokens_of, write
from rich.progress import track
from torch import Tensor

from whyact.data.builders import build_dataset
from whyact.data.joined import JoinedDataset
from whyact.explainers.controls import MotionMagnitude
from whyact.metrics.temporal import detection_map, frame_map
from whyact.models.windows import token_evidence, video_evidence
from whyact.tasks.folds import fold_runs
from whyact.tasks.localise import METHODS, Localised, LocaliseSettings, add_clip
from whyact.training.checkpoint import LoadedModel, load_model
from whyact.types import Clip

IOUS = (0.3, 0.5, 0.7)
SMOOTH = (1, 4)
"""Frames on either side: that of Backdrop, and the one chosen on joined training clips."""


def motion_of(clip: Clip) -> Tensor:
    """(T,), the motion of every frame of a single clip: a cut to the next one is none."""
    video = clip.video[None].float() / 255
    return MotionMagnitude(model=torch.nn.Identity()).heat(video)[0].mean((1, 2))


def evidence_of(
    loaded: LoadedModel, tokens: Tensor, grid: tuple[int, int], settings: LocaliseSettings
) -> Tensor:
    """(T, Y) of every class in every frame, whose tokens (T, N, D) the model sees in windows."""
    each = torch.eye(len(loaded.classes))
    return video_evidence(
        lambda start, stop: token_evidence(
            loaded.model, tokens[None, start:stop], grid, each, softmax=True
        )[0],
        length=len(tokens), window=settings.window, hop=settings.hop,
    )  # fmt: skip


def located(args: argparse.Namespace, published: str, draw: int) -> dict[int, list[Localised]]:
    """Intervals that a run's folds find in three clips end to end, by smoothing and fold.

    The backbone sees one frame at a time, so the tokens of joined clips are those of the clips. The
    models see windows as long as what they were trained on, at every frame, so that no window tells
    where the clips were joined. ``draw`` is the seed of the random baseline.
    """
    config = config_of(args, 0)
    settings = LocaliseSettings(window=config.data.clip.frames, hop=1)
    parts: dict[int, list[Localised]] = {reach: [] for reach in SMOOTH}
    random = {reach: torch.Generator().manual_seed(draw) for reach in SMOOTH}
    first = load_model(fold_runs(published)[0]).model  # the folds share one backbone
    cached, grid = tokens_of(args, config, first)
    clips = (cached.source[(i, 0)] for i in range(len(cached)))
    motion = {c.id: motion_of(c) for c in track(clips, "Motion") if isinstance(c, Clip)}
    for fold, run in enumerate(track(fold_runs(published), f"Folds of {published}")):
        config, loaded = config_of(args, fold), load_model(run)
        assert loaded.model.reach == 0 and not loaded.multi_label
        source = cached.subset(build_dataset(config.data, "test", train=False, seed=0))
        joined = JoinedDataset(source=source, count=3, train=False, seed=config.seed)
        for of in parts.values():
            of.append(Localised())
        for index, name in enumerate(joined.ids):
            tokens = clip_of(joined, index).video.float()
            evidence = evidence_of(loaded, tokens, grid, settings)
            change = torch.cat([motion[source.ids[i]] for i in joined.members(index)])
            truth = joined.intervals(index)
            for reach, of in parts.items():
                own = replace(settings, smooth=reach)
                add_clip(of[-1], loaded, name, truth, evidence, change, own, random[reach])
    return parts


def times(args: argparse.Namespace) -> dict[str, Any]:
    """Localisation in three clips end to end, by smoothing."""
    runs = [located(args, published, n) for n, published in enumerate(args.published)]
    found = {f"smooth {k}": timed([run[k] for run in runs], args.draws) for k in SMOOTH}
    return {"runs": args.published, **found}


def timed(runs: Sequence[Sequence[Localised]], draws: int) -> dict[str, Any]:
    """Means over runs of the scores of every method and the model's lead over it.

    Args:
        runs: what was found by each run and fold, all of the same clips. draws: of the bootstrap.
    """

    def scores(parts: Sequence[Localised], method: str, picks: Sequence[int]) -> dict[str, float]:
        truth = [t for k in picks for t in parts[k].truth]
        found = detection_map(truth, [f for k in picks for f in parts[k].found[method]], IOUS)
        frames = frame_map([e for k in picks for e in parts[k].evidence[method]], truth)
        return {k: v for k, v in {**found, "frames": frames}.items() if v is not None}

    def measure(picks: Sequence[int]) -> dict[str, float]:
        each = {m: mean_of([scores(parts, m, picks) for parts in runs]) for m in METHODS}
        own = each["model"]
        return {f"{m} {k}": v for m in METHODS for k, v in each[m].items()} | {
            f"model over {m} {k}": own[k] - v for m in METHODS[1:] for k, v in each[m].items()
        }

    return {
        "clips": sum(len(p.ids) for p in runs[0]),
        "scores": over_folds(measure, len(runs[0]), draws),
        "each": [{m: scores(p, m, range(len(p))) for m in METHODS} for p in runs],
        # A join can come twice, with other models.
        "truth": [
            [name, [vars(i) for i in t]]
            for p in runs[0]
            for name, t in zip(p.ids, p.truth, strict=True)
        ],
        "found": [
            {m: [[vars(i) for i in clip] for p in parts for clip in p.found[m]] for m in METHODS}
            for parts in runs
        ],
    }


def main() -> None:
    args = arguments(__doc__, "joined_when.json").parse_args()
    torch.set_num_threads(args.threads)
    write(args, times(args))


if __name__ == "__main__":
    main()
