"""Do the metrics tell models that read a planted shortcut from their clean twins?

    python ablation.py --grid configs/planted_shortcuts.yaml --output runs/planted
    python benchmarks/planted_shortcuts.py runs/planted --output docs/results/planted

Writes a file of every clip's values for each run, which is kept, and ``shortcuts.{json,md}``. The
number of a variant is the mean over its seeds; its interval is the smallest and the largest seed's
own 95 % bootstrap bound, so intervals that are apart are apart for every pair of seeds.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from whyact.data.backdrop.watermark import watermark_mask
from whyact.data.builders import build_dataset
from whyact.data.loader import load
from whyact.explainers.gradient import GradCam
from whyact.explainers.native import Native
from whyact.metrics.localisation import energy_pointing
from whyact.metrics.summary import summarise
from whyact.tasks.shares import measure_shares
from whyact.training.checkpoint import load_model
from whyact.training.record import environment

MEASURES = {
    "iid": "accuracy on the training distribution",
    "other_watermark": "accuracy with a random watermark",
    "other_scene": "accuracy in another action's scene",
    "actor_share": "the actor's share of the decision",
    "native_actor": "native map: energy on the actor above chance",
    "grad_cam_actor": "Grad-CAM: energy on the actor above chance",
    "native_mark": "native map: energy on the watermark above chance",
    "grad_cam_mark": "Grad-CAM: energy on the watermark above chance",
}


def measure(run: Path, clips: int) -> dict[str, Tensor]:
    """Values (clips,) of every measure, of one trained model."""
    loaded = load_model(run)
    loaded.model.requires_grad_(False)
    data = loaded.config.data
    found: dict[str, list[Tensor]] = {}

    def note(name: str, values: Tensor) -> None:
        found.setdefault(name, []).append(values.double())

    def batches(split: str, watermark: str) -> Any:
        kept, data.backdrop.watermark = data.backdrop.watermark, watermark
        dataset = build_dataset(data, split, train=False, seed=0)
        data.backdrop.watermark = kept
        starts = range(0, min(clips, len(dataset)), 20)
        return load(dataset, [[(i, 0) for i in range(s, min(s + 20, starts.stop))] for s in starts])

    explainers = {
        "native": Native(model=loaded.model),
        "grad_cam": GradCam(model=loaded.model, layer=loaded.model.backbone),
    }
    own = data.backdrop.watermark
    for name, split, mark in (
        ("iid", "iid", own), ("other_watermark", "iid", "random"), ("other_scene", "swap", own),
    ):  # fmt: skip
        for batch in batches(split, mark):
            batch = batch.to("cpu")
            with torch.no_grad():
                logits = loaded.model(batch.video).logits
            note(name, logits.argmax(1) == batch.label)
            if name != "iid":
                continue
            targets = logits.argmax(1)
            shares = measure_shares(
                loaded.model,
                batch.video,
                targets[:, None],
                logits.amax(1, keepdim=True),
                batch.mask,
            )
            nan = float("nan")
            values = [nan if s.actor is None else s.actor for (s,) in shares]
            note("actor_share", torch.tensor(values))
            shape = tuple(batch.video.shape[2:])
            square = watermark_mask((shape[0], shape[1], shape[2])).expand(len(targets), *shape)
            for method, explainer in explainers.items():
                heat = torch.stack([e.heat for e in explainer(batch.video, targets)])
                note(f"{method}_actor", energy_pointing(heat, batch.mask))
                note(f"{method}_mark", energy_pointing(heat, square))
    return {name: torch.cat(parts) for name, parts in found.items()}


def summary(seeds: Mapping[str, Mapping[str, Tensor]], name: str) -> dict[str, Any]:
    """Mean over seeds, and the outermost bounds of their intervals."""
    each = [summarise(values[name]) for values in seeds.values()]
    each = [s for s in each if s.mean is not None]
    if not each:
        return {"mean": None, "low": None, "high": None, "seeds": 0}
    return {
        "mean": sum(s.mean or 0 for s in each) / len(each),
        "low": min(s.low or 0 for s in each),
        "high": max(s.high or 0 for s in each),
        "seeds": len(each),
        "by_seed": [{"mean": s.mean, "clips": s.clips, "undefined": s.undefined} for s in each],
    }


def apart(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two intervals do not touch."""
    if first["mean"] is None or second["mean"] is None:
        return False
    return bool(first["high"] < second["low"] or second["high"] < first["low"])


def markdown(table: Mapping[str, Mapping[str, Any]]) -> str:
    """The table for people; bold where a variant's interval is apart from the clean one's."""
    variants = list(table)
    lines = ["| measure | " + " | ".join(variants) + " |", "|---" * (len(variants) + 1) + "|"]
    for name, title in MEASURES.items():
        cells = []
        for variant in variants:
            cell = table[variant][name]
            if cell["mean"] is None:
                cells.append("N/A")
                continue
            text = f"{cell['mean']:.3f} [{cell['low']:.3f}, {cell['high']:.3f}]"
            cells.append(f"**{text}**" if apart(cell, table["clean"][name]) else text)
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _kept(file: Path, run: Path, clips: int) -> dict[str, Tensor]:
    """The values of a run; measured, unless an earlier call has written them for as many clips."""
    if not file.is_file() or json.loads(file.read_text())["clips"] != clips:
        values = {k: [None if x != x else round(x, 5) for x in v.tolist()]
                  for k, v in measure(run, clips).items()}  # fmt: skip
        file.write_text(json.dumps({"run": str(run), "clips": clips, "values": values}))
    stored = json.loads(file.read_text())["values"]
    nan = float("nan")
    return {k: torch.tensor([nan if x is None else x for x in v]) for k, v in stored.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, help="output of the grid")
    parser.add_argument("--output", type=Path, default=Path("docs/results/planted"))
    parser.add_argument("--clips", type=int, default=200, help="of each split")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.output.mkdir(parents=True, exist_ok=True)
    raw: dict[str, dict[str, dict[str, Tensor]]] = {}
    for variant in ("clean", "watermark", "scene"):
        for folder in sorted((args.runs / variant).glob("seed_*")):
            if (folder / "result.json").is_file():
                file = args.output / f"{variant}-{folder.name}.json"
                raw.setdefault(variant, {})[folder.name] = _kept(file, folder, args.clips)
    table = {v: {name: summary(seeds, name) for name in MEASURES} for v, seeds in raw.items()}
    record = {"table": table, "clips": args.clips, **environment(torch.device("cpu"), [])}
    (args.output / "shortcuts.json").write_text(json.dumps(record, allow_nan=False, indent=1))
    (args.output / "shortcuts.md").write_text(markdown(table))
    print(markdown(table))


if __name__ == "__main__":
    main()
