"""Put measured tables of explanation quality on one page, with their raw records.

    whyact train --config configs/demo.yaml
    whyact evaluate runs/demo --explain native,grad_cam,integrated_gradients,smooth_grad,occlusion \
        --splits iid --clips 200 --rerun 50 --workers 2 --output runs/explanations/iid
    whyact evaluate runs/demo --explain native,grad_cam,integrated_gradients,smooth_grad,occlusion,rise \
        --splits iid --clips 20 --rerun 0 --workers 2 --output runs/explanations/rise
    whyact train --config configs/ut_interaction.yaml
    whyact evaluate runs/ut_interaction \
        --explain native,grad_cam,integrated_gradients,smooth_grad,occlusion --clips 60 --rerun 0 \
        --metric-steps 2 --bf16 --workers 2 --output runs/explanations/ut_interaction
    whyact evaluate runs/ut_interaction --explain native,hires_cam --clips 60 --rerun 0 \
        --metric-steps 2 --bf16 --output runs/explanations/ut_hires
    whyact train --config configs/ut_interaction.yaml --name ut_shared \
        --model.spatial_graph.dynamics shared
    whyact evaluate runs/ut_shared --explain native --clips 60 --rerun 0 \
        --metric-steps 2 --bf16 --output runs/explanations/ut_shared
    python benchmarks/explanations.py runs/explanations/{iid,rise,ut_interaction,ut_hires,ut_shared}

What people say of the tables, in ``docs/results/explanations/notes.txt``, goes before them. Writes
``docs/results/explanations.md`` and, for each table, ``explanations/<name>.{json,png}``.
"""  # noqa: E501

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from whyact.report.explanation_table import markdown

INTRODUCTION = """\
# Explanations, measured

Every row is a method, its blurred copy, or one of four controls that know nothing of the model, on
the same clips. What the columns mean: [explanations that are tested](../explaining.md). A method
that doesn't beat the controls says so below each table.
"""


def page(folder: Path, place: Path) -> str:
    """A table's part of the page; its record and figure are copied to ``place``."""
    table = json.loads((folder / "table.json").read_text())
    about = table["about"]
    place.mkdir(parents=True, exist_ok=True)
    for end in ("json", "png"):
        shutil.copy(folder / f"table.{end}", place / f"{folder.name}.{end}")
    methods = ",".join(table["verdicts"])
    steps = about["settings"].get("steps")
    cheaper = (f" --metric-steps {steps}" if steps else "") + " --bf16" * about.get("bf16", False)
    return "\n".join(
        [
            f"## {folder.name}: {table['clips']} clips of `{about['split']}`",
            "",
            f"`whyact evaluate RUN --explain {methods} --splits {about['split']} --clips "
            f"{about['expected']} --rerun {about['rerun']}{cheaper}`",
            "",
            f"[Raw record]({place.name}/{folder.name}.json), every clip's values, settings, "
            f"versions and commit (`{(about['commit'] or 'none')[:8]}`).",
            "",
            f"![All rows on the main metrics]({place.name}/{folder.name}.png)",
            "",
            markdown(table),
        ]
    )


def main() -> None:
    """Read tables, write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=Path, nargs="+", help="folders with table.json")
    parser.add_argument("--output", type=Path, default=Path("docs/results"))
    args = parser.parse_args()
    notes = args.output / "explanations" / "notes.txt"
    said = [notes.read_text(encoding="utf-8")] if notes.is_file() else []
    parts = [page(folder, args.output / "explanations") for folder in args.tables]
    (args.output / "explanations.md").write_text("\n".join([INTRODUCTION, *said, *parts]))


if __name__ == "__main__":
    main()
