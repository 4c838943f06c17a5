"""Reads a bandit's log and a policy from their files, whole or not at all: every breach with file, column and rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.cells import mask, read_cells, shown
from features.csv_text import RawTable
from features.errors import Breach, TableError, UsageError
from features.schema import Column, Kind
from features.source import read_file
from training.offpolicy.log import BanditLog, Policy

#: How far the probabilities of a round may be from 1: files round them.
TOLERANCE = 1e-3

_ROUND, _ACTION = Column("round_id", Kind.ID, required=True), Column("action", Kind.ID, required=True)
_REWARD = Column("reward", Kind.NUMBER, required=True)
_PROPENSITY, _CLUSTER = Column("propensity", Kind.NUMBER), Column("cluster", Kind.ID)
_PROBABILITY = Column("probability", Kind.SHARE, required=True, low=0, high=1)
_LOG = (_ROUND, _ACTION, _REWARD, _PROPENSITY, _CLUSTER)
_POLICY = (_ROUND, _ACTION, _PROBABILITY)


def read(log: Path, policy: Path) -> tuple[BanditLog, Policy]:
    """Read both files, CSV or Parquet.

    log      round_id, action, reward; optional propensity, cluster; every other column is context
    policy   round_id, action, probability; an action that is not listed has probability 0, other columns are left alone
    Raises   UsageError when there is no such file, TableError with every breach
    """
    logged, asked = _file(log, "--log"), _file(policy, "--policy")
    breaches = [*logged.breaches, *asked.breaches]
    if breaches:
        raise TableError(breaches)
    rounds, pairs = _columns(logged, _LOG, breaches), _columns(asked, _POLICY, breaches)
    if not breaches and not logged.cells.num_rows:
        breaches.append(Breach(logged.name, "round_id", (), None, "at least one round"))
    if breaches:
        raise TableError(breaches)
    _check_log(logged, rounds, breaches)
    place, action = _places(asked, pairs, rounds, breaches)
    _check_policy(asked, pairs, place, action, logged, rounds, breaches)
    if breaches:
        raise TableError(breaches)
    made = _log(logged, rounds, action)
    probability = pairs["probability"].to_numpy(zero_copy_only=False)
    kept = np.flatnonzero(probability > 0)
    kept = kept[np.argsort(place[kept], kind="stable")]
    codes = _codes(pairs["action"], pa.array(made.actions, pa.string()))
    return made, Policy(place[kept], codes[kept], probability[kept])


def _file(path: Path, option: str) -> RawTable:
    if not path.is_file():
        raise UsageError(f"There is no file {path}.", field=option)
    return read_file(path, path.name)


def _columns(raw: RawTable, wanted: tuple[Column, ...], breaches: list[Breach]) -> dict[str, pa.Array]:
    """The columns by name, read as their kinds; an optional one that is missing is all null."""
    found: dict[str, pa.Array] = {}
    for column in wanted:
        if column.name not in raw.cells.column_names:
            if column.required:
                there = ", ".join(raw.cells.column_names)
                breaches.append(Breach(raw.name, column.name, (), None, f"this column (there are {there})"))
            kind = pa.string() if column.kind is Kind.ID else pa.float64()
            found[column.name] = pa.nulls(raw.cells.num_rows, kind)
            continue
        cells = raw.cells[column.name]
        read = read_cells(column, cells, None)
        found[column.name] = read.values
        bad = np.zeros(len(cells), bool)
        for fault in read.faults:
            bad |= fault.rows
            _note(raw, column.name, fault.rows, fault.expected, breaches)
        empty = mask(pc.is_null(read.values)) & ~bad
        # A cluster that is given to some rounds only would leave the others without company, silently.
        if column.required or (column is _CLUSTER and not empty.all()):
            _note(raw, column.name, empty, "a value in every row", breaches)
    return found


def _note(raw: RawTable, column: str, rows: np.ndarray, expected: str, breaches: list[Breach]) -> None:
    at = np.flatnonzero(rows)
    if at.size:
        value = shown(raw.cells[column], int(at[0]))
        breaches.append(Breach(raw.name, column, tuple((at + 1).tolist()), value, expected))


def _check_log(raw: RawTable, rounds: dict[str, pa.Array], breaches: list[Breach]) -> None:
    ids = rounds["round_id"].to_pandas()
    _note(raw, "round_id", ids.duplicated(keep=False).to_numpy(), "each round once", breaches)
    propensity = _floats(rounds["propensity"])
    outside = ~np.isnan(propensity) & ~((propensity > 0) & (propensity <= 1))
    _note(raw, "propensity", outside, "a probability above 0, at most 1; empty where it is not known", breaches)


def _places(
    raw: RawTable, pairs: dict[str, pa.Array], rounds: dict[str, pa.Array], breaches: list[Breach]
) -> tuple[np.ndarray, pa.Array]:
    """((m,) the round of each pair, -1: not in the log; the actions of log and policy, the log's own first)."""
    place = _codes(pairs["round_id"], rounds["round_id"])
    _note(raw, "round_id", place < 0, "a round of the log", breaches)
    own = pc.unique(rounds["action"]).sort()
    other = pc.unique(pairs["action"]).sort()
    return place, pa.concat_arrays([own, other.filter(pc.invert(pc.is_in(other, own)))])


def _check_policy(
    raw: RawTable,
    pairs: dict[str, pa.Array],
    place: np.ndarray,
    actions: pa.Array,
    logged: RawTable,
    rounds: dict[str, pa.Array],
    breaches: list[Breach],
) -> None:
    known = place >= 0
    code = place * len(actions) + _codes(pairs["action"], actions)
    twice = pd.Series(code).duplicated(keep=False).to_numpy() & known
    _note(raw, "action", twice, "each action of a round once", breaches)
    n = logged.cells.num_rows
    probability = pairs["probability"].to_numpy(zero_copy_only=False)
    total = np.bincount(place[known], probability[known], minlength=n)
    listed = np.bincount(place[known], minlength=n) > 0
    lacking = np.flatnonzero(~listed)
    if lacking.size:
        first = rounds["round_id"][int(lacking[0])].as_py()
        expected = f"a probability for every round of {logged.name}: {lacking.size:,} have none, the first is {first!r}"
        breaches.append(Breach(raw.name, "round_id", (), first, expected))
    uneven = listed & (np.abs(total - 1) > TOLERANCE)
    if uneven.any():
        at = int(np.flatnonzero(uneven)[0])
        name = rounds["round_id"][at].as_py()
        expected = f"probabilities that sum to 1 in each round: those of {name!r} sum to {total[at]:.6g}"
        _note(raw, "probability", known & uneven[np.maximum(place, 0)], expected, breaches)


def _log(raw: RawTable, rounds: dict[str, pa.Array], actions: pa.Array) -> BanditLog:
    n, cluster = raw.cells.num_rows, rounds["cluster"]
    clustered = cluster.null_count < n
    reserved = {column.name for column in _LOG}
    context = {name: _context(raw.cells[name]) for name in raw.cells.column_names if name not in reserved}
    return BanditLog(
        actions=tuple(actions.to_pylist()),
        action=_codes(rounds["action"], actions),
        reward=_floats(rounds["reward"]),
        propensity=_floats(rounds["propensity"]),
        cluster=_codes(cluster, pc.unique(cluster)) if clustered else np.arange(n),
        clustered=clustered,
        context=pd.DataFrame(context, index=pd.RangeIndex(n)),
    )


def _context(cells: pa.ChunkedArray) -> np.ndarray:
    """One column of context: numbers where every cell that is not empty is one, else words."""
    if pa.types.is_boolean(cells.type):
        cells = pc.cast(cells, pa.int8())
    read = read_cells(Column("context", Kind.NUMBER), cells, None)
    if not any(fault.rows.any() for fault in read.faults):
        return _floats(read.values)
    words = cells if pa.types.is_string(cells.type) else pc.cast(cells, pa.string())
    text = np.asarray(words.to_pylist(), dtype=object)
    text[text == ""] = None
    return text


def _floats(values: pa.Array) -> np.ndarray:
    """(n,) float64, NaN where null."""
    return np.asarray(pc.fill_null(values, float("nan")).to_numpy(zero_copy_only=False), dtype=np.float64)


def _codes(values: pa.Array, among: pa.Array) -> np.ndarray:
    """(n,) int64 place of each value among others, -1 where it is not there."""
    found = pc.fill_null(pc.index_in(values, value_set=among), -1)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.int64)
