"""`callsheet value`: the wire that others script against, for a log that answers, one that cannot, and broken files."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import callsheet

Ran = tuple[int, str, str]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A log of 600 rounds that takes a, b and c evenly, and a policy that prefers c where x is high."""
    rng = np.random.default_rng(0)
    x, action = rng.normal(size=600), rng.integers(0, 3, 600)
    reward = (rng.random(600) < 0.1 + 0.5 * ((action == 2) & (x > 0))).astype(int)
    names = np.array(["a", "b", "c"])[action]
    rounds = [f"r{i}" for i in range(600)]
    log = pd.DataFrame({"round_id": rounds, "action": names, "reward": reward, "propensity": 1 / 3, "x": x})
    policy = pd.DataFrame({"round_id": rounds, "action": np.where(x > 0, "c", "a"), "probability": 1.0})
    log.to_csv(tmp_path / "log.csv", index=False)
    policy.to_csv(tmp_path / "policy.csv", index=False)
    return tmp_path / "log.csv", tmp_path / "policy.csv"


def _run(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], log: Path, policy: Path, *more: str
) -> Ran:
    words = [
        "callsheet",
        "value",
        "--log",
        str(log),
        "--policy",
        str(policy),
        "--home",
        str(log.parent / "home"),
        *more,
    ]
    monkeypatch.setattr(sys, "argv", words)
    capfd.readouterr()
    with pytest.raises(SystemExit) as ended:
        callsheet.main()
    said = capfd.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_the_answer_is_one_object_of_json(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], files: tuple[Path, Path]
) -> None:
    code, out, _ = _run(monkeypatch, capfd, *files, "--replicates", "300")
    said = json.loads(out)
    assert code == 0
    assert [one["estimator"] for one in said["estimates"]] == ["ips", "snips", "dr", "switch-dr"]
    for one in said["estimates"]:
        assert set(one) == {"estimator", "value", "low", "high"}
        assert one["low"] < one["value"] < one["high"]
    assert said["estimates"][2]["value"] == pytest.approx(0.35, abs=0.1)
    assert said["refused"] is None
    assert 150 < said["effective_sample_size"] < 250
    assert said["overlap"] == 1.0
    assert said["gain"]["low"] > 0
    assert not (files[0].parent / "home").exists()
    again = json.loads(_run(monkeypatch, capfd, *files, "--replicates", "300")[1])
    assert again == said


def test_a_refusal_says_why_and_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], files: tuple[Path, Path]
) -> None:
    log = pd.read_csv(files[0])
    row = int(np.flatnonzero((log["action"] == "c") & (log["x"] > 0))[3])
    log.loc[row, "propensity"] = 1e-6
    log.to_csv(files[0], index=False)
    code, out, _ = _run(monkeypatch, capfd, *files)
    said = json.loads(out)
    assert code == 1
    assert said["estimates"] == []
    assert said["effective_sample_size"] < 2
    assert f"row {row + 1} alone" in said["refused"]
    code, out, _ = _run(monkeypatch, capfd, *files, "--format", "table")
    assert code == 1
    assert "No estimate. The effective sample size is 1.0" in out


def test_a_broken_file_is_refused_in_the_same_shape_and_a_missing_one_is_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], files: tuple[Path, Path]
) -> None:
    files[0].write_text(files[0].read_text().replace("r7,", "r6,"))
    code, out, err = _run(monkeypatch, capfd, *files)
    assert code == 1
    assert "log.csv.round_id: expected each round once in rows 7, 8" in err
    said = json.loads(out)
    assert (said["estimates"], said["effective_sample_size"], said["overlap"]) == ([], None, None)
    assert "log.csv.round_id: expected each round once in rows 7, 8" in said["refused"]
    assert said["breaches"][0]["rows"] == [7, 8]
    code, out, _ = _run(monkeypatch, capfd, *files, "--format", "csv")
    assert (code, out) == (1, "estimator,value,low,high\n")
    code, out, _ = _run(monkeypatch, capfd, *files, "--format", "table")
    assert (code, out.startswith("No estimate. log.csv.round_id")) == (1, True)
    code, out, err = _run(monkeypatch, capfd, files[0].parent / "none.csv", files[1])
    assert (code, out) == (2, "")
    assert "--log" in err


def test_a_person_and_a_sheet_get_theirs(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], files: tuple[Path, Path]
) -> None:
    _, table, _ = _run(monkeypatch, capfd, *files, "--format", "table", "--level", "0.9")
    assert "90% interval" in table
    assert "Doubly robust minus logged: +" in table
    _, sheet, _ = _run(monkeypatch, capfd, *files, "--format", "csv")
    assert [row["estimator"] for row in csv.DictReader(io.StringIO(sheet))] == ["ips", "snips", "dr", "switch-dr"]
