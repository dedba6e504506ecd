"""Tables that users bring, as Parquet or CSV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq

from whyact.types import WhyactError

_NAMES = csv.ConvertOptions(column_types={"id": pa.string(), "video": pa.string()})
"""Names of clips stay as they are, also where all of them are numbers."""


def read_table(path: Path, columns: Sequence[str], setting: str) -> pa.Table:
    """A table that has these columns.

    Args:
        path: CSV, or Parquet under any other suffix. columns: that it must have.
        setting: that names it, for messages.

    Raises:
        WhyactError: it cannot be read, or lacks a column.
    """
    try:
        if path.suffix == ".csv":
            table = csv.read_csv(path, convert_options=_NAMES)
        else:
            table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise WhyactError(
            f"{setting} {path}: cannot be read as Parquet or CSV ({error})."
        ) from error
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise WhyactError(
            f"{setting} {path} has no column {missing[0]!r}; it has "
            f"{', '.join(table.column_names)}."
        )
    return table
