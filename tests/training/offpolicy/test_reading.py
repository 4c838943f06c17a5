"""A log and a policy are read whole or refused whole, with file, column, rows and what was expected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.errors import TableError, UsageError
from training.offpolicy.reading import read

LOG = (
    "round_id,action,reward,propensity,cluster,age,colour\nr1,a,1,0.5,c1,30,red\nr2,b,0,,c1,,blue\nr3,a,0.5,1,c2,40,\n"
)
POLICY = "round_id,action,probability\nr2,b,0.25\nr1,a,1\nr2,a,0.75\nr3,c,1\nr3,a,0\n"


def _files(folder: Path, log: str = LOG, policy: str = POLICY) -> tuple[Path, Path]:
    paths = folder / "log.csv", folder / "policy.csv"
    for path, text in zip(paths, (log, policy), strict=True):
        path.write_text(text, encoding="utf-8")
    return paths


def test_both_files_as_arrays(tmp_path: Path) -> None:
    log, policy = read(*_files(tmp_path))
    assert log.actions == ("a", "b", "c")
    assert log.action.tolist() == [0, 1, 0]
    assert log.taken.tolist() == [2, 1, 0]
    assert log.reward.tolist() == [1.0, 0.0, 0.5]
    np.testing.assert_array_equal(log.propensity, [0.5, np.nan, 1.0])
    assert (log.clustered, log.cluster.tolist()) == (True, [0, 0, 1])
    np.testing.assert_array_equal(log.context["age"], [30.0, np.nan, 40.0])
    assert log.context["colour"].tolist()[:2] == ["red", "blue"]
    assert log.context["colour"].isna().tolist() == [False, False, True]
    # In order of the log's rounds, without what has no probability.
    assert policy.round.tolist() == [0, 1, 1, 2]
    assert policy.action.tolist() == [0, 1, 0, 2]
    assert policy.of_logged(log).tolist() == [1.0, 0.25, 0.0]
    assert policy.expected(np.array([1.0, 2.0, 4.0, 8.0]), 3).tolist() == [1.0, 3.5, 8.0]


def test_without_the_optional_columns_nothing_is_known(tmp_path: Path) -> None:
    log, _ = read(
        *_files(tmp_path, "round_id,action,reward\n1,7,1\n2,07,0\n", "round_id,action,probability\n1,7,1\n2,7,1\n")
    )
    assert log.actions == ("07", "7"), "an action is text: 07 is not 7"
    assert log.unlogged.all()
    assert not log.clustered
    assert log.cluster.tolist() == [0, 1]
    assert log.context.shape == (2, 0)


def test_parquet_is_read_too(tmp_path: Path) -> None:
    log = pd.DataFrame({"round_id": [1, 2], "action": [3, 4], "reward": [1, 0], "propensity": [0.5, 0.5]})
    policy = pd.DataFrame({"round_id": [1, 2], "action": [3, 4], "probability": [1.0, 1.0]})
    log.to_parquet(tmp_path / "log.parquet")
    policy.to_parquet(tmp_path / "policy.parquet")
    logged, asked = read(tmp_path / "log.parquet", tmp_path / "policy.parquet")
    assert logged.actions == ("3", "4")
    assert len(asked) == 2


WRONG = [
    ("log", "r1,a,1,0.5,", "r1,a,1,0,", "log.csv.propensity", (1,), "0", "above 0"),
    ("log", "r1,a,1,0.5,", "r1,a,1,1.5,", "log.csv.propensity", (1,), "1.5", "at most 1"),
    ("log", "r1,a,1,0.5,", "r1,a,1,-0.5,", "log.csv.propensity", (1,), "-0.5", "above 0"),
    ("log", "r1,a,1,0.5,", "r1,a,1,half,", "log.csv.propensity", (1,), "half", "a number"),
    ("log", "r2,b,0,", "r1,b,0,", "log.csv.round_id", (1, 2), "r1", "each round once"),
    ("log", "r2,b,0,", "r2,b,yes,", "log.csv.reward", (2,), "yes", "a number"),
    ("log", "r2,b,0,", "r2,b,,", "log.csv.reward", (2,), None, "a value in every row"),
    ("log", "r2,b,0,", "r2,,0,", "log.csv.action", (2,), None, "a value in every row"),
    ("log", "r2,b,0,,c1", "r2,b,0,,", "log.csv.cluster", (2,), None, "a value in every row"),
    ("log", "reward,", "gain,", "log.csv.reward", (), None, "this column"),
    ("policy", "r2,a,0.75", "r2,a,0.7", "policy.csv.probability", (1, 3), "0.25", "sum to 0.95"),
    ("policy", "r2,a,0.75", "r2,a,1.75", "policy.csv.probability", (3,), "1.75", "from 0 to 1"),
    ("policy", "r2,a,0.75", "r2,b,0.75", "policy.csv.action", (1, 3), "b", "each action of a round once"),
    ("policy", "r1,a,1\n", "", "policy.csv.round_id", (), "r1", "1 have none, the first is 'r1'"),
    ("policy", "r1,a,1\n", "r1,a,1\nr9,a,1\n", "policy.csv.round_id", (3,), "r9", "a round of the log"),
    ("policy", "probability", "p", "policy.csv.probability", (), None, "this column"),
    ("log", "r3,a,0.5,1,c2,40,", "r3,a", "log.csv.(row)", (3,), "2 fields", "7 fields"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "field", "rows", "value", "expected"), WRONG, ids=lambda v: str(v)[:24])
def test_what_is_wrong_is_named(
    tmp_path: Path, file: str, old: str, new: str, field: str, rows: tuple[int, ...], value: str | None, expected: str
) -> None:
    texts = {"log": LOG, "policy": POLICY}
    assert old in texts[file]
    texts[file] = texts[file].replace(old, new)
    with pytest.raises(TableError) as refused:
        read(*_files(tmp_path, **texts))
    breach = next(b for b in refused.value.breaches if f"{b.table}.{b.column}" == field)
    assert (breach.rows, breach.value) == (rows, value)
    assert expected in breach.expected


def test_every_breach_is_told_at_once(tmp_path: Path) -> None:
    log = LOG.replace("r1,a,1,0.5", "r1,a,1,7").replace("r2,b,0", "r1,b,0")
    with pytest.raises(TableError) as refused:
        read(*_files(tmp_path, log))
    assert {b.column for b in refused.value.breaches} >= {"propensity", "round_id"}


def test_a_file_that_is_not_there_and_a_log_without_rounds(tmp_path: Path) -> None:
    log, policy = _files(tmp_path)
    with pytest.raises(UsageError) as missing:
        read(tmp_path / "no.csv", policy)
    assert missing.value.field == "--log"
    log.write_text("round_id,action,reward\n")
    with pytest.raises(TableError, match="at least one round"):
        read(log, policy)
