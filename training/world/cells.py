"""The cells of a table as text: UTC instants with a Z, names by position, and empty cells for nulls."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv

from training.world.setting import NONE, Flags, Floats, Ints, Texts

Cells = Mapping[str, "pa.Array"]


def write_table(path: Path, cells: Cells) -> int:
    """Write one table and return its number of rows."""
    table = pa.table(dict(cells))
    arrow_csv.write_csv(table, path, arrow_csv.WriteOptions(quoting_style="needed"))
    return int(table.num_rows)


def times(instants: Ints) -> pa.Array:
    """ISO 8601 in UTC; null where there is no instant."""
    written = np.datetime_as_string(instants.astype("datetime64[s]"), timezone="UTC")
    return pa.array(written, mask=instants == NONE)


def ref(names: Texts | tuple[str, ...], position: Ints) -> pa.Array:
    """Names by position, null where it is below 0."""
    return pa.array(list(names), pa.string()).take(pa.array(position, mask=position < 0))


def texts(values: Texts) -> pa.Array:
    """Text as it is; None is null."""
    return pa.array(values, pa.string())


def numbers(values: Floats) -> pa.Array:
    """Numbers; NaN is null."""
    return pa.array(values, mask=np.isnan(values))


def whole(values: Floats) -> pa.Array:
    """Whole numbers; NaN is null."""
    missing = np.isnan(values)
    return pa.array(np.where(missing, 0, values).astype(np.int64), mask=missing)


def flags(values: Flags) -> pa.Array:
    """true or false."""
    return pa.array(values)


def listed(names: Texts, held: Flags, empty: Flags) -> pa.Array:
    """Names of the true columns of each row, separated by semicolons; null where `empty`."""
    return pa.array([None if e else ";".join(names[row]) for row, e in zip(held, empty, strict=True)], pa.string())
