"""Train a grid of settings x seeds and tabulate it."""

from __future__ import annotations

import itertools
import json
import re
import statistics
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from accelerate import PartialState

from whyact.config import Config
from whyact.config_io import check_names, from_dict, leaves, merge, nearest, nested
from whyact.tasks.train import finished, train
from whyact.types import WhyactError


def _read(path: str | Path) -> dict[str, Any]:
    path = Path(path)
    if not path.is_file():
        raise WhyactError(f"{path}: no such grid file.")
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise WhyactError(f"{path}: not valid YAML: {error}") from error
    known = ("config", "common", "axes", "variants", "seeds", "quick")
    if not isinstance(tree, dict) or not (tree.get("axes") or tree.get("variants")):
        raise WhyactError(
            f"{path}: expected 'axes:' (a list of values for each setting) or 'variants:' (a name "
            "and settings for each)."
        )
    for key, value in tree.items():
        if key not in known:
            raise WhyactError(
                f"{path}: there is no '{key}' in a grid. Did you mean '{nearest(str(key), known)}'?"
            )
        _check_part(path, key, value)
    return {key: value for key, value in tree.items() if value is not None}


def _check_part(path: Path, key: str, value: Any) -> None:
    """Fail where a part of a grid has another form than `read_grid` says."""
    if value is None or key == "config":
        return
    if key == "seeds":
        _check_seeds(path, key, value)
        return
    if not isinstance(value, dict):
        raise WhyactError(f"{path}: {key}: expected 'name: value' below it, got '{value}'.")
    inner, form = {"axes": (list, "a list of values"), "variants": (dict, "settings")}.get(
        key, (object, "")
    )
    for name, one in value.items():
        if not isinstance(one, inner) and not (key == "variants" and one is None):
            raise WhyactError(f"{path}: {key}: expected {form} for '{name}', got '{one}'.")
    if key == "quick" and value.get("seeds") is not None:
        _check_seeds(path, "quick.seeds", value["seeds"])


def _check_seeds(path: Path, name: str, seeds: Any) -> None:
    if not (isinstance(seeds, list) and seeds and all(type(s) is int for s in seeds)):
        raise WhyactError(f"{path}: {name}: expected a list such as [0, 1, 2], got '{seeds}'.")


def base_configs(path: str | Path) -> list[Path]:
    """The configs that a grid file stands on: its ``config``, relative to the file."""
    listed = _read(path).get("config", [])
    return [Path(path).parent / c for c in ([listed] if isinstance(listed, str) else listed)]


def read_grid(path: str | Path, quick: bool = False) -> tuple[dict[str, dict[str, Any]], list[int]]:
    """Variants and seeds of a grid file.

    The file has ``axes`` (setting → values; every combination is a variant), ``variants`` (name →
    settings; more of them), ``seeds``, ``config`` (files that it stands on), ``common`` (settings
    of every variant), and ``quick`` (settings that shorten every run, with fewer ``seeds`` if it
    names them). Settings may be nested or have dots: ``model.spatial_graph.type``.

    Raises:
        WhyactError: another layout, or settings that do not exist.
    """
    tree = _read(path)
    variants = {str(k): dict(v or {}) for k, v in (tree.get("variants") or {}).items()}
    axes = {str(k): list(v) for k, v in (tree.get("axes") or {}).items()}
    for values in itertools.product(*axes.values()) if axes else ():
        chosen = dict(zip(axes, values, strict=True))
        name = ",".join(f"{_short(k)}={v}" for k, v in chosen.items())
        name = re.sub(r"[^\w.,=+-]+", "_", name)
        if name in variants:
            raise WhyactError(f"{path}: two variants would be called '{name}'; list them by name.")
        variants[name] = chosen
    seeds = [int(s) for s in tree.get("seeds", [42])]
    short = dict(tree.get("quick", {}))
    fewer = short.pop("seeds", seeds[:1])
    common = _settings(tree.get("common", {}), f"{path}, common")
    short = _settings(short, f"{path}, quick")
    for name, settings in variants.items():
        own = _settings(settings, f"{path}, variant {name}")
        variants[name] = merge(merge(common, own), short if quick else {})
    return variants, [int(s) for s in fewer] if quick else seeds


def _settings(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    tree = nested(given)
    check_names([name for name, _ in leaves(tree)], where)
    return tree


def _short(setting: str) -> str:
    """The telling part of a setting's name: ``spatial_graph`` of ``model.spatial_graph.type``."""
    return setting.removesuffix(".type").rsplit(".", 1)[-1]


def ablate(
    config: Config, *, grid: str | Path, output: str | Path = "runs/ablation", quick: bool = False
) -> str:
    """Train every variant with every seed; finished runs are kept, interrupted ones go on.

    Args:
        config: the base. grid: see `read_grid`. output: folder of the runs and of
            ``table.{json,md}``. quick: the grid's short form.

    Returns:
        The table in Markdown: mean ± standard deviation of top-1 (mAP for several labels) over the
        seeds, for each split.
    """
    variants, seeds = read_grid(grid, quick)
    runs: list[tuple[str, Config]] = []  # all before the first is trained, which may take hours
    for name, settings in variants.items():
        for seed in seeds:
            run = from_dict(merge(asdict(config), settings), f"{grid}, variant {name}")
            run.seed, run.output, run.name = seed, str(output), f"{name}/seed_{seed}"
            runs.append((name, run))
    rows: dict[str, list[dict[str, Any]]] = {}
    for name, run in runs:
        rows.setdefault(name, []).append(finished(run) or train(run, resume=True).scores)
    table = _markdown(rows)
    if PartialState().is_main_process:
        record = {"seeds": seeds, "variants": variants, "rows": rows, "summary": _summary(rows)}
        (Path(output) / "table.json").write_text(json.dumps(record, indent=1))
        (Path(output) / "table.md").write_text(table)
    return table


def _summary(rows: Mapping[str, list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Mean and standard deviation (None for one seed) of top-1, or mAP, by variant and split."""
    made: dict[str, dict[str, Any]] = {}
    for name, runs in rows.items():
        for split in runs[0]:
            found = [run[split].get("top1", run[split].get("map")) for run in runs]
            values = [v for v in found if v is not None]  # a split without a readable clip has none
            spread = statistics.stdev(values) if len(values) > 1 else None
            mean = statistics.mean(values) if values else None
            cell = {"mean": mean, "std": spread, "runs": len(values)}
            made.setdefault(name, {})[split] = cell
    return made


def _cell(score: Mapping[str, Any] | None) -> str:
    if score is None or score["mean"] is None:
        return "–"
    spread = "" if score["std"] is None else f" ± {100 * score['std']:.1f}"
    return f"{100 * score['mean']:.1f}{spread}"


def _markdown(rows: Mapping[str, list[dict[str, Any]]]) -> str:
    summary = _summary(rows)
    splits = list(dict.fromkeys(split for cells in summary.values() for split in cells))
    lines = ["| variant | " + " | ".join(splits) + " | seeds |", "|---" * (len(splits) + 2) + "|"]
    for name, cells in summary.items():
        texts = [_cell(cells.get(split)) for split in splits]
        lines.append(f"| {name} | " + " | ".join(texts) + f" | {len(rows[name])} |")
    return "\n".join(lines) + "\n"
