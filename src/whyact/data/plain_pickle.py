"""Read pickles of plain values and NumPy arrays, without running what they say."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyact.types import WhyactError


class _Kind:
    """A NumPy type of numbers."""

    def __init__(self, name: str, *_: object) -> None:
        self.type = np.dtype(name)
        if self.type.kind not in "biuf":
            raise pickle.UnpicklingError(f"an array of '{name}' holds no numbers")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] in "<>":
            self.type = self.type.newbyteorder(state[1])


class _Array:
    """An array whose content is still to come."""

    def __init__(self, *_: object) -> None:
        self.values: NDArray[Any] = np.empty(0)

    def __setstate__(self, state: tuple[int, tuple[int, ...], _Kind, bool, bytes]) -> None:
        _, shape, kind, columns_first, content = state
        self.values = _from_bytes(content, kind, shape, "F" if columns_first else "C").values


def _from_bytes(content: bytes, kind: _Kind, shape: tuple[int, ...], order: Any) -> _Array:
    made = _Array()
    made.values = np.frombuffer(content, kind.type).reshape(shape, order=order)
    return made


def _number(kind: _Kind, content: bytes) -> Any:
    return np.frombuffer(content, kind.type)[0].item()


def _latin(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes are coded as '{encoding}', not latin1")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """What old pickles call ``bytes`` for: nothing but bytes of length 0."""
    return b""


_ARRAYS: Mapping[str, Callable[..., Any]] = {
    "multiarray._reconstruct": _Array, "multiarray.scalar": _number,
    "numeric._frombuffer": _from_bytes,
}  # fmt: skip
KNOWN: Mapping[str, Callable[..., Any]] = {
    "numpy.ndarray": _Array, "numpy.dtype": _Kind, "_codecs.encode": _latin,
    "__builtin__.bytes": _no_bytes, "builtins.bytes": _no_bytes,
    **{f"numpy.{core}.{k}": v for core in ("core", "_core") for k, v in _ARRAYS.items()},
}  # fmt: skip
"""What a pickle may call, by the name that it has there: stand-ins, nothing of NumPy's own."""


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """See `KNOWN`."""
        if f"{module}.{name}" in KNOWN:
            return KNOWN[f"{module}.{name}"]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def read_pickle(path: Path) -> Any:
    """The dicts, lists, tuples, strings, numbers and arrays of numbers that a pickle holds.

    Arrays come as objects whose ``values`` is the array, see `array_of`. Anything else that a
    pickle can name, code that it would run above all, is refused before it is looked up.

    Raises:
        WhyactError: the file is missing, damaged, or holds something else.
    """
    try:
        with path.open("rb") as file:
            return _Reader(file).load()
    except FileNotFoundError:
        raise WhyactError(f"{path}: no such file.") from None
    except Exception as error:  # a damaged pickle can raise anything
        raise WhyactError(
            f"{path}: not a pickle of plain values and arrays of numbers ({error}). Nothing in it "
            "was run; download the file again from its authors."
        ) from error


def array_of(value: Any) -> NDArray[Any]:
    """An array out of `read_pickle`; lists and tuples of numbers will do."""
    return value.values if isinstance(value, _Array) else np.asarray(value)
