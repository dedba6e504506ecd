"""Compare settings on UT-Interaction by inner folds: train without two sequences, test on both.

    python benchmarks/inner_folds.py --record docs/results/ut_interaction/inner/NAME.json \
        --objectives.foreground 0.5

A model that saw neither sequence a nor b may choose for fold a by its score on b, and for fold b by
that on a. Sequences are paired with their neighbours, so each has two such scores; with --disjoint
only every second pair is, so each has one. Several --seeds train as many models a pair, on the same
tokens. With --training.average the last weights of the same training are scored too.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch
from rich.progress import track

from whyact.config import Config
from whyact.config_io import load_config
from whyact.data.builders import listed_clips
from whyact.data.catalog import listing_of
from whyact.data.folds import groups_of
from whyact.data.listing import Listing
from whyact.models.builders import build_model
from whyact.objectives.builders import build_objectives
from whyact.training.loop import Loop
from whyact.training.predictions import predict_dataset
from whyact.training.record import environment
from whyact.training.seeding import derive, seed_everything
from whyact.training.setup import make_accelerator
from whyact.training.token_cache import TokenDataset, TokenDecoder, cache_tokens

CPU = torch.device("cpu")


class Tokens:
    """Cached tokens of all clips, for training and for testing, cut by sequences."""

    def __init__(self, config: Config, listing: Listing) -> None:
        self.config, self.listing = config, listing
        model = build_model(config.model, classes=len(listing.classes), seed=config.seed)
        self.cached = {}
        for train in (True, False):
            self.cached[train], self.grid = cache_tokens(
                config=config, source=self._clips(listing, train), model=model, train=train,
                root=Path(config.output) / ".cache", device=CPU,
                moving=train and config.objectives.foreground > 0,
            )  # fmt: skip

    def _clips(self, listing: Listing, train: bool):
        seed = derive(self.config.seed, "data")
        return listed_clips(self.config.data, listing, train=train, seed=seed)

    def part(self, groups: set[str], *, train: bool) -> TokenDataset:
        """The clips of these sequences."""
        records = tuple(r for r in self.listing.records if r.group in groups)
        return self.cached[train].subset(self._clips(replace(self.listing, records=records), train))


def trained(config: Config, clips: TokenDataset, grid: tuple[int, int], folder: Path) -> Loop:
    seed_everything(config.seed)
    folder.mkdir(parents=True, exist_ok=True)
    loop = Loop(
        config=config,
        model=build_model(config.model, classes=len(clips.classes), seed=config.seed),
        objectives=build_objectives(config.objectives, config.objective_settings),
        dataset=clips, validate=lambda network: {}, folder=folder,
        accelerator=make_accelerator(config.training), wrap=lambda m: TokenDecoder(m, grid),
    )  # fmt: skip
    loop.run()
    return loop


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--record", type=Path, required=True, help="JSON to write")
    parser.add_argument("--disjoint", action="store_true", help="every second pair")
    parser.add_argument("--seeds", type=int, nargs="+", default=[], help="of training")
    args, flags = parser.parse_known_args()
    config = load_config(["configs/ut_interaction.yaml"], ["--training.select", "last", *flags])
    config.data.fold = 0
    tokens = Tokens(config, listing_of(config.data, "all"))
    groups = groups_of(tokens.listing)
    pairs = list(zip(groups, groups[1:] + groups[:1], strict=True))[:: 2 if args.disjoint else 1]
    scores: dict[str, dict[str, list[float]]] = {}
    jobs = [(a, b, seed) for seed in args.seeds or [config.seed] for a, b in pairs]
    for a, b, seed in track(jobs, "Pairs of sequences"):
        fit = tokens.part(set(groups) - {a, b}, train=True)
        config.seed = seed
        loop = trained(config, fit, tokens.grid, Path(config.output) / "inner" / f"{a}-{b}-{seed}")
        networks = {"": loop.evaluated}
        if loop.average is not None:
            networks[" last"] = loop.model
        for name, network in networks.items():
            found = [
                predict_dataset(
                    TokenDecoder(network, tokens.grid), tokens.part({g}, train=False), device=CPU
                )
                for g in (a, b)
            ]
            scores.setdefault(f"seed {seed}{name}", {})[f"{a},{b}"] = [
                float((f.logits.argmax(1) == f.labels).float().mean()) for f in found
            ]
        for name, of in scores.items():
            print(f"{name} mean {sum(map(sum, of.values())) / (2 * len(of)):.3f}", flush=True)
    args.record.parent.mkdir(parents=True, exist_ok=True)
    args.record.write_text(
        json.dumps({"flags": flags, "scores": scores, **environment(CPU, [])}, indent=1)
    )


if __name__ == "__main__":
    main()
