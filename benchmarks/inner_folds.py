"""Compare settings on UT-Interaction by inner folds: train without two sequences, test on both.

    python benchmarks/inner_folds.py --record docs/results/ut_interaction/inner/NAME.json \
        --objectives.foreground 0.5

A model that saw neither sequence a nor b may choose for fold a by its score on b, and for fold b by
that on a. Sequences are paired with their neighbours, so each has two such scores; with --disjoint
only every second pair is, so each has one. Several --seeds train as many models a pair, on the same
tokens. With --training.average the last weights of the same training are scored too, and with
--films the clips with other backgrounds, colours and textures, as of `changed_scenes.py`.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch
from changed_scenes import MADE, backgrounds, scene_of
from rich.progress import track
from torch import Tensor

from whyact.audits.clips import collect
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

    @torch.no_grad()
    def changed(self, films: Path) -> dict[str, dict[str, Tensor]]:
        """Tokens (T', N, D) float16 of every changed clip, by change and the clip's id."""
        model = build_model(self.config.model, classes=len(self.listing.classes), seed=0).eval()
        source = self._clips(self.listing, False)
        clips = collect(source, clips=len(source), masks="motion")
        donors = backgrounds(films, self.config)
        made: dict[str, dict[str, Tensor]] = {name: {} for name in MADE}
        for row, name in enumerate(track(clips.ids, "Changed clips")):
            scene = scene_of(clips, row, donors, number=row, seed=0)
            for change, make in MADE.items():
                made[change][name] = model.encode(make(scene))[0][0].half()
        return made

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


@torch.no_grad()
def right(decoder: TokenDecoder, tokens: Tensor, label: int) -> bool:
    return int(decoder(tokens[None]).logits.argmax()) == label


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--record", type=Path, required=True, help="JSON to write")
    parser.add_argument("--disjoint", action="store_true", help="every second pair")
    parser.add_argument("--films", type=Path, help="folder that lends backgrounds")
    parser.add_argument("--seeds", type=int, nargs="+", default=[], help="of training")
    args, flags = parser.parse_known_args()
    config = load_config(["configs/ut_interaction.yaml"], ["--training.select", "last", *flags])
    config.data.fold = 0
    tokens = Tokens(config, listing_of(config.data, "all"))
    groups = groups_of(tokens.listing)
    pairs = list(zip(groups, groups[1:] + groups[:1], strict=True))[:: 2 if args.disjoint else 1]
    changed = tokens.changed(args.films) if args.films else {}
    scores: dict[str, dict[str, list[float]]] = {}
    hits: dict[str, dict[str, dict[str, bool]]] = {}
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
            run = f"seed {seed}{name}"
            scores.setdefault(run, {})[f"{a},{b}"] = [
                float((f.logits.argmax(1) == f.labels).float().mean()) for f in found
            ]
            decoder = TokenDecoder(network, tokens.grid).eval()
            for change, of_clip in changed.items():
                kept = hits.setdefault(run, {}).setdefault(change, {})
                for record in tokens.listing.records:
                    if record.group in (a, b) and record.id in of_clip:
                        kept[record.id] = right(decoder, of_clip[record.id], record.label)
        for run, of in scores.items():
            print(f"{run} mean {sum(map(sum, of.values())) / (2 * len(of)):.3f}", flush=True)
            for change, kept in hits.get(run, {}).items():
                print(f"  {change} {sum(kept.values()) / len(kept):.3f}", flush=True)
    args.record.parent.mkdir(parents=True, exist_ok=True)
    found = {"flags": flags, "scores": scores, **({"changed": hits} if hits else {})}
    args.record.write_text(json.dumps({**found, **environment(CPU, [])}, indent=1))


if __name__ == "__main__":
    main()
