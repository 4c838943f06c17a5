"""What is locked is sound as far as is known, and named in a bill of materials; nothing of ours unpickles."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import cyclonedx.schema
import jsonschema_rs
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


@pytest.fixture(scope="module")
def bill() -> dict[str, Any]:
    """The bill of materials, as `make sbom` writes it."""
    command = [sys.executable, "-W", "error", ".ci/sbom.py"]
    written: dict[str, Any] = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    return written


def test_the_bill_of_materials_names_every_pin_with_its_hashes(bill: dict[str, Any]) -> None:
    locked, listed = {}, {}
    for text in re.split(r"\n(?=[A-Za-z0-9])", LOCK)[1:]:
        locked[text.split()[0]] = set(re.findall(r"sha256:(\w+)", text))
    for component in bill["components"]:
        assert component["purl"] == f"pkg:pypi/{component['name']}@{component['version']}"
        hashes = component["externalReferences"][0]["hashes"]
        listed[f"{component['name']}=={component['version']}"] = {h["content"] for h in hashes if h["alg"] == "SHA-256"}
    assert listed == locked
    assert len(bill["components"]) == len(locked)


def test_the_bill_of_materials_says_what_each_is_there_for(bill: dict[str, Any]) -> None:
    needs = {entry["ref"]: set(entry.get("dependsOn", ())) for entry in bill["dependencies"]}
    names = {ref: {pin.split("==")[0] for pin in pins} for ref, pins in needs.items()}
    assert {"bentoml", "lightgbm", "sqlalchemy", "pytest"} <= names["callsheet"]
    assert "starlette" in names[next(ref for ref in names if ref.startswith("bentoml=="))]
    assert set().union(*needs.values()) | {"callsheet"} == set(needs), "something is listed that nobody asked for"


def test_the_bill_of_materials_is_cyclonedx(bill: dict[str, Any]) -> None:
    folder = Path(next(iter(cyclonedx.schema.__path__))) / "_res"
    rules = json.loads((folder / "bom-1.6.SNAPSHOT.schema.json").read_text())
    others = {f"http://cyclonedx.org/schema/{path.name}": path for path in folder.glob("[jsc]*.schema.json")}
    registry = jsonschema_rs.Registry([(name, json.loads(path.read_text())) for name, path in others.items()])
    held = jsonschema_rs.validator_for(rules, registry=registry)
    assert [str(error) for error in held.iter_errors(bill)] == []
    assert not held.is_valid(bill | {"components": [{"name": "without a type"}]})


@pytest.mark.parametrize(
    "line", ["import pickle", "from cloudpickle import loads", "import joblib\n\njoblib.load('x')"]
)
def test_a_pickle_in_a_room_does_not_pass_the_linter(line: str) -> None:
    assert "TID251" in linted(line)


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ("S608", "def f(c, name):\n    c.execute(f'SELECT * FROM {name}')"),
        ("S602", "import subprocess\n\nsubprocess.run('ls *', shell=True)"),
        ("S506", "import yaml\n\nyaml.load('x', Loader=yaml.Loader)"),
        ("S501", "import httpx\n\nhttpx.get('https://x.example', verify=False)"),
        ("S324", "import hashlib\n\nhashlib.md5(b'x')"),
    ],
)
def test_what_is_unsafe_in_a_room_does_not_pass_the_linter(rule: str, line: str) -> None:
    assert rule in linted(line)


def linted(lines: str) -> str:
    """What `make check` would say of these lines in a room; it must say something."""
    command = [sys.executable, "-m", "ruff", "check", "--stdin-filename", "serving/new.py", "-"]
    ran = subprocess.run(command, input=lines + "\n", cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    return ran.stdout
