"""Train a grid of settings x seeds and tabulate it."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from whyact.config import Config
from whyact.config_io import check_names, from_dict, merge
from whyact.tasks.train import train
from whyact.types import WhyactError


def read_grid(path: str | Path, quick: bool = False) -> tuple[dict[str, dict[str, Any]], list[int]]:
    """Variants and seeds of a grid file.

    The file has ``variants`` (name → settings on top of the base config), ``seeds``, and ``quick``
    (settings that shorten every run, with fewer ``seeds`` if it names them).

    Raises:
        WhyactError: another layout, or settings that do not exist.
    """
    path = Path(path)
    if not path.is_file():
        raise WhyactError(f"{path}: no such grid file.")
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(tree, dict) or not isinstance(tree.get("variants"), dict):
        raise WhyactError(f"{path}: expected 'variants:' with a name and settings for each.")
    variants = {str(k): dict(v or {}) for k, v in tree["variants"].items()}
    seeds = [int(s) for s in tree.get("seeds", [42])]
    short = dict(tree.get("quick", {}))
    if quick:
        seeds = [int(s) for s in short.pop("seeds", seeds[:1])]
        variants = {k: merge(v, short) for k, v in variants.items()}
    for name, settings in variants.items():
        check_names(list(settings), f"{path}, variant {name}")
    return variants, seeds


def ablate(
    config: Config, *, grid: str | Path, output: str | Path = "runs/ablation", quick: bool = False
) -> str:
    """Train every variant with every seed; finished runs are kept, interrupted ones go on.

    Args:
        config: the base. grid: see `read_grid`. output: folder of the runs and of
            ``table.{json,md}``. quick: the grid's short form.

    Returns:
        The table in Markdown: mean ± standard deviation of top-1 over the seeds, for each split.
    """
    variants, seeds = read_grid(grid, quick)
    rows: dict[str, list[dict[str, Any]]] = {}
    for name, settings in variants.items():
        for seed in seeds:
            run = from_dict(merge(asdict(config), settings), f"{grid}, variant {name}")
            run.seed, run.output, run.name = seed, str(output), f"{name}/seed_{seed}"
            done = Path(output) / run.name / "result.json"
            if not done.is_file():
                scores = train(run, resume=True).scores
                done.write_text(json.dumps(scores, indent=1))
            rows.setdefault(name, []).append(json.loads(done.read_text()))
    table = _markdown(rows)
    (Path(output) / "table.json").write_text(json.dumps({"seeds": seeds, "rows": rows}, indent=1))
    (Path(output) / "table.md").write_text(table)
    return table


def _markdown(rows: Mapping[str, list[dict[str, Any]]]) -> str:
    splits = list(next(iter(rows.values()))[0])
    lines = ["| variant | " + " | ".join(splits) + " | seeds |", "|---" * (len(splits) + 2) + "|"]
    for name, runs in rows.items():
        cells = []
        for split in splits:
            values = [100 * run[split]["top1"] for run in runs]
            spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.1f}{spread}")
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {len(runs)} |")
    return "\n".join(lines) + "\n"
