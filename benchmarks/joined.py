"""When and who on real clips: held-out clips of UT-Interaction's folds, joined in time or in space.

    for seed in 42 0 1; do
        whyact train --config configs/ut_interaction.yaml --seed $seed --name ut_interaction_$seed
    done
    whyact train --config configs/ut_interaction.yaml --name ut_shared \
        --model.spatial_graph.dynamics shared
    python benchmarks/joined.py --published runs/ut_interaction_{42,0,1} --seeds 42 0 1

``when`` joins three clips end to end and localises each action with the models of single clips.
``who`` joins two side by side and names each action: with the models of single clips, and with two
that are trained on such pairs from the folds' training clips (those of ``--shared`` go on), one
that is asked and its twin that never is. Every model sees clips of the sequence that it was not
trained on. Intervals are over resampled sequences, as clips repeat in the joins of theirs, of the
mean over ``--published`` runs and over ``--seeds`` of what ``who`` trains, which lies in
``--runs``; ``--parts`` takes some and leaves the rest of a record as it is.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.progress import track
from torch import Tensor

from whyact.config import Config
from whyact.config_io import load_config
from whyact.data.builders import build_dataset
from whyact.data.joined import JoinedDataset
from whyact.explainers.controls import MotionMagnitude
from whyact.metrics.bootstrap import percentile_interval
from whyact.metrics.named_action import best_threshold
from whyact.metrics.recognition import recognition_scores
from whyact.metrics.temporal import detection_map, frame_map
from whyact.models.windows import token_evidence, video_evidence
from whyact.tasks.folds import fold_runs
from whyact.tasks.localise import METHODS, Localised, LocaliseSettings, add_clip
from whyact.tasks.named import named_scores, named_values
from whyact.tasks.train import train
from whyact.training.checkpoint import LoadedModel, load_model
from whyact.training.record import environment
from whyact.training.seeding import derive
from whyact.training.token_cache import TokenDataset, cache_tokens
from whyact.types import Clip

CONFIG = Path(__file__).parents[1] / "configs" / "ut_interaction.yaml"
IOUS = (0.3, 0.5, 0.7)
SMOOTH = (1, 4)
"""Frames on either side: that of Backdrop, and the one chosen on joined training clips."""
PAIRS = [
    "--data.join", "2", "--data.join_axis", "width", "--data.join_within", "true",
    "--data.test", "[]", "--model.spatial_graph.dynamics", "shared",
]  # fmt: skip
# The objectives of configs/backdrop_multi.yaml, less the foreground, which this recipe has not.
TRAINED = [
    *PAIRS, "--model.spatial_graph.regions", "16", "--model.spatial_graph.compact", "2",
    "--objectives.cross_entropy", "0", "--objectives.deep_supervision", "0.5",
    "--training.cache_tokens", "4",
]  # fmt: skip
KINDS = {
    "asked": ["--model.specification.type", "split", "--objectives.specification", "2.0",
              "--objectives.binary_cross_entropy", "0.1"],
    "twin": ["--objectives.binary_cross_entropy", "1.0"],
}  # fmt: skip


def over_folds(
    measure: Callable[[Sequence[int]], dict[str, float]], folds: int, draws: int
) -> dict[str, Any]:
    """A measure of all folds together, with its 95 % interval over resampled folds."""
    generator = torch.Generator().manual_seed(0)
    drawn = defaultdict(list)
    for _ in track(range(draws), "Bootstrap", transient=True):
        picks = torch.randint(folds, (folds,), generator=generator).tolist()
        for name, value in measure(picks).items():
            drawn[name].append(value)
    found = {}
    for name, value in measure(range(folds)).items():
        low, high = percentile_interval(torch.tensor(drawn[name], dtype=torch.float64))
        found[name] = {"mean": value, "low": low, "high": high}
    return found


def tokens_of(args: argparse.Namespace, config: Config) -> tuple[TokenDataset, tuple[int, int]]:
    """Tokens of all clips, or pairs, of the frozen backbone that all models share; their grid."""
    return cache_tokens(
        config=config, model=load_model(fold_runs(args.published[0])[0]).model, train=False,
        source=build_dataset(config.data, "all", train=False, seed=derive(config.seed, "data")),
        root=Path(args.runs) / ".cache", device=torch.device("cpu"),
    )  # fmt: skip


def clip_of(dataset: JoinedDataset | TokenDataset, index: int) -> Clip:
    """A clip that has to be readable."""
    clip = dataset[(index, 0)]
    assert isinstance(clip, Clip), f"{clip.id}: {clip.reason}"
    return clip


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
    cached, grid = tokens_of(args, config)
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


def mean_of(each: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of every score, by name; all have the same names."""
    assert all(one.keys() == each[0].keys() for one in each)
    return {name: sum(one[name] for one in each) / len(each) for name in each[0]}


def config_of(args: argparse.Namespace, fold: int, *flags: str) -> Config:
    """The recipe of UT-Interaction on pairs side by side."""
    place = ["--data.root", args.data, "--data.fold", str(fold), "--output", args.runs]
    threads = ["--training.threads", str(args.threads), "--training.epochs", str(args.epochs)]
    made: Config = load_config([CONFIG], [*place, *threads, *flags])
    return made


def trained(args: argparse.Namespace, kind: str, seed: int, fold: int) -> Path:
    """The run of a fold, which is trained if it is not there."""
    name = f"joined_{kind}/seed_{seed}/fold_{fold}"
    folder = Path(args.runs) / name
    if not (folder / "result.json").is_file():  # an interrupted run goes on
        flags = ["--name", name, "--training.start", f"{args.shared}/fold_{fold}"]
        flags += ["--seed", str(seed)]
        train(config_of(args, fold, *TRAINED, *KINDS[kind], *flags), resume=True)
    return folder


def pairs_of(config: Config, split: str) -> JoinedDataset:
    """The pairs of a split, as pictures."""
    made = build_dataset(config.data, split, train=False, seed=derive(config.seed, "data"))
    assert isinstance(made, JoinedDataset)
    return made


def looked_at(
    loaded: LoadedModel, pairs: TokenDataset, grid: tuple[int, int], masks: Sequence[Tensor],
    threshold: float,
) -> list[dict[str, Any]]:  # fmt: skip
    """What one model makes of the pairs of a split: measures, scores and labels of each."""
    rows = []
    for index, mask in enumerate(masks):
        clip, actions = clip_of(pairs, index), pairs.labels[index]
        assert isinstance(actions, tuple)
        tokens = clip.video[None].float()
        values = named_values(loaded, tokens, grid, actions, mask, threshold)
        rows.append(
            {
                "id": clip.id,
                "actions": list(actions),
                "scores": named_scores(loaded, tokens, grid).tolist(),
                "unprompted": loaded.model.decode(tokens, grid).logits[0].tolist(),
                **{k: None if v.isnan() else float(v) for k, v in values.items()},
            }
        )
    return rows


@torch.no_grad()
def people(args: argparse.Namespace) -> dict[str, Any]:
    """Named actions in two clips side by side, by model and seed; ``shared`` has one seed."""
    rows: dict[str, list[list[list[dict[str, Any]]]]] = defaultdict(list)
    thresholds: dict[str, list[list[float]]] = defaultdict(list)
    for fold, published in enumerate(zip(*map(fold_runs, args.published), strict=True)):
        runs = {"published": list(published), "shared": [Path(args.shared) / f"fold_{fold}"]}
        with torch.enable_grad():
            for kind in args.kinds:
                runs[kind] = [trained(args, kind, seed, fold) for seed in args.seeds]
        config = config_of(args, fold, *PAIRS)
        cached, grid = tokens_of(args, config)
        val, test = (pairs_of(config, split) for split in ("val", "test"))
        masks = [test.actor_masks(i) for i in range(len(test))]
        tuning = cached.subset(val)
        clips = [clip_of(tuning, i) for i in range(len(tuning))]
        labels = torch.stack([torch.as_tensor(c.label) for c in clips])
        for kind, models in runs.items():
            rows[kind].append([])
            thresholds[kind].append([])
            for run in models:
                loaded = load_model(run)
                scores = [named_scores(loaded, c.video[None].float(), grid) for c in clips]
                threshold = best_threshold(torch.stack(scores), labels)
                thresholds[kind][-1].append(threshold)
                found = looked_at(loaded, cached.subset(test), grid, masks, threshold)
                rows[kind][-1].append(found)

    def measure(picks: Sequence[int]) -> dict[str, float]:
        found: dict[str, float] = {}
        for kind, folds in rows.items():
            each = (
                measures([clip for k in picks for clip in folds[k][seed]])
                for seed in range(len(folds[0]))
            )
            found |= {f"{kind} {name}": v for name, v in mean_of(list(each)).items()}
        if {"asked", "twin"} <= set(rows):
            asked, twin = found["asked map of scores"], found["twin map of unprompted"]
            found["asked over twin map"] = asked - twin
        return found

    return {
        "seeds": args.seeds,
        "pairs": sum(len(fold[0]) for fold in rows["published"]),
        "different": len({c["id"] for fold in rows["published"] for c in fold[0]}),
        "thresholds": thresholds,
        "scores": over_folds(measure, len(rows["published"]), args.draws),
        "values": rows,
    }


def measures(clips: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The means of `looked_at` over clips, and the precision of the scores."""
    found = {}
    for name in clips[0]:
        if name in ("scores", "unprompted"):
            found[f"map of {name}"] = mean_precision(clips, name)
        elif name not in ("id", "actions"):
            known = [c[name] for c in clips if c[name] is not None]
            found[name] = sum(known) / len(known)
    return found


def mean_precision(clips: Sequence[dict[str, Any]], name: str) -> float:
    """Mean average precision of the scores of that name."""
    scores = torch.tensor([c[name] for c in clips])
    labels = torch.zeros_like(scores)
    for row, clip in zip(labels, clips, strict=True):
        row[clip["actions"]] = 1.0
    found: float = recognition_scores(scores, labels, intervals=False)["map"]
    return found


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {"when": times, "who": people}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--published", nargs="+", default=["runs/ut_interaction_42"])
    parser.add_argument("--shared", default="runs/ut_shared")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=list(KINDS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[42], help="of what is trained")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--draws", type=int, default=1000, help="of the bootstrap")
    parser.add_argument("--runs", default="runs")
    parser.add_argument("--data", default="../shared/data/ut_interaction_set1")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("docs/results/asking/joined.json"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    record: dict[str, Any] = json.loads(args.output.read_text()) if args.output.exists() else {}
    for name in args.parts:
        record[name] = {**PARTS[name](args), "environment": environment(torch.device("cpu"), [])}
        args.output.write_text(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
