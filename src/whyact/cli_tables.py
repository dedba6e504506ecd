"""What the commands print of their results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


def print_scores(scores: dict[str, dict[str, object]], title: str) -> None:
    """A row a split: counts, and every measure in percent."""
    table = Table(title=title)
    columns = (
        "clips", "expected", "failed", "top1", "top1_std", "top5", "mean_class", "macro_f1", "ece",
        "map", "map_std",
    )  # fmt: skip
    shown = [c for c in columns if any(c in row for row in scores.values())]
    table.add_column("split")
    for column in shown:
        table.add_column(column, justify="right")
    for split, row in scores.items():
        cells = [row.get(c) for c in shown]
        table.add_row(
            split, *(f"{100 * v:.1f} %" if isinstance(v, float) else str(v) for v in cells)
        )
    Console().print(table)


def print_record(split: str, folder: Path) -> None:
    """What a reader must know beside a score: failures, the class map, published numbers."""
    from whyact.tasks.evaluation_record import read_record

    if not (folder / "scores.json").is_file():  # of a checkpoint's folder, or a mean over folds
        return
    record, counts = read_record(folder), read_record(folder)["scores"]
    lines = [f"record: {folder / 'scores.json'}"]
    if counts["failed"]:
        lines.append(
            f"the scores are over {counts['decoded']} of {counts['expected']} clips; "
            f"{counts['failed']} could not be read, e.g. {next(iter(record['failures'].values()))}"
        )
    if mapped := record["class_map"]:
        lines.append(
            f"{mapped['mapped']} of {mapped['classes_of_data']} classes mapped, "
            f"{mapped['clips_left_out']} clips left out"
        )
    if "submission" in record:
        lines.append(f"no labels; submission file: {folder / record['submission']}")
    measure = "map" if "map" in counts else "top1"
    if counts.get(measure) is not None and (modules := counts.get("modules")):
        each = ", ".join(f"{name} {100 * of[measure]:.1f} %" for name, of in modules.items())
        lines.append(f"{measure} after each module: {each}")
    for one in record["references"]:
        lines.append(f"published {one['measure']}: {one['model']} {100 * one['value']:.2f} %")
    for line in lines:
        print(f"{split}: {line}")
    for asked in sorted(folder.glob("asked/*/scores.json")):
        print(f"{split}: {_asked_line(read_record(asked))}")


def _asked_line(record: dict[str, Any]) -> str:
    """Score under one protocol of asking, beside its leak."""
    asked, scores = record["asked"], record["scores"]
    measure = "map" if scores.get("map") is not None else "top1"
    return (
        f"asked, {asked['name']} ({asked['title']}): {measure} {100 * scores[measure]:.1f} %, "
        f"without the video {100 * asked['leak'][measure]:.1f} %"
    )


def print_comparison(found: dict[str, Any]) -> None:
    """A row a measure, and McNemar's test."""
    table = Table(title=f"{found['clips']} clips")
    for column in ("measure", "first", "second", "difference", "95 % interval"):
        table.add_column(column, justify="left" if column == "measure" else "right")
    for name, row in found["measures"].items():
        low, high = row["interval"]
        table.add_row(
            name, f"{100 * row['first']:.1f} %", f"{100 * row['second']:.1f} %",
            f"{100 * row['difference']:+.1f}", f"{100 * low:+.1f} … {100 * high:+.1f}",
        )  # fmt: skip
    Console().print(table)
    if test := found["mcnemar"]:
        print(
            f"McNemar: {test['only_first']} clips right only in the first, {test['only_second']} "
            f"only in the second, p = {test['p']:.3g}"
        )
    for warning in found["warnings"]:
        print(f"warning: {warning}")
