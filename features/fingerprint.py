"""One hash over the content of all tables, the same whatever the order of rows or the format of files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.schema import TABLES


def fingerprint(tables: Mapping[str, pa.Table]) -> str:
    """SHA-256 (hex) over the typed tables. Their keys must be unique: sorted by them, rows have one order.

    An empty column counts as one that is not there, so a contract that grows changes no old fingerprint.
    """
    digest = hashlib.sha256(b"callsheet tables 1")
    for name in sorted(tables):
        table = tables[name]
        digest.update(f"\x00table {name} {table.num_rows}".encode())
        order = pc.sort_indices(table, [(k, "ascending") for k in TABLES[name].key])
        for column in sorted(table.column_names):
            values = table[column]
            if values.null_count < len(values):
                digest.update(f"\x00column {column}".encode())
                _update(digest, pc.take(values, order))
    return digest.hexdigest()


def _update(digest: hashlib._Hash, values: pa.ChunkedArray) -> None:
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        digest.update(_bytes(pc.binary_length(values).cast(pa.int64()), np.int64, -1))
        for chunk in values.chunks:
            joined = pc.binary_join(pa.LargeListArray.from_arrays([0, len(chunk)], pc.fill_null(chunk, "")), "")
            digest.update(joined[0].as_buffer() or b"")
    elif pa.types.is_timestamp(values.type):
        digest.update(_bytes(values.cast(pa.int64()), np.int64, np.iinfo(np.int64).min))
    elif pa.types.is_boolean(values.type):
        digest.update(_bytes(values.cast(pa.int8()), np.int8, -1))
    else:
        digest.update(_bytes(values, np.float64, np.nan))


def _bytes(values: pa.ChunkedArray, kind: type[np.generic], null: float) -> bytes:
    filled = pc.fill_null(values, pa.scalar(null, values.type)).to_numpy()
    return np.ascontiguousarray(filled, dtype=np.dtype(kind).newbyteorder("<")).tobytes()
