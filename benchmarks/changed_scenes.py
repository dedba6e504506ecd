"""Do models of real clips hold where scene, colours and texture change? Held-out clips of folds.

    whyact train --config configs/ut_interaction.yaml
    python benchmarks/changed_scenes.py runs/ut_interaction --films FILMS \
        --output docs/results/ut_interaction/changed_scenes.json

The people are found by motion, without labels, and pasted before other films (whose own moving
parts are taken out), stripes and one colour; the control pastes them before their own background.
Every fold's model sees the clips that it was not trained on. Prints Markdown, one column a run.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.progress import track
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as tf

from whyact.audits.changes import CHANGES, Scene
from whyact.audits.clips import AuditClips, collect
from whyact.config import Config
from whyact.data.builders import build_dataset
from whyact.data.loader import load
from whyact.explainers.base import logits_of
from whyact.metrics.summary import summarise, summarise_difference
from whyact.models.foreign import Wanted
from whyact.ops.motion import whole_actors
from whyact.tasks.audited import open_model, own_config
from whyact.tasks.folds import fold_runs
from whyact.tasks.inputs import clips_of, find_clips
from whyact.training.record import environment
from whyact.types import WhyactError


def recoloured(transform: v2.Transform) -> Callable[[Scene], Tensor]:
    """A change of all frames of a clip alike; ``transform`` works on (T, 3, H, W)."""

    def make(scene: Scene) -> Tensor:
        clips = []
        for clip, seed in zip(scene.clips, scene.seeds.tolist(), strict=True):
            torch.manual_seed(seed)
            clips.append(transform(clip.transpose(0, 1)).transpose(0, 1))
        return torch.stack(clips)

    return make


MADE: dict[str, Callable[[Scene], Tensor]] = {
    **{name: CHANGES[name].make for name in ("original", "own_background")},
    "other_film": CHANGES["swapped"].make,
    **{name: CHANGES[name].make for name in ("scuba", "human_only", "background_only")},
    "colours": recoloured(v2.ColorJitter(0.3, 0.3, 0.5, 0.3)),
    "grey": recoloured(v2.Lambda(lambda x: tf.rgb_to_grayscale(x, 3))),
    "blurred": recoloured(v2.GaussianBlur(9, 2.0)),
    "noisy": recoloured(v2.Lambda(lambda x: (x + 0.08 * torch.randn(x.shape)).clamp(0, 1))),
}
TEXT = {
    **{name: CHANGES[name].text for name in CHANGES},
    "other_film": "the people before another film",
    "colours": "brightness, contrast, saturation and hue drawn for each clip",
    "grey": "without colour",
    "blurred": "without fine texture (Gaussian blur, 2 pixels)",
    "noisy": "with noise for texture (standard deviation 0.08)",
}


def backgrounds(folder: Path, like: Config) -> tuple[Tensor, Tensor]:
    """Films as clips (n, 3, T, H, W) read as a run reads its own, with masks (n, T, H, W)."""
    films = clips_of(like.data, find_clips([str(folder)]), ["unknown"])
    read = next(load(films, [[(i, 0) for i in range(len(films))]]))
    for failure in read.failures:
        raise WhyactError(f"{failure.id}: {failure.reason}")
    video = read.video.float() / 255
    return video, whole_actors(video).float()


def scene_of(
    clips: AuditClips, row: int, donors: tuple[Tensor, Tensor], *, number: int, seed: int
) -> Scene:
    """A clip with the film that lends its background; films take turns by the clip's number."""
    film = torch.tensor([number % len(donors[0])])
    return Scene(
        *clips.floats(torch.tensor([row])), donors[0][film], donors[1][film],
        seeds=torch.tensor([seed * 1_000_003 + number]),
    )  # fmt: skip


@torch.no_grad()
def measure(run: str, films: Path, seed: int) -> dict[str, Any]:
    """Hits of every held-out clip by change, with intervals and the loss against the control."""
    hits: dict[str, list[float]] = {name: [] for name in MADE}
    ids: list[str] = []
    donors: tuple[Tensor, Tensor] | None = None
    parts = fold_runs(run) or [Path(run)]
    for k, one in enumerate(parts, start=1):
        config = own_config(str(one))
        assert config is not None
        donors = donors or backgrounds(films, config)
        dataset = build_dataset(config.data, config.data.test[0], train=False, seed=0)
        clips = collect(dataset, clips=len(dataset), masks="motion")
        call = open_model(str(one), Wanted(classes=len(dataset.classes))).call
        for row in track(range(len(clips)), f"{run}, model {k} of {len(parts)}"):
            at = torch.tensor([row])
            scene = scene_of(clips, row, donors, number=len(ids), seed=seed)
            for name, make in MADE.items():
                right = logits_of(call, make(scene)).argmax(1) == clips.labels[at]
                hits[name].append(float(right))
            ids.append(clips.ids[row])
    found = {name: torch.tensor(h) for name, h in hits.items()}
    pasted = ("other_film", "scuba", "human_only")
    control = {n: found["own_background" if n in pasted else "original"] for n in MADE}
    return {
        "clips": ids,
        "hits": hits,
        "accuracy": {name: vars(summarise(h)) for name, h in found.items()},
        "lost": {n: vars(summarise_difference(control[n], h)) for n, h in found.items()},
    }


def table(found: dict[str, dict[str, Any]]) -> str:
    """Markdown: accuracy in % and, in brackets, its interval."""
    lines = ["| top-1 in % | " + " | ".join(found) + " |", "|---" * (len(found) + 1) + "|"]
    for name in MADE:
        cells = [
            f"{100 * r['accuracy'][name]['mean']:.1f} [{100 * r['accuracy'][name]['low']:.1f}, "
            f"{100 * r['accuracy'][name]['high']:.1f}]"
            for r in found.values()
        ]
        lines.append(f"| {TEXT[name]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--films", type=Path, required=True, help="folder that lends backgrounds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    found = {Path(run).name: measure(run, args.films, args.seed) for run in args.runs}
    record = {"seed": args.seed, "runs": found, **environment(torch.device("cpu"), [])}
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(record, indent=1) + "\n")
    print(table(found))


if __name__ == "__main__":
    main()
