"""Who on real clips: held-out clips of UT-Interaction's folds, two side by side.

    for seed in 42 0 1; do
        whyact train --config configs/ut_interaction.yaml --seed $seed --name ut_interaction_$seed
    done
    whyact train --config configs/ut_interaction.yaml --name ut_shared \
        --model.spatial_graph.dynamics shared
    python benchmarks/joined_who.py --published runs/ut_interaction_{42,0,1} --seeds 42 0 1

Names each action: with the models of single clips, and with three that are trained on such pairs
from the folds' training clips: one that is asked and its twin that never is (those of ``--shared``
go on), and one that is asked and never sees a video, from scratch. What can be asked is scored
under every protocol of asking, with the video and without it. Every model sees clips of the
sequence that it was not trained on. Intervals are over resampled sequences, as clips repeat in the
pairs of theirs, of the mean over ``--published`` runs and over ``--seeds`` of what is trained here,
which lies in ``--runs``.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from joined_shared import arguments, clip_of, config_of, mean_of, over_folds, tokens_of, write
from torch import Tensor

from whyact.config import Config
from whyact.data.builders import build_dataset
from whyact.data.joined import JoinedDataset
from whyact.metrics.named_action import best_threshold
from whyact.metrics.recognition import recognition_scores
from whyact.models.asking import PROTOCOLS, asked_tokens
from whyact.tasks.folds import fold_runs
from whyact.tasks.named import named_scores, named_values
from whyact.tasks.train import train
from whyact.training.checkpoint import LoadedModel, load_model
from whyact.training.seeding import derive
from whyact.training.token_cache import TokenDataset

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
ASKED = [
    "--model.specification.type", "split", "--objectives.specification", "2.0",
    "--objectives.binary_cross_entropy", "0.1",
]  # fmt: skip
WITHOUT = " without video"
# Small pictures: the blind backbone only takes their number of cells, here of 4 by 8.
BLIND = [
    "--model.backbone.type", "blind", "--data.transform.short_side", "32",
    "--data.transform.size", "32",
]  # fmt: skip
KINDS = {
    "asked": ASKED,
    "twin": ["--objectives.binary_cross_entropy", "1.0"],
    "blind": [*ASKED, *BLIND, "--training.start", ""],
}


def trained(args: argparse.Namespace, kind: str, seed: int, fold: int) -> Path:
    """The run of a fold, which is trained if it is not there."""
    name = f"joined_{kind}/seed_{seed}/fold_{fold}"
    folder = Path(args.runs) / name
    if not (folder / "result.json").is_file():  # an interrupted run goes on
        flags = ["--name", name, "--seed", str(seed), "--training.epochs", str(args.epochs)]
        start = ["--training.start", f"{args.shared}/fold_{fold}"]
        train(config_of(args, fold, *flags, *start, *TRAINED, *KINDS[kind]), resume=True)
    return folder


def pairs_of(config: Config, split: str) -> JoinedDataset:
    """The pairs of a split, as pictures."""
    made = build_dataset(config.data, split, train=False, seed=derive(config.seed, "data"))
    assert isinstance(made, JoinedDataset)
    return made


def is_blind(loaded: LoadedModel) -> bool:
    """Whether a model never sees the video."""
    return loaded.config.model.backbone.type == "blind"


def protocols(
    loaded: LoadedModel, tokens: Tensor, grid: tuple[int, int], actions: Sequence[int]
) -> dict[str, list[float]]:
    """Scores of one pair's classes by protocol; of what is asked and sees, without the video too.

    Rounded, so that noise of arithmetic does not rank clips that a model scores alike.
    """
    if loaded.model.can_be_asked:
        label = torch.zeros(1, len(loaded.classes))
        label[0, list(actions)] = 1.0
        ways = [""] if is_blind(loaded) else ["", WITHOUT]
        found = asked_tokens(loaded.model, tokens, grid, label)[0, : len(ways)].flatten(0, 1)
        names = [f"{p.name}{way}" for way in ways for p in PROTOCOLS]
    else:
        plain = loaded.model.decode(tokens, grid).logits[0]
        found = torch.stack([plain, named_scores(loaded, tokens, grid)])
        names = ["no_prompt", "label_free"]
    rows = found.double().round(decimals=4).tolist()
    return dict(zip(names, rows, strict=True))


def looked_at(
    loaded: LoadedModel, pairs: TokenDataset, grid: tuple[int, int], masks: Sequence[Tensor],
    threshold: float,
) -> list[dict[str, Any]]:  # fmt: skip
    """What one model makes of the pairs of a split: measures, scores and labels of each.

    A blind model has nothing to show, so that it only has scores.
    """
    rows = []
    for index, mask in enumerate(masks):
        clip, actions = clip_of(pairs, index), pairs.labels[index]
        assert isinstance(actions, tuple)
        tokens = clip.video[None].float()
        shown: dict[str, Tensor] = {}
        if not is_blind(loaded):
            shown = named_values(loaded, tokens, grid, actions, mask, threshold)
        rows.append(
            {
                "id": clip.id,
                "actions": list(actions),
                "scores": protocols(loaded, tokens, grid, actions),
                **{k: None if v.isnan() else float(v) for k, v in shown.items()},
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
        val, test = (pairs_of(config_of(args, fold, *PAIRS), split) for split in ("val", "test"))
        masks = [test.actor_masks(i) for i in range(len(test))]
        for kind, models in runs.items():
            rows[kind].append([])
            thresholds[kind].append([])
            config = config_of(args, fold, *PAIRS, *(BLIND if kind == "blind" else []))
            for loaded in map(load_model, models):
                cached, grid = tokens_of(args, config, loaded.model)
                threshold = threshold_of(loaded, cached.subset(val), grid)
                thresholds[kind][-1].append(threshold)
                found = looked_at(loaded, cached.subset(test), grid, masks, threshold)
                rows[kind][-1].append(found)

    alone = {k: [[precisions(clips) for clips in of] for of in folds] for k, folds in rows.items()}

    def measure(picks: Sequence[int]) -> dict[str, float]:
        found = summed({k: by_seed(folds, picks) for k, folds in rows.items()})
        for kind, folds in alone.items():
            inside = mean_of([one for k in picks for one in folds[k]])
            found |= {f"{kind} {name} in a fold": v for name, v in inside.items()}
        return found

    count = len(rows["published"])
    return {
        "seeds": args.seeds,
        "pairs": sum(len(fold[0]) for fold in rows["published"]),
        "different": len({c["id"] for fold in rows["published"] for c in fold[0]}),
        "thresholds": thresholds,
        "scores": over_folds(measure, count, args.draws),
        "each": {kind: by_seed(folds, range(count)) for kind, folds in rows.items()},
        "alone": alone,
        "values": rows,
    }


def threshold_of(loaded: LoadedModel, pairs: TokenDataset, grid: tuple[int, int]) -> float:
    """The threshold of present actions that is best on these pairs."""
    clips = [clip_of(pairs, i) for i in range(len(pairs))]
    scores = [named_scores(loaded, c.video[None].float(), grid) for c in clips]
    return best_threshold(
        torch.stack(scores), torch.stack([torch.as_tensor(c.label) for c in clips])
    )


def by_seed(
    folds: Sequence[Sequence[Sequence[dict[str, Any]]]], picks: Sequence[int]
) -> list[dict[str, float]]:
    """`measures` of the picked folds together, a seed each."""
    seeds = range(len(folds[0]))
    return [measures([clip for k in picks for clip in folds[k][seed]]) for seed in seeds]


def summed(kinds: dict[str, list[dict[str, float]]]) -> dict[str, float]:
    """Means over seeds by kind and measure, and what asking gains over the twin by protocol."""
    found = {f"{k} {n}": v for k, each in kinds.items() for n, v in mean_of(each).items()}
    if {"asked", "twin"} <= set(kinds):
        for name in (p.name for p in PROTOCOLS):
            gain = found[f"asked map of {name}"] - found["twin map of no_prompt"]
            found[f"asked over twin map of {name}"] = gain
    return found


def measures(clips: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The means of `looked_at` over clips, and the precision of the scores."""
    found = precisions(clips)
    for name in [n for n in clips[0] if n not in ("id", "actions", "scores")]:
        known = [c[name] for c in clips if c[name] is not None]
        found[name] = sum(known) / len(known)
    return found


def precisions(clips: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Mean average precision by protocol, over the classes that occur."""
    found = {}
    for name in clips[0]["scores"]:
        scores = torch.tensor([c["scores"][name] for c in clips], dtype=torch.float64)
        labels = torch.zeros(scores.shape, dtype=torch.int64)
        for row, clip in zip(labels, clips, strict=True):
            row[clip["actions"]] = 1
        found[f"map of {name}"] = recognition_scores(scores, labels, intervals=False)["map"]
    return found


def main() -> None:
    parser = arguments(__doc__, "joined_who.json")
    parser.add_argument("--shared", default="runs/ut_shared")
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=list(KINDS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[42], help="of what is trained")
    parser.add_argument("--epochs", type=int, default=20)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    write(args, people(args))


if __name__ == "__main__":
    main()
