"""A small data set, and loops over it, for the tests of training. Runs as a script for tests that
kill it or start it twice: ``toy_runs.py FOLDER SETTINGS-JSON``."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from whyact.config import BackboneConfig, Config, ModelConfig, SpatialGraphConfig, TrainingConfig
from whyact.models.builders import build_model
from whyact.objectives.builders import build_objectives
from whyact.training.loop import Loop
from whyact.training.setup import make_accelerator
from whyact.types import Clip, Failure


class ToyClips:
    """Noise over a colour that tells the label; a clip is a function of (index, epoch)."""

    classes, scenes, views, fingerprint = ("red", "green", "blue"), ("x", "y"), 1, "toy"

    def __init__(self, count: int = 12, broken: tuple[int, ...] = ()) -> None:
        self.ids = [f"toy/{i}" for i in range(count)]
        self.groups, self.labels = self.ids, [i % 3 for i in range(count)]
        self.broken = broken

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, request: tuple[int, int]) -> Clip | Failure:
        index, turn = request
        if index in self.broken:
            return Failure(self.ids[index], "broken on purpose")
        generator = torch.Generator().manual_seed(1000 * turn + index)
        video = torch.randint(0, 120, (3, 4, 32, 32), generator=generator, dtype=torch.uint8)
        video[self.labels[index]] += 100
        return Clip(video=video, label=self.labels[index], id=self.ids[index], nuisance=index % 2)


def toy_config(objectives: dict[str, float] | None = None, **training: Any) -> Config:
    """A tiny model with a frozen backbone, hence without batch statistics."""
    frozen = training.pop("frozen", True)
    config = Config(
        model=ModelConfig(
            backbone=BackboneConfig(type="small", width=16, frozen=frozen),
            spatial_graph=SpatialGraphConfig(regions=3),
        ),
        training=TrainingConfig(
            **{
                "epochs": 3,
                "batch_size": 4,
                "learning_rate": 1e-3,
                "warmup_steps": 2,
                "device": "cpu",
                "mixed_precision": "no",
                **training,
            }
        ),
    )
    for name, weight in (objectives or {}).items():
        setattr(config.objectives, name, weight)
    return config


def toy_loop(folder: Path, config: Config, dataset: Any = None, validate: Any = None) -> Loop:
    folder.mkdir(parents=True, exist_ok=True)
    dataset = dataset or ToyClips()
    return Loop(
        config=config,
        model=build_model(config.model, classes=3, scenes=2, seed=config.seed),
        objectives=build_objectives(config.objectives, config.objective_settings),
        dataset=dataset,
        validate=validate or (lambda model: {"top1": 0.5}),
        folder=folder,
        accelerator=make_accelerator(config.training),
    )


def rows(folder: Path) -> list[dict[str, float]]:
    """What was logged, without the time."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def main() -> None:
    folder, settings = Path(sys.argv[1]), json.loads(sys.argv[2])
    torch.set_num_threads(1)
    kill_at = settings.pop("kill_at", 0)
    clips = ToyClips(broken=settings.pop("broken", ()))
    loop = toy_loop(folder, toy_config(**settings), clips)
    if kill_at:
        update = loop._update

        def dying(group: Any) -> Any:
            if loop.progress.step == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return update(group)

        loop._update = dying  # type: ignore[method-assign]
    loop.run()


if __name__ == "__main__":
    main()
