"""What is locked is no older than what is known to be sound, and nothing of ours unpickles."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from features.sql import sqlite_module
from serving.ledger import WAL_SAFE

ROOT = Path(__file__).resolve().parents[1]
FLOORS: dict[str, dict[str, Any]] = tomllib.loads((ROOT / ".ci" / "floors.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()


def below(lock: str) -> dict[str, str]:
    """The pins of a lock that lie below their floor, each with what is wrong with it."""
    pins = re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", lock, re.M)
    return {
        f"{name}=={version}": FLOORS[name.lower()]["why"]
        for name, version in pins
        if name.lower() in FLOORS and Version(version) < Version(FLOORS[name.lower()]["floor"])
    }


def test_nothing_locked_lies_below_its_floor() -> None:
    assert below(LOCK) == {}


def test_every_floor_is_of_something_locked_and_names_its_source() -> None:
    for name, said in FLOORS.items():
        assert set(said) == {"floor", "why", "source"}
        assert said["source"]
        assert name == "sqlite" or re.search(rf"^{re.escape(name)}==", LOCK, re.M | re.I), name


@pytest.mark.parametrize("planted", ["bentoml==1.4.2", "mlflow==3.16.0", "h11==0.14.0"])
def test_an_old_one_that_slips_in_is_caught(planted: str) -> None:
    name = planted.split("==")[0]
    assert list(below(re.sub(rf"^{name}==[^\s;\\]+", planted, LOCK, flags=re.M))) == [planted]


def test_the_sqlite_that_the_ledger_uses_is_sound() -> None:
    """Where the wheel brings none (it is made for one platform), the ledger keeps to the rollback journal."""
    assert ".".join(map(str, WAL_SAFE)) == FLOORS["sqlite"]["floor"]
    if sys.platform == "linux":
        assert Version(sqlite_module().sqlite_version) >= Version(FLOORS["sqlite"]["floor"])


@pytest.mark.parametrize(
    "line", ["import pickle", "from cloudpickle import loads", "import joblib\n\njoblib.load('x')"]
)
def test_a_pickle_in_a_room_does_not_pass_the_linter(line: str) -> None:
    command = [sys.executable, "-m", "ruff", "check", "--select", "TID251", "--stdin-filename", "serving/new.py", "-"]
    ran = subprocess.run(command, input=line + "\n", cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "TID251" in ran.stdout
