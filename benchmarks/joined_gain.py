r"""Does asking help to say what is there, on real clips? Every pair of UT-Interaction's sequences.

    whyact train --config configs/ut_interaction.yaml --name ut_shared \
        --model.spatial_graph.dynamics shared
    python benchmarks/joined_gain.py --seeds 42 0 1

Scores the models of `joined_who.py` that are asked, and their twins, which it trains where they are
not there, on all 30 pairs of a held-out sequence: two clips with different actions, side by side in
both orders. Precision is that within a fold, as the levels of ten models cannot be compared;
intervals are over resampled folds, and by Student's t over ``--seeds``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from asking import t_interval
from joined_shared import arguments, clip_of, config_of, mean_of, over_folds, write
from joined_who import PAIRS, precisions, protocols, trained
from rich.progress import track

from whyact.config import Config
from whyact.data.builders import build_dataset
from whyact.data.joined import JoinedDataset
from whyact.data.protocol import ClipDataset
from whyact.models.asking import PROTOCOLS
from whyact.tasks.folds import fold_runs
from whyact.training.checkpoint import LoadedModel, load_model
from whyact.training.seeding import derive
from whyact.training.token_cache import TokenDataset, cache_tokens

KINDS = ("asked", "twin")


class EveryPair(JoinedDataset):
    """All pairs of clips of a group that show different actions, side by side, in both orders."""

    def __init__(self, source: ClipDataset) -> None:
        super().__init__(source=source, count=2, train=False, seed=0, axis="width", within=True)
        self.pairs = [
            [i, j]
            for pool in self.pools.values()
            for i in pool
            for j in pool
            if self.single[i] != self.single[j]
        ]
        self.groups = [source.groups[i] for i, _ in self.pairs]

    def __len__(self) -> int:
        return len(self.pairs)

    def members(self, index: int, turn: int = 0) -> list[int]:
        """The two clips of a pair, from left to right."""
        return list(self.pairs[index])

    @property
    def fingerprint(self) -> str:
        """Of the source and of its being paired like this."""
        return f"{super().fingerprint} every pair"


def every_pair(config: Config, split: str) -> EveryPair:
    """Those of a split."""
    seed = derive(config.seed, "data")
    return EveryPair(build_dataset(config.data, split, train=False, seed=seed))


@torch.no_grad()
def scored(args: argparse.Namespace, kind: str, fold: int) -> list[list[dict[str, Any]]]:
    """What the models of a fold say of its pairs, by seed and pair."""
    single = config_of(args, fold, "--data.test", "[]")
    held_out = every_pair(single, "test")
    with torch.enable_grad():
        runs = [trained(args, kind, seed, fold) for seed in args.seeds]
    found = []
    for loaded in map(load_model, runs):
        cached, grid = cache_tokens(
            config=config_of(args, fold, *PAIRS), model=loaded.model, train=False,
            source=every_pair(single, "all"), root=Path(args.runs) / ".cache",
            device=torch.device("cpu"),
        )  # fmt: skip
        found.append(
            [row_of(loaded, cached.subset(held_out), grid, i) for i in range(len(held_out))]
        )
    return found


def row_of(
    loaded: LoadedModel, pairs: TokenDataset, grid: tuple[int, int], index: int
) -> dict[str, Any]:
    """A pair's name, actions and scores by protocol."""
    clip, actions = clip_of(pairs, index), pairs.labels[index]
    assert isinstance(actions, tuple)
    scores = protocols(loaded, clip.video[None].float(), grid, actions)
    return {"id": clip.id, "actions": list(actions), "scores": scores}


def gains(args: argparse.Namespace) -> dict[str, Any]:
    """Precision within folds, and what asking adds to the twin's, over seeds and folds."""
    folds = range(args.folds or len(fold_runs(args.shared)))
    values = {kind: [scored(args, kind, fold) for fold in track(folds, kind)] for kind in KINDS}
    alone = {k: [[precisions(rows) for rows in seeds] for seeds in v] for k, v in values.items()}

    def by_seed(picks: Sequence[int]) -> list[dict[str, float]]:
        seeds = range(len(args.seeds))
        means = {k: [mean_of([v[f][s] for f in picks]) for s in seeds] for k, v in alone.items()}
        return [gained(means["asked"][s], means["twin"][s]) for s in seeds]

    each = by_seed(folds)
    return {
        "seeds": args.seeds,
        "epochs": args.epochs,
        "pairs": sum(len(seeds[0]) for seeds in values["asked"]),
        "scores": over_folds(lambda picks: mean_of(by_seed(picks)), len(folds), args.draws),
        "each": each,
        "t": {name: t_interval([one[name] for one in each]) for name in each[0]},
        "alone": alone,
        "values": values,
    }


def gained(asked: dict[str, float], twin: dict[str, float]) -> dict[str, float]:
    """Both models' precision by protocol, and the difference of each from the unprompted twin's."""
    names = [f"map of {p.name}" for p in PROTOCOLS]
    return {
        **{f"asked {name}": asked[name] for name in names},
        "twin": twin["map of no_prompt"],
        **{f"asked over twin {name}": asked[name] - twin["map of no_prompt"] for name in names},
    }


def main() -> None:
    parser = arguments(__doc__, "joined_gain.json")
    parser.add_argument("--shared", default="runs/ut_shared")
    parser.add_argument("--seeds", type=int, nargs="+", default=[42], help="of what is trained")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--folds", type=int, default=0, help="only the first ones; 0 takes all")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    write(args, gains(args))


if __name__ == "__main__":
    main()
