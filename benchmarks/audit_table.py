"""Audits side by side, as a table for people.

Prints Markdown: ``python benchmarks/audit_table.py docs/results/audit/*.json``
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

ROWS = (
    "original", "human_only", "background_only", "own_background", "swapped",
    "background_reliance", "follows_background", "scuba", "scufo", "contrasted", "shuffled",
    "static", "background_share", "background_heat", "disagreement",
)  # fmt: skip


def cell(one: dict[str, Any]) -> str:
    """Percent with the interval."""
    if one["mean"] is None:
        return "N/A"
    return f"{100 * one['mean']:.0f} [{100 * one['low']:.0f}, {100 * one['high']:.0f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("records", type=Path, nargs="+", help="audit.json files")
    args = parser.parse_args()
    found = {file.stem: json.loads(file.read_text()) for file in args.records}
    print("| % | " + " | ".join(found) + " |\n" + "|---" * (len(found) + 1) + "|")
    print("| **verdict** | " + " | ".join(r["verdict"]["text"] for r in found.values()) + " |")
    for name in ROWS:
        cells = (cell(record["measures"][name]) for record in found.values())
        print(f"| `{name}` | " + " | ".join(cells) + " |")
    leaks = [r["leakage"] for r in found.values()]
    print("| scene leakage, MLP (floor) | " + " | ".join(
        "N/A" if "why" in leak else f"{cell(leak['mlp'])} ({100 * leak['floor']:.0f})"
        for leak in leaks) + " |")  # fmt: skip
    print("| seconds | " + " | ".join(f"{r['seconds']:.0f}" for r in found.values()) + " |")


if __name__ == "__main__":
    main()
