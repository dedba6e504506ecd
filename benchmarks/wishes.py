"""What it costs to ask for every class, one prompt a class, against one unprompted pass.

    python benchmarks/wishes.py --output docs/results/wishes.json

Rounds take the variants in turn, so that a slow minute of the machine hits all of them alike.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from whyact.config import BackboneConfig, ModelConfig, SpecificationConfig
from whyact.models.builders import build_model
from whyact.tasks.ablation.costs import interleaved, ratio
from whyact.training.record import environment


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--classes", type=int, default=157, help="as Charades has")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--backbone", default="small")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, help="JSON record")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    clip = torch.rand(args.batch, 3, args.frames, args.size, args.size)
    config = ModelConfig(
        backbone=BackboneConfig(type=args.backbone, top_down=args.backbone == "small"),
        specification=SpecificationConfig(type="split"),
    )
    model = build_model(config, classes=args.classes).eval()
    wishes = torch.eye(args.classes)
    run = torch.no_grad()
    seconds = interleaved(
        {
            "unprompted": run(lambda: model(clip)),
            "one_wish": run(lambda: model(clip, wishes[:1].expand(args.batch, -1))),
            "every_class_by_itself": run(lambda: model.score_wishes(*model.encode(clip), wishes)),
        },
        args.rounds,
    )
    record = {
        "settings": {k: v for k, v in vars(args).items() if k != "output"},
        "seconds": seconds,
        "ratios": {name: ratio(each, seconds["unprompted"]) for name, each in seconds.items()},
        **environment(torch.device("cpu"), []),
    }
    if args.output:
        args.output.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record["ratios"], indent=1))


if __name__ == "__main__":
    main()
