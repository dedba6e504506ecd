"""Pickles of plain values are read, and nothing that they say is run."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from whyact.data.plain_pickle import array_of, read_pickle
from whyact.types import WhyactError


def written(path: Path, value: object, protocol: int = 2) -> Path:
    path.write_bytes(pickle.dumps(value, protocol))
    return path


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_and_arrays_come_back(tmp_path: Path, protocol: int) -> None:
    values = np.arange(6, dtype=">f4").reshape(2, 3)
    arrays = [values, np.asfortranarray(values), np.zeros((0, 4), "f4"), np.array([True, False])]
    given = {"a": (1, 2.5, None, "ü", True), "n": np.float32(0.25), "arrays": arrays}
    found = read_pickle(written(tmp_path / "x.pkl", given, protocol))
    assert found["a"] == given["a"] and found["n"] == 0.25
    for one, other in zip(found["arrays"], arrays, strict=True):
        np.testing.assert_array_equal(array_of(one), other)
        assert array_of(one).dtype == other.dtype
    assert array_of((1, 2)).tolist() == [1, 2]


class _Runs:
    def __reduce__(self) -> tuple:
        return os.system, ("touch ran",)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (_Runs(), r"asks for (posix|nt)\.system"),
        ({"a": [_Runs()]}, r"asks for (posix|nt)\.system"),
        (Path("x"), "asks for pathlib"),
        (np.array([{}], dtype=object), "holds no numbers"),
        (np.load, "asks for numpy"),
    ],
)
def test_what_is_no_plain_value_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: object, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    file = written(tmp_path / "x.pkl", value)
    with pytest.raises(WhyactError, match=said) as error:
        read_pickle(file)
    assert str(file) in str(error.value) and "Nothing in it was run" in str(error.value)
    assert not (tmp_path / "ran").exists()


def test_damaged_and_missing_files(tmp_path: Path) -> None:
    file = written(tmp_path / "x.pkl", {"a": np.arange(100)})
    file.write_bytes(file.read_bytes()[:60])
    with pytest.raises(WhyactError, match=r"x\.pkl: not a pickle of plain values"):
        read_pickle(file)
    with pytest.raises(WhyactError, match=r"y\.pkl: no such file"):
        read_pickle(tmp_path / "y.pkl")
