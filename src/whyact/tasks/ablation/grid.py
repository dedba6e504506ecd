"""Grid files: which variants are trained, with which seeds, and what is measured of them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whyact.config_io import check_names, leaves, load_yaml, merge, nearest, nested
from whyact.metrics.factorial import Cell, cells
from whyact.types import WhyactError

KEYS = (
    "config", "common", "axes", "factors", "variants", "seeds", "reference", "matched", "explain",
    "probe", "quick",
)  # fmt: skip
_MEASURING = ("seeds", "matched", "explain")
"""What ``quick`` may have besides settings."""
_FORMS: Mapping[str, tuple[type, str]] = {
    "axes": (list, "a list of values"), "variants": (dict, "settings"),
    "factors": (dict, "the settings that switch it off"),
}  # fmt: skip


@dataclass(frozen=True)
class ExplainedClips:
    """The first ``clips`` of a ``split``, whose explanations are measured."""

    split: str
    clips: int


@dataclass(frozen=True)
class Grid:
    """A grid file that was read.

    Attributes:
        variants: settings by name, as trees.
        seeds: that every variant is trained with.
        reference: name of the variant that the others are compared with; empty for none.
        factors: parts of the factorial. cells: the variant of every set of them that is on.
        matched: every variant is also trained with as many parameters as the reference.
        explain: clips whose explanations are measured; None for none.
        probe: split whose codes are probed for leakage; empty for none.
    """

    variants: dict[str, dict[str, Any]]
    seeds: list[int]
    reference: str
    factors: list[str]
    cells: dict[Cell, str]
    matched: bool
    explain: ExplainedClips | None
    probe: str


def base_configs(path: str | Path) -> list[Path]:
    """The configs that a grid file stands on: its ``config``, relative to the file."""
    listed = _read(path).get("config", [])
    return [Path(path).parent / c for c in ([listed] if isinstance(listed, str) else listed)]


def read_grid(path: str | Path, quick: bool = False) -> Grid:
    """Read a grid file.

    Its keys, of which ``axes``, ``factors`` or ``variants`` must be there:

    - ``config``: files that it stands on. ``common``: settings of every variant.
    - ``axes``: setting → values; every combination is a variant.
    - ``factors``: part → the settings that switch it off; every set of parts is a variant, and
      their interaction is analysed (`whyact.metrics.factorial`).
    - ``variants``: name → settings; more of them.
    - ``seeds``; ``reference``: a variant, by default the one with all factors on.
    - ``matched``: true to train every variant also at the reference's number of parameters.
    - ``explain``: ``split`` and ``clips`` whose explanations are measured.
    - ``probe``: a split whose actions and scenes are crossed: its codes are probed for leakage.
    - ``quick``: settings that shorten every run; with its own ``seeds`` (default: the first),
      ``matched`` and ``explain`` where it names them.

    Settings may be nested or have dots: ``model.spatial_graph.type``.

    Args:
        path: of the file. quick: take its short form.

    Raises:
        WhyactError: another layout, or settings that do not exist.
    """
    tree = _read(path)
    short = dict(tree.get("quick", {}))
    own = {key: short.pop(key) for key in _MEASURING if key in short}
    settings = _checked(short, f"{path}, quick")
    if quick:
        tree = {**tree, "seeds": tree.get("seeds", [42])[:1], **own}
    named = dict(_variants(path, tree))
    common = _checked(tree.get("common", {}), f"{path}, common")
    variants = {
        name: merge(
            merge(common, _checked(given, f"{path}, variant {name}")), settings if quick else {}
        )
        for name, given in named.items()
    }
    parts = list(tree.get("factors", {}))
    found = {cell: cell_name(cell, parts) for cell in cells(parts)} if parts else {}
    reference = str(tree.get("reference") or found.get(Cell(parts), ""))
    matched = bool(tree.get("matched"))
    if reference and reference not in variants:
        raise WhyactError(
            f"{path}: reference: there is no variant '{reference}'. Did you mean "
            f"'{nearest(reference, list(variants))}'?"
        )
    if matched and not reference:
        raise WhyactError(f"{path}: matched needs a 'reference:' whose size the variants get.")
    seeds, explain = list(tree.get("seeds", [42])), tree.get("explain")
    explained = ExplainedClips(**explain) if explain else None
    probe = str(tree.get("probe", ""))
    return Grid(variants, seeds, reference, parts, found, matched, explained, probe)


def cell_name(cell: Cell, factors: list[str]) -> str:
    """The variant with a set of parts on: ``SSG+DPM``, or ``none``."""
    return "+".join(f for f in factors if f in cell) or "none"


def _variants(path: str | Path, tree: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Names, each once, and settings as they are written."""
    seen: set[str] = set()
    for name, settings in itertools.chain(
        _factorial(tree.get("factors", {})), tree.get("variants", {}).items(),
        _combinations(tree.get("axes", {})),
    ):  # fmt: skip
        name = re.sub(r"[^\w.,=+-]+", "_", str(name))
        if name in seen:
            raise WhyactError(f"{path}: two variants would be called '{name}'; list them by name.")
        seen.add(name)
        yield name, dict(settings or {})


def _combinations(axes: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for values in itertools.product(*axes.values()) if axes else ():
        chosen = dict(zip(map(str, axes), values, strict=True))
        yield ",".join(f"{_short(k)}={v}" for k, v in chosen.items()), chosen


def _factorial(factors: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    parts = list(factors)
    for cell in cells(parts) if parts else ():
        settings: dict[str, Any] = {}
        for part in parts:
            if part not in cell:
                settings = merge(settings, nested(factors[part]))
        yield cell_name(cell, parts), settings


def _short(setting: str) -> str:
    """The telling part of a setting's name: ``spatial_graph`` of ``model.spatial_graph.type``."""
    return setting.removesuffix(".type").rsplit(".", 1)[-1]


def _checked(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    tree = nested(given)
    check_names([name for name, _ in leaves(tree)], where)
    return tree


def _read(path: str | Path) -> dict[str, Any]:
    path = Path(path)
    tree = load_yaml(path, "grid file")
    if not isinstance(tree, dict) or not any(tree.get(key) for key in _FORMS):
        raise WhyactError(
            f"{path}: expected 'axes:' (a list of values for each setting), 'factors:' (parts that "
            "are on or off) or 'variants:' (a name and settings for each)."
        )
    for key, value in tree.items():
        if key not in KEYS:
            raise WhyactError(
                f"{path}: there is no '{key}' in a grid. Did you mean '{nearest(str(key), KEYS)}'?"
            )
        _check_part(path, key, value)
    return {key: value for key, value in tree.items() if value is not None}


def _check_part(path: Path, key: str, value: Any, prefix: str = "") -> None:
    """Fail where a part of a grid has another form than `read_grid` says."""
    where = f"{path}: {prefix}{key}"
    if value is None or key in ("config", "reference", "probe"):
        return
    if key == "matched":
        if not isinstance(value, bool):
            raise WhyactError(f"{where}: expected true or false, got '{value}'.")
    elif key == "seeds":
        if not (isinstance(value, list) and value and all(type(s) is int for s in value)):
            raise WhyactError(f"{where}: expected a list such as [0, 1, 2], got '{value}'.")
    elif not isinstance(value, dict):
        raise WhyactError(f"{where}: expected 'name: value' below it, got '{value}'.")
    elif key == "explain":
        _check_explain(where, value)
    elif key == "quick":
        for name in _MEASURING:
            _check_part(path, name, value.get(name), "quick.")
    elif key in _FORMS:
        _check_entries(where, key, value)


def _check_explain(where: str, value: dict[str, Any]) -> None:
    clips = value.get("clips")
    if set(value) != {"split", "clips"} or type(clips) is not int or clips < 1:
        raise WhyactError(
            f"{where}: expected 'split:' and 'clips:' (at least 1), as in "
            f"{{split: swap, clips: 40}}, got '{value}'."
        )


def _check_entries(where: str, key: str, value: dict[Any, Any]) -> None:
    inner, form = _FORMS[key]
    for name, one in value.items():
        if not isinstance(one, inner) and not (key == "variants" and one is None):
            raise WhyactError(f"{where}: expected {form} for '{name}', got '{one}'.")
    if key == "factors" and (
        len(value) < 2 or any(not re.fullmatch(r"[\w-]+", str(name)) for name in value)
    ):
        raise WhyactError(
            f"{where}: expected at least two parts, named with letters and digits, got "
            f"{', '.join(map(str, value))}."
        )
