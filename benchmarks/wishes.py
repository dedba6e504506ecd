"""What it costs to ask for every class, one prompt a class, against one unprompted pass.

    python benchmarks/wishes.py --output docs/results/wishes.json

The models are those of the configs of Backdrop that are asked, with their 15 classes and with as
many as Charades has, and a larger picture. Rounds take the variants in turn, so that a slow minute
of the machine hits all of them alike; seconds are those that the process had the CPU, as others use
the machine too.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from whyact.config import BackboneConfig, ModelConfig, SpecificationConfig
from whyact.config_io import load_config
from whyact.models.builders import build_model
from whyact.tasks.ablation.costs import interleaved, ratio
from whyact.training.record import environment

CONFIGS = Path(__file__).parents[1] / "configs"
MANY = 157
"""Classes of Charades."""


@dataclass(frozen=True)
class Shape:
    """A model and its clips: the model section of a config, or the small backbone's defaults."""

    config: str
    classes: int
    frames: int
    size: int

    def model(self) -> ModelConfig:
        """The model section."""
        if self.config:
            return load_config([CONFIGS / self.config]).model
        return ModelConfig(
            backbone=BackboneConfig(type="small", top_down=True),
            specification=SpecificationConfig(type="split"),
        )


SHAPES = {
    "16x112x112, defaults": Shape("", MANY, 16, 112),
    "16x64x64, untrimmed": Shape("backdrop_untrimmed.yaml", MANY, 16, 64),
    "8x64x64, multi": Shape("backdrop_multi.yaml", MANY, 8, 64),
    "16x64x64, untrimmed, its own classes": Shape("backdrop_untrimmed.yaml", 15, 16, 64),
    "8x64x64, multi, its own classes": Shape("backdrop_multi.yaml", 15, 8, 64),
}


@torch.no_grad()
def measured(shape: Shape, rounds: int, batch: int) -> dict[str, object]:
    """Seconds and ratios of one shape; of whole passes, and of what follows the backbone."""
    torch.manual_seed(0)
    model = build_model(shape.model(), classes=shape.classes).eval()
    clip = torch.rand(batch, 3, shape.frames, shape.size, shape.size)
    wishes = torch.eye(shape.classes)
    tokens, grid = model.encode(clip)
    seconds = interleaved(
        {
            "unprompted": lambda: model(clip),
            "one_wish": lambda: model(clip, wishes[:1].expand(batch, -1)),
            "every_class_by_itself": lambda: model.score_wishes(*model.encode(clip), wishes),
            "decoder_unprompted": lambda: model.decode(tokens, grid),
            "decoder_every_class_by_itself": lambda: model.score_wishes(tokens, grid, wishes),
        },
        rounds,
        time.process_time,
    )
    ratios = {
        name: ratio(each, seconds["decoder_unprompted" if "decoder" in name else "unprompted"])
        for name, each in seconds.items()
    }
    return {**vars(shape), "seconds": seconds, "ratios": ratios}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, help="JSON record")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    shapes = {name: measured(shape, args.rounds, args.batch) for name, shape in SHAPES.items()}
    record = {
        "settings": {k: v for k, v in vars(args).items() if k != "output"},
        "shapes": shapes,
        **environment(torch.device("cpu"), []),
    }
    if args.output:
        args.output.write_text(json.dumps(record, indent=1) + "\n")
    for name, each in shapes.items():
        print(name, json.dumps(each["ratios"]))


if __name__ == "__main__":
    main()
