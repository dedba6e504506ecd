r"""Where the scene leaks into the action code: probes of regions, of what is added, and of both.

    python ablation.py --only SSG+DPM+GPNN --output runs/ablation
    python benchmarks/leak_by_stage.py now/0=runs/ablation/SSG+DPM+GPNN/seed_0 now/1=… before/0=… \
        --output docs/results/separation/stages.json

The refined action code is the regions' own and what prompts and graph add to it. A linear probe of
the sum can miss what it finds in the regions, where what is added varies more.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from whyact.data.builders import build_dataset
from whyact.models.recognizer import VideoModel
from whyact.tasks.codes import Codes, probe_codes, read_codes
from whyact.training.checkpoint import load_model
from whyact.training.record import environment, write_json
from whyact.types import ActionOutput

STAGES = ("regions", "added", "refined")


class Stages(torch.nn.Module):
    """The model, with all three stages side by side as its action code."""

    def __init__(self, model: VideoModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, video: torch.Tensor) -> ActionOutput:
        """As the model's, with an action code (B, T', K, 3 C)."""
        output: ActionOutput = self.model(video)
        regions, refined = output.region_code.float(), output.action_code.float()
        return replace(output, action_code=torch.cat([regions, refined - regions, refined], -1))


def measure(run: Path, split: str) -> dict[str, dict[str, float]]:
    """Accuracy above the floor by stage and probe, in points."""
    loaded = load_model(run)
    kept = loaded.model.get_buffer("kept_action")
    if not torch.equal(kept, torch.eye(len(kept))):
        raise SystemExit(f"{run}: its code is erased after the last stage, which is none of these.")
    dataset = build_dataset(loaded.config.data, split, train=False, seed=loaded.config.seed)
    found = read_codes(Stages(loaded.model), dataset, range(len(dataset)))  # type: ignore[arg-type]
    nothing = torch.zeros(len(found.label), 0)
    result = {}
    for stage, code in zip(STAGES, found.action.chunk(3, 1), strict=True):
        one: Codes = replace(found, action=code, nuisance=nothing)
        leak = probe_codes(one, dataset)["scene in the action code"]
        hits = {probe: float(hit.float().mean()) for probe, hit in leak.hits.items()}
        result[stage] = {probe: round(100 * (hit - leak.floor), 1) for probe, hit in hits.items()}
    return result


def main() -> None:
    """Probe each run and write the record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN")
    parser.add_argument("--split", default="probe", help="of crossed actions and scenes")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    named = [given.split("=", 1) for given in options.runs]
    found = {name: measure(Path(run), options.split) for name, run in named}
    write_json(
        options.output,
        {
            "split": options.split,
            "points_above_the_floor": found,
            **environment(torch.device("cpu"), []),
        },
    )
    for name, stages in found.items():
        print(name, stages)


if __name__ == "__main__":
    main()
