"""Put measured tables of explanation quality on one page, with their raw records.

    whyact train --config configs/demo.yaml
    whyact evaluate runs/demo --explain native,grad_cam,integrated_gradients,smooth_grad,occlusion \
        --splits iid --clips 200 --rerun 50 --workers 2 --output runs/explanations/iid
    whyact evaluate runs/demo --explain native,grad_cam,integrated_gradients,smooth_grad,occlusion,rise \
        --splits iid --clips 20 --rerun 0 --workers 2 --output runs/explanations/rise
    whyact train --config configs/ut_interaction.yaml
    whyact evaluate runs/ut_interaction \
        --explain native,hires_cam,grad_cam,integrated_gradients,smooth_grad,occlusion --clips 60 \
        --rerun 0 --metric-steps 2 --bf16 --workers 2 --output runs/explanations/ut_interaction
    python benchmarks/explanations.py runs/explanations/{iid,rise,ut_interaction}

``TABLE+LATER`` puts the methods of a later table of the same clips, whose controls must have the same
values, in the place of the earlier one's: an explainer that changed need not wait for the others.

Writes ``docs/results/explanations/tables.md`` and beside it, for each table, ``<name>.{json,png}``;
``docs/results/explanations.md`` says what follows from them.
"""  # noqa: E501

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from whyact.metrics.quality import CONTROLS
from whyact.report.explanation_table import draw, markdown

INTRODUCTION = """\
# Tables of explanation quality

Every row is a method, its blurred copy, or one of four controls that know nothing of the model, on
the same clips; `actor_mask`, where there are masks, is the true actor as a map. What the columns
mean: [explanations that are tested](../../explaining.md). Where a method doesn't beat the controls,
the lines below its table say so.
"""


def read(folders: str) -> dict[str, Any]:
    """The table of ``TABLE`` or ``TABLE+LATER``."""
    table, *later = [json.loads((Path(f) / "table.json").read_text()) for f in folders.split("+")]
    for newer in later:
        same = all(newer["values"]["rows"][c] == table["values"]["rows"][c] for c in CONTROLS)
        alike = ("split", "settings", "bf16", "rerun", "data")
        same = same and all(newer["about"].get(k) == table["about"].get(k) for k in alike)
        if not same or newer["values"]["id"] != table["values"]["id"]:
            raise SystemExit(f"{folders}: other clips, settings or controls; they don't compare.")
        for part in ("rows", "verdicts", "ceilings", "iou_curve", "cost"):
            table[part] |= newer[part]
        table["values"]["rows"] |= newer["values"]["rows"]
        table |= {"reasons": newer["reasons"]} if "reasons" in newer else {}  # of native
        changed = {method: newer["about"]["commit"] for method in newer["verdicts"]}
        table["about"]["later"] = table["about"].get("later", {}) | changed
    made: dict[str, Any] = table
    return made


def page(folders: str, place: Path) -> str:
    """A table's part of the page; its record and figure are written to ``place``."""
    table, name = read(folders), Path(folders.split("+")[0]).name
    about = table["about"]
    place.mkdir(parents=True, exist_ok=True)
    text = json.dumps(table, allow_nan=False, ensure_ascii=False)
    (place / f"{name}.json").write_text(text, encoding="utf-8")
    draw(place / f"{name}.png", table)
    later = [f"`{m}` of `{(c or 'none')[:8]}`" for m, c in about.get("later", {}).items()]
    commits = ", ".join([f"`{(about['commit'] or 'none')[:8]}`", *later])
    methods = ",".join(table["verdicts"])
    steps = about["settings"].get("steps")
    cheaper = (f" --metric-steps {steps}" if steps else "") + " --bf16" * about.get("bf16", False)
    return "\n".join(
        [
            f"## {name}: {table['clips']} clips of `{about['split']}`",
            "",
            f"`whyact evaluate RUN --explain {methods} --splits {about['split']} --clips "
            f"{about['expected']} --rerun {about['rerun']}{cheaper}`",
            "",
            f"[Raw record]({name}.json), every clip's values, settings, "
            f"versions and commit ({commits}).",
            "",
            f"![All rows on the main metrics]({name}.png)",
            "",
            markdown(table),
        ]
    )


def main() -> None:
    """Read tables, write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="+", help="folders with table.json")
    parser.add_argument("--output", type=Path, default=Path("docs/results/explanations"))
    args = parser.parse_args()
    parts = [page(table, args.output) for table in args.tables]
    (args.output / "tables.md").write_text("\n".join([INTRODUCTION, *parts]), encoding="utf-8")


if __name__ == "__main__":
    main()
