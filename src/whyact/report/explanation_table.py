"""The table of explanation quality as JSON, Markdown and a figure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from whyact.metrics.quality import CONTROLS, LEAST, METRICS, THRESHOLDS, TRUTH

GROUPS = {
    "localisation": "Localisation: does it point at the actor?",
    "faithfulness": "Faithfulness: does the score fall without what it points at?",
    "robustness": "Robustness: never ranks alone, a constant or static map wins some by nature",
    "focus": "Focus: never ranks alone",
    "composite": "Explainability score and its parts: never stands alone",
}
DRAWN = (
    "energy", "iou", "iou_limbs", "pointing", "deletion_blur", "insertion_blur", "road",
    "infidelity", "sensitivity", "randomisation", "random_logit", "temporal", "entropy", "score",
)  # fmt: skip


def write_table(folder: Path, table: Mapping[str, Any]) -> None:
    """Write ``table.json``, ``table.md`` and ``table.png`` into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(table, allow_nan=False, ensure_ascii=False)
    (folder / "table.json").write_text(text, encoding="utf-8")
    (folder / "table.md").write_text(markdown(table), encoding="utf-8")
    draw(folder / "table.png", table)


def _cell(summary: Mapping[str, Any] | None) -> str:
    if summary is None or summary["mean"] is None:
        count = "" if summary is None else f" ({summary['undefined']})"
        return f"N/A{count}"
    low, high = summary["low"], summary["high"]
    missing = f", {summary['undefined']} N/A" if summary["undefined"] else ""
    return f"{summary['mean']:.3f} [{low:.3f}, {high:.3f}]{missing}"


def _kind(row: str) -> str:
    if row in CONTROLS:
        return "control"
    if row == TRUTH:
        return "truth"
    return "blurred copy" if row.endswith("_blurred") else "method"


def markdown(table: Mapping[str, Any]) -> str:
    """The table for people: a part for every group of metrics, verdicts and costs."""
    lines = [
        f"{table['clips']} clips, explained for the predicted class, which is the true one for "
        f"{table['accuracy']:.1%}. Mean [bootstrap 95 % interval]; N/A counts clips without a "
        "value. ↑ higher is better, ↓ lower.",
        "",
    ]
    for group, title in GROUPS.items():
        lines += _part(table, group, title)
    parts = [*lines, *_verdicts(table), *_reasons(table), *_costs(table)]
    return "\n".join(parts) + "\n"


def _part(table: Mapping[str, Any], group: str, title: str) -> list[str]:
    rows = table["rows"]
    names = [n for n, m in METRICS.items() if m.group == group]
    names = [n for n in names if any(n in values for values in rows.values())]
    if not names:
        return []
    # A row may lack a metric: the true mask is no method, which could be asked to explain again.
    clips = {
        n: max(v[n]["clips"] + v[n]["undefined"] for v in rows.values() if n in v) for n in names
    }
    arrows = {n: "↑" if METRICS[n].better == "higher" else "↓" for n in names}
    heads = [f"{METRICS[n].title} {arrows[n]} ({clips[n]} clips)" for n in names]
    lines = [f"### {title}", "", "| row | kind | " + " | ".join(heads) + " |"]
    lines.append("|---|---" + "|---" * len(names) + "|")
    for row, values in rows.items():
        cells = [_cell(values.get(n)) for n in names]
        lines.append(f"| {row} | {_kind(row)} | " + " | ".join(cells) + " |")
    if group == "localisation":
        for method, values in table["ceilings"].items():
            cells = [_cell(values.get(n)) for n in names]
            lines.append(f"| the mask on {method}'s grid | ceiling | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _verdicts(table: Mapping[str, Any]) -> list[str]:
    """Where methods do not beat the controls, in words."""
    lines = ["### Where a method does not beat the controls", ""]
    for method, verdicts in table["verdicts"].items():
        said = []
        for name, verdict in verdicts.items():
            losses = list(verdict["not_beaten"])
            if verdict["worse_than_blurred"]:
                losses.append("its blurred copy (better)")
            if losses:
                said.append(f"{METRICS[name].title}: {', '.join(losses)}")
        tested = sum(not v["undefined"] for v in verdicts.values())
        text = "; ".join(said) or "beats all four, and is not worse than its blurred copy"
        if not tested:
            text = f"not judged, as that takes {LEAST} clips"
        lines.append(f"- **{method}** ({tested} metrics): {text}.")
    return [*lines, ""]


REASONS = {
    "completeness_gap": "gap between logit and contributions (0)",
    "constant_share": "size of what constants give to the logit, over it and what is seen (near 0)",
    "path": "change of the logit without the strongest path",
    "path_same_end": "… without a random path to the same region",
    "path_minus_path_same_end": "strongest minus random path to the same region (above 0)",
    "path_minus_path_anywhere": "strongest minus random path to any region (above 0)",
    "frames": "insertion minus deletion of whole frames by their evidence",
    "frames_minus_random_frames": "… above a random order of frames (above 0)",
    "prompt_redundancy": "mean absolute cosine between a frame's prompts (lower)",
    "prompt_swap_drop": "drop of the logit with another clip's prompts (above 0)",
    "prompt_swap_similarity": "similarity of the maps before and after that (below 1)",
    "region_agreement": "same region on the actor in neighbouring frames (higher)",
    "region_fit": "overlap of that region with the actor (higher)",
    "action_code_stability": "variance of the action code, in a clip over between clips (lower)",
    "nuisance_code_stability": "variance of the nuisance code, likewise (lower)",
}


def _reasons(table: Mapping[str, Any]) -> list[str]:
    """The model's own reasons: paths, frames, prompts, regions and codes."""
    found = table.get("reasons", {})
    if not found:
        return []
    head = ["### The model's own reasons", ""]
    lines = [*head, "| measure (wanted) | value | clips |", "|---|---|---|"]
    for name, title in REASONS.items():
        if name in found:
            lines.append(f"| {title} | {_cell(found[name])} | {found[name]['clips']} |")
    if "prompt_bank" in found:
        bank = found["prompt_bank"]
        lines.append(
            f"| effective rank of the {bank['prompts']} prompts in the bank (higher) | "
            f"{bank['effective_rank']:.1f} | |"
        )
    if "prompt_alignment" in found:
        aligned = found["prompt_alignment"]
        among, clips = aligned["candidates"], aligned["rank"]["clips"]
        lines += [
            f"| rank of a clip among {among} by its prompts (0; chance 0.5) | "
            f"{_cell(aligned['rank'])} | {clips} |",
            f"| the clip is the first of {among} (1) | {_cell(aligned['found'])} | {clips} |",
            "| mutual information of prompts and content, at least, in nats (higher) | "
            f"{aligned['information']:.2f} | {clips} |",
        ]
    return [*lines, ""]


def _costs(table: Mapping[str, Any]) -> list[str]:
    lines = ["### Cost of an explanation", "", "| method | passes, counted | needed | ratio |"]
    lines.append("|---|---|---|---|")
    for method, cost in table["cost"].items():
        ratio = cost["passes"] / cost["needed"]
        lines.append(f"| {method} | {cost['passes']:.1f} | {cost['needed']} | {ratio:.2f} |")
    judging = table["judging"]
    lines.append(
        f"| the metrics, a map | {judging['passes']:.1f} | {judging['needed']:.0f} | "
        f"{judging['passes'] / judging['needed']:.2f} |"
    )
    return [*lines, "", "A pass is one clip through the model, forwards or back to its pixels."]


def draw(path: Path, table: Mapping[str, Any]) -> None:
    """A dot with its interval for every row, a panel for every main metric."""
    rows = list(table["rows"])
    shown = [n for n in DRAWN if any(table["rows"][r].get(n, {}).get("mean") is not None
                                     for r in rows)]  # fmt: skip
    columns = 4
    lines = -(-(len(shown) + 1) // columns)
    size = (4.2 * columns, lines * (0.8 + 0.23 * len(rows)))
    figure, grid = plt.subplots(lines, columns, figsize=size, squeeze=False, layout="constrained")
    for panel, name in zip(grid.flat, shown, strict=False):
        _panel(panel, table, rows, name)
    for i, panel in enumerate(grid.flat):
        if i % columns:
            panel.tick_params(labelleft=False)
    _curves(grid.flat[len(shown)], table)
    for panel in grid.flat[len(shown) + 1 :]:
        panel.axis("off")
    figure.savefig(path, dpi=100)
    plt.close(figure)


COLORS = {"method": "#0b5394", "blurred copy": "#6fa8dc", "control": "#888888", "truth": "#38761d"}


def _panel(panel: Axes, table: Mapping[str, Any], rows: list[str], name: str) -> None:
    metric = METRICS[name]
    for y, row in enumerate(rows):
        found = table["rows"][row].get(name)
        if not found or found["mean"] is None:
            panel.text(0.5, y, "N/A", ha="center", va="center", fontsize=7, color="#888888",
                       transform=panel.get_yaxis_transform())  # fmt: skip
            continue
        color = COLORS[_kind(row)]
        panel.plot([found["low"], found["high"]], [y, y], color=color, lw=2)
        panel.plot(found["mean"], y, "o", color=color, ms=5)
    panel.set_yticks(range(len(rows)), [r.replace("_", " ") for r in rows], fontsize=8)
    panel.set_ylim(len(rows) - 0.5, -0.5)
    arrow = "→ better" if metric.better == "higher" else "← better"
    panel.set_title(f"{metric.title}  ({arrow})", fontsize=9)
    panel.grid(axis="x", alpha=0.3)
    panel.tick_params(axis="x", labelsize=7)


def _curves(panel: Axes, table: Mapping[str, Any]) -> None:
    """IoU over thresholds of methods and controls."""
    drawn = False
    for row, curve in table["iou_curve"].items():
        if _kind(row) in ("blurred copy", "truth") or curve is None:
            continue
        style = "--" if _kind(row) == "control" else "-"
        panel.plot(THRESHOLDS, curve, style, label=row.replace("_", " "), lw=1.5)
        drawn = True
    if not drawn:
        panel.axis("off")
        return
    panel.set_title("IoU over thresholds (share of the largest heat)", fontsize=9)
    panel.legend(fontsize=6, ncols=2)
    panel.tick_params(labelsize=7, labelleft=True)
