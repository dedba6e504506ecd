"""The table of an ablation as JSON, Markdown and a figure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from whyact.report.figures import write_figure

Cell = Mapping[str, Any]
MEASURES: Mapping[str, str] = {
    "iou": "IoU at the mask's area ↑",
    "energy": "energy pointing above chance ↑",
    "pointing": "pointing game ↑",
    "deletion": "deletion AUC ↓",
    "insertion": "insertion AUC ↑",
    "faithfulness": "insertion − deletion ↑",
    "temporal": "stability along the flow ↑",
    "spread": "spread in a frame (constant map: 1) ↓",
    "alignment": "rank of the clip by its prompts (chance: 0.5) ↓",
}
"""Titles of the measures of explanations. A constant map is stable, and a map may be local in the
wrong place, so stability and spread never rank alone."""
LEAKS: Mapping[str, str] = {
    f"{key}_{probe}": f"{title}, {name}"
    for key, title in {
        "scene_in_action": "scene from the action code ↓",
        "action_in_nuisance": "action from the nuisance code ↓",
        "scene_in_nuisance": "scene from the nuisance code ↑",
    }.items()
    for probe, name in {"linear": "linear", "mlp": "MLP"}.items()
}
"""Titles of what probes read."""
RANKED = {
    "iou": 1, "energy": 1, "pointing": 1, "deletion": -1, "insertion": 1, "faithfulness": 1
}  # fmt: skip
"""Measures by which an explanation must beat the controls, with the sign of what is better."""
FEW_SEEDS = {1: "†", 2: "‡"}
_FEW_SEEDS = (
    "† one seed: over clips alone, so it knows nothing of how trainings differ. ‡ two seeds: where "
    "trainings differ much, such an interval holds the truth in four of five cases, not in 95 %."
)
_MEBI = 1 << 20


def write_ablation(folder: Path, table: Mapping[str, Any]) -> str:
    """Write ``table.json``, ``table.md`` and ``table.png`` into a folder.

    Args:
        folder: that is made if it is missing. table: of `whyact.tasks.ablation.table.tabulate`.

    Returns:
        The Markdown.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(table, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "table.json").write_text(text, encoding="utf-8")
    said = markdown(table)
    (folder / "table.md").write_text(said, encoding="utf-8")
    if any(table["summary"].values()):
        write_figure(folder / "table.png", "ablation", table)
    return said


def markdown(table: Mapping[str, Any]) -> str:
    """The table for people: an overview, then differences, explanations, interaction and costs."""
    parts = [
        _overview(table), _differences(table), _explanations(table), _leaks(table),
        _interactions(table), _costs(table), _matched(table), _commits(table), _failed(table),
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; columns that are empty in all rows are left out."""
    kept = [0, *(i for i in range(1, len(head)) if any(row[i] not in ("", "–") for row in rows))]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line[i] for i in kept) + " |" for line in lines)


def _splits(table: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(split for cells in table["summary"].values() for split in cells))


def _mean(cell: Cell | None, scale: float = 100, digits: int = 1) -> str:
    """``83.1 ± 0.4``; a dash where nothing was measured."""
    if cell is None or cell["mean"] is None:
        return "–"
    spread = "" if cell["std"] is None else f" ± {scale * cell['std']:.{digits}f}"
    return f"{scale * cell['mean']:.{digits}f}{spread}"


def _interval(cell: Cell | None, scale: float = 100, digits: int = 1, signed: bool = True) -> str:
    """``+3.0 [1.0, 5.0]``, in bold where the interval leaves out 0; ``*`` for other clips.

    With one seed ``†`` and with two ``‡``, and never bold: one says nothing of how trainings
    differ, and two too little.
    """
    if cell is None or cell["mean"] is None:
        return "–"
    mean, low, high = (scale * cell[key] for key in ("mean", "low", "high"))
    sign = "+" if signed else ""
    text = f"{mean:{sign}.{digits}f} [{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]"
    if signed and cell["seeds"] in FEW_SEEDS:
        text += FEW_SEEDS[cell["seeds"]]
    elif signed and (low > 0 or high < 0):
        text = f"**{text}**"
    if cell.get("undefined"):
        text += f" ({cell['undefined']} clips N/A)"
    return text if cell.get("paired", True) else f"{text}*"


def _overview(table: Mapping[str, Any]) -> str:
    """One row a variant with a column of everything that matters in practice."""
    splits, first = _splits(table), next(iter(_splits(table)), "")
    head = ["variant", *splits, f"top-5, {first}", "IoU", "insertion − deletion", "latency",
            "memory, MiB", "training, s", "seeds"]  # fmt: skip
    rows = []
    for name, cells in table["summary"].items():
        costs, explained = table["costs"][name], table.get("explained", {}).get(name, {})
        latency = costs["latency"]
        rows.append([
            name, *(_mean(cells.get(split)) for split in splits),
            _mean(table["top5"][name].get(first)),
            _mean(explained.get("iou"), 1, 2), _mean(explained.get("faithfulness"), 1, 2),
            "–" if latency is None else f"{latency['median']:.2f}×",
            _number(costs["inference_bytes"], _MEBI), _number(costs["training_seconds"]),
            str(len(table["variants"][name]["seeds"])),
        ])  # fmt: skip
    note = "Top-1 in % (mAP for several labels)"
    clips = {c["clips"] for cells in table["summary"].values() for c in cells.values()}
    if clips:
        note += f" on {' or '.join(map(str, sorted(clips)))} clips a split"
    reference = f" Latency relative to {table['reference']}." if table["reference"] else ""
    return f"{note}, mean ± standard deviation over seeds.{reference}\n\n{_rows(head, rows)}"


def _number(value: float | None, unit: float = 1) -> str:
    return "–" if value is None else f"{value / unit:.0f}"


def _differences(table: Mapping[str, Any]) -> str:
    return _against(
        table, "Difference in accuracy", "summary", {s: s for s in _splits(table)}, 100, 1
    )


def _against(
    table: Mapping[str, Any], title: str, part: str, columns: Mapping[str, str], scale: float,
    digits: int,
) -> str:  # fmt: skip
    """A table of differences from the reference; empty without one."""
    if not table["reference"]:
        return ""
    others = {n: c for n, c in table[part].items() if n != table["reference"]}
    rows = [
        [name, *(_interval((c.get(k) or {}).get("difference"), scale, digits) for k in columns)]
        for name, c in others.items()
    ]
    unpaired = any(
        not (c.get(k) or {}).get("difference", {}).get("paired", True)
        for c in others.values()
        for k in columns
    )
    star = " \\* on other clips, as the variant's data differ: drawn apart." if unpaired else ""
    note = (
        f"### {title} from {table['reference']}\n\n[95 % interval], bootstrap over clips and seeds,"
        f" paired by both; bold where it leaves out 0. {_FEW_SEEDS}{star}"
    )
    return f"{note}\n\n{_rows(['variant', *columns.values()], rows)}" if rows else ""


def _explanations(table: Mapping[str, Any]) -> str:
    if not table.get("explained"):
        return ""
    asked = table["explain"]

    def row(name: str, cells: Mapping[str, Cell], control: bool = False) -> list[str]:
        shown = [_interval(cells.get(m), 1, 3, signed=False) for m in MEASURES]
        marks = ["◦" if control and _not_beaten(cells.get(m), m) else "" for m in MEASURES]
        return [name, *map("".join, zip(shown, marks, strict=True))]

    rows = [row(name, cells) for name, cells in table["explained"].items()]
    rows += [row(f"*{name}*", cells, control=True) for name, cells in table["controls"].items()]
    note = (
        f"### Native explanations\n\n{asked['clips']} clips of `{asked['split']}`, "
        "explained for the predicted class; mean [95 % interval]. In italics the controls, maps "
        f"that know nothing of the model, on the models of {table['reference'] or 'no variant'}; "
        "◦ where its explanation is not better, as the interval of the difference has 0 in it. "
        "Stability and spread never rank alone: a constant map is stable, and a map may be local "
        "in the wrong place."
    )
    shown = f"{note}\n\n{_rows(['variant', *MEASURES.values()], rows)}"
    gaps = _against(table, "Difference of the explanations", "explained", MEASURES, 1, 3)
    return f"{shown}\n\n{gaps}" if gaps else shown


def _not_beaten(cell: Cell | None, measure: str) -> bool:
    """Whether the reference's explanation is not clearly better than a control."""
    gap = (cell or {}).get("difference")
    if measure not in RANKED or not gap or gap["mean"] is None:
        return False
    return bool(max(RANKED[measure] * gap["low"], RANKED[measure] * gap["high"]) >= 0)


def _leaks(table: Mapping[str, Any]) -> str:
    if not table.get("leaks"):
        return ""
    rows = [
        [name, *(_interval(cells.get(m), 100, 1, signed=False) for m in LEAKS)]
        for name, cells in table["leaks"].items()
    ]
    note = (
        "### Leakage\n\nAccuracy of a linear probe and of an MLP on held-out clips whose actions "
        "and scenes are crossed, in points above the floor (majority, permuted labels or "
        "correlation); mean [95 % interval]. A code without the factor is at 0."
    )
    shown = f"{note}\n\n{_rows(['variant', *LEAKS.values()], rows)}"
    gaps = _against(table, "Difference of the leakage", "leaks", LEAKS, 100, 1)
    return f"{shown}\n\n{gaps}" if gaps else shown


def _interactions(table: Mapping[str, Any]) -> str:
    """Effects of the factorial on accuracy and on explanations, at every size."""
    parts = []
    for size, found in table.get("interaction", {}).items():
        splits = {k: v for k, v in found.items() if k not in ("explained", "leaks")}
        accuracy = {split: v.get("top1", v.get("map")) for split, v in splits.items()}
        odds = {f"{k}, log-odds": v["log_odds"] for k, v in splits.items() if "log_odds" in v}
        explained = found.get("explained", {})
        measures = {MEASURES[m]: explained[m] for m in MEASURES if m in explained}
        leaks = {LEAKS[m]: found["leaks"][m] for m in LEAKS if m in found.get("leaks", {})}
        parts.append(f"Variants {size}:")
        shown = (accuracy, (100, 1)), (odds, (1, 2)), (measures, (1, 3)), (leaks, (100, 1))
        parts += [_effects(columns, *unit) for columns, unit in shown if columns]
    if not parts:
        return ""
    note = (
        "### Interaction\n\n`A`: gain of A alone over none. `A x B`: what the two gain together "
        "beyond their single gains. `all`: gain of all over none. `surplus`: `all` minus the single"
        " gains; above 0, the whole is more than the sum of its parts. Points of accuracy, or the "
        "measure's own unit; [95 % interval]. In log-odds (of shares with half a hit and half a "
        "miss added, so that none is infinite) parts add up that each divide the odds of a mistake "
        f"by the same, whatever is on beside them; in points they cannot, near 100 %. {_FEW_SEEDS}"
    )
    return "\n\n".join([note, *parts])


def _effects(columns: Mapping[str, Mapping[str, Cell]], scale: float, digits: int) -> str:
    names = list(next(iter(columns.values())))
    rows = [[n, *(_interval(each[n], scale, digits) for each in columns.values())] for n in names]
    return _rows(["effect", *columns], rows)


def _costs(table: Mapping[str, Any]) -> str:
    head = ["variant", "parameters", "GFLOPs a clip", "ms a clip", "latency",
            "inference memory, MiB", "training memory, MiB", "training, s"]  # fmt: skip
    rows = []
    for name, c in table["costs"].items():
        latency = c["latency"]
        quartiles = latency and (
            f"{latency['median']:.2f}× ({latency['lower_quartile']:.2f}–"
            f"{latency['upper_quartile']:.2f})"
        )
        rows.append([
            name, "–" if c["parameters"] is None else f"{c['parameters']:,}",
            "–" if c["flops"] is None else f"{c['flops'] / 1e9:.3f}",
            "–" if c["seconds_a_clip"] is None else f"{1000 * c['seconds_a_clip']:.1f}",
            quartiles or "–", _number(c["inference_bytes"], _MEBI),
            _number(c["training_bytes"], _MEBI), _number(c["training_seconds"]),
        ])  # fmt: skip
    workers = sorted({w for c in table["costs"].values() for w in c.get("workers", ())})
    at_a_time = " or ".join(map(str, workers)) or "an unknown number of"
    note = (
        "### Costs\n\nLatency: median forward pass of one clip over the reference's, all variants "
        "measured in turn in one process with one thread (quartiles of a round's ratio). Inference "
        "memory: what a forward pass of 8 clips adds to a fresh process; training memory: the peak "
        "of the run's whole process, libraries and mapped data included; on a GPU both are what "
        f"torch allocated. Training time: with {at_a_time} "
        f"run{'' if workers == [1] else 's'} at a time."
    )
    return f"{note}\n\n{_rows(head, rows)}"


def _matched(table: Mapping[str, Any]) -> str:
    found = {n: v["matched"] for n, v in table["variants"].items() if v["matched"]}
    rows = [
        [name, f"`{m['setting']}`", f"{m['before']} → {m['after']}", f"{m['parameters']:,}",
         f"{m['miss']:+.1%}"] for name, m in found.items()
    ]  # fmt: skip
    note = f"### Matched sizes\n\nThe width at which a variant has {table['reference']}'s size."
    head = ["variant", "setting", "value", "parameters", "miss"]
    return f"{note}\n\n{_rows(head, rows)}" if rows else ""


def _commits(table: Mapping[str, Any]) -> str:
    """Which code trained which runs, where it wasn't one and the same for all."""
    runs: dict[str, list[str]] = {}
    for name, variant in table["variants"].items():
        for seed, commit in variant["commits"].items():
            runs.setdefault(str(commit), []).append(f"{name}/{seed}")
    rows = [[commit, ", ".join(names)] for commit, names in runs.items()]
    note = "### Trained by\n\nRuns by the commit of the code; + is a working tree with changes."
    mixed = len(runs) > 1 or any(commit.endswith("+") for commit in runs)
    return f"{note}\n\n{_rows(['commit', 'variant/seed'], rows)}" if mixed else ""


def _failed(table: Mapping[str, Any]) -> str:
    lines = [f"- {name}: {reason}" for name, reason in table["failed"].items()]
    note = "### Without a result\n\nRun the same command again to try these once more."
    return "\n".join([note, "", *lines]) if lines else ""
