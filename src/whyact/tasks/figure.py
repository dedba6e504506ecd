"""A picture for a paper from the JSON of an explanation or of an ablation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from whyact.report.figures import write_figure
from whyact.report.schema import validate
from whyact.types import WhyactError


def figure(source: str | Path, *, kind: str, output: str | Path) -> Path:
    """Write a figure.

    Args:
        source: JSON file of ``whyact explain``; for ``ablation`` the folder of ``whyact ablate``
            or its ``table.json``. kind: ``strip``, ``timeline``, ``graph`` or ``ablation``.
        output: file; its suffix (``.pdf``, ``.svg`` or ``.png``) picks the format.

    Raises:
        WhyactError: a file that is missing or another, or an unknown kind or format.
    """
    path = Path(source)
    if path.is_dir():
        path = path / "table.json"
    values = _read(path)
    if kind != "ablation":
        validate(values)
    return write_figure(output, kind, values)


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WhyactError(
            f"{path}: cannot be read as JSON ({error}). Expected a file that 'whyact explain' "
            "wrote, or the folder of 'whyact ablate'."
        ) from error
    if not isinstance(values, dict):
        raise WhyactError(f"{path}: expected a JSON object, got a {type(values).__name__}.")
    return values
