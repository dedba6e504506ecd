"""Changes as a browser sends them: checked to the last value, for nobody vouches for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from whyact.data.film import Film
from whyact.ops.fill import Fill
from whyact.tasks.what_if import BACKGROUNDS, Box, Changes, Edge, Node
from whyact.types import WhyactError

FILLS: tuple[Fill, ...] = ("blur", "mean", "plate")
MOST = 64
"""Boxes, prompts or edges in one request."""
KEYS = ("trim", "background", "donor", "boxes", "fill", "prompts_off", "edges_off")


def read_changes(values: Any, frames: int, film: Callable[[str], Film]) -> Changes:
    """Changes from JSON values; a key that is missing changes nothing.

    Args:
        values: an object with some of `KEYS`; boxes and edges as the page's scripts write them.
        frames: T of the clip. film: gives the film of an id, or raises.

    Raises:
        WhyactError: values of another form; it names the key.
    """
    if not isinstance(values, Mapping) or set(values) - set(KEYS):
        raise WhyactError(f"Expected changes as an object with keys of {list(KEYS)}.")
    trim, donor = values.get("trim"), values.get("donor")
    return Changes(
        trim=None if trim is None else _pair(trim),
        background=_choice("background", values.get("background", "original"), BACKGROUNDS),
        donor=None if donor is None else film(_text("donor", donor)),
        boxes=tuple(_box(b, frames) for b in _list("boxes", values)),
        fill=cast(Fill, _choice("fill", values.get("fill", "blur"), FILLS)),
        prompts_off=frozenset(_count("prompts_off", p) for p in _list("prompts_off", values)),
        edges_off=tuple(_edge(e) for e in _list("edges_off", values)),
    )


def _list(key: str, values: Mapping[str, Any]) -> list[Any]:
    found = values.get(key, [])
    if not isinstance(found, list) or len(found) > MOST:
        raise WhyactError(f"'{key}' must be a list of at most {MOST}.")
    return found


def _choice(key: str, value: Any, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise WhyactError(f"'{key}' must be one of {list(choices)}.")
    return str(value)


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise WhyactError(f"'{key}' must be a text.")
    return value


def _number(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        raise WhyactError(f"'{key}' must hold numbers.")
    return float(value)


def _count(key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise WhyactError(f"'{key}' must hold whole numbers from 0 on.")
    return value


def _pair(value: Any) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise WhyactError("'trim' must be two numbers, the first and the last second.")
    start, end = (_number("trim", v) for v in value)
    if start > end:
        raise WhyactError(f"'trim' must go from a second to a later one, not {start} to {end}.")
    return start, end


def _box(value: Any, frames: int) -> Box:
    if not isinstance(value, Mapping) or set(value) != set(Box.__dataclass_fields__):
        raise WhyactError(f"A box needs exactly {list(Box.__dataclass_fields__)}.")
    left, top, right, bottom = (
        _number("boxes", value[k]) for k in ("left", "top", "right", "bottom")
    )
    first, last = _count("boxes", value["first"]), _count("boxes", value["last"])
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1 and first <= last < frames):
        raise WhyactError(
            "A box must have left < right and top < bottom in 0 to 1, and first <= last below "
            f"{frames} frames."
        )
    return Box(left, top, right, bottom, first, last)


def _edge(value: Any) -> Edge:
    if not isinstance(value, Mapping) or set(value) != {"from", "to"}:
        raise WhyactError("An edge needs exactly 'from' and 'to'.")
    return _node(value["from"]), _node(value["to"])


def _node(value: Any) -> Node:
    if not isinstance(value, Mapping) or set(value) != {"step", "node", "index"}:
        raise WhyactError("A node of an edge needs exactly 'step', 'node' and 'index'.")
    kind = _choice("node", value["node"], ("region", "prompt"))
    return Node(_count("edges_off", value["step"]), kind, _count("edges_off", value["index"]))
