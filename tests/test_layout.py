"""The shape of the house: what is at the top, how files begin and how long they are, what the lock holds."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("features", "models", "training", "serving")
TOP = {
    *ROOMS, "benchmarks", "docs", "examples", "tests", ".ci", "callsheet.py", "callsheet.yaml", "bentofile.yaml",
    "Makefile", "pyproject.toml", "requirements.lock", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE",
    ".gitignore", ".bentoignore", ".gitattributes",
}  # fmt: skip


def _tracked() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = (ROOT / "requirements.lock").read_text()
CODE = [*sorted(p for room in ROOMS for p in (ROOT / room).rglob("*.py")), ROOT / "callsheet.py"]


def test_nothing_else_stands_at_the_top() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in _tracked()} <= TOP


@pytest.mark.parametrize("path", CODE, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_says_why_it_exists_and_stays_readable(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert source.startswith('"""'), "the first line is the file's one reason to exist"
    assert ast.get_docstring(ast.parse(source))
    assert source.count("\n") < 400


def test_no_room_has_a_drawer_for_odds_and_ends() -> None:
    assert not [p for p in CODE if re.search(r"util|helper|manager|common|misc", p.stem)]


def test_every_dependency_is_locked_at_a_version_that_fits() -> None:
    locked = {name.lower(): Version(v) for name, v in re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", LOCK, re.M)}
    for text in (
        *PROJECT["dependencies"],
        *(text for extra in PROJECT["optional-dependencies"].values() for text in extra),
    ):
        wanted = Requirement(text)
        assert locked[wanted.name.lower()] in wanted.specifier, text


def test_the_lock_has_a_hash_for_every_pin_and_no_address() -> None:
    pins = re.split(r"\n(?=[A-Za-z0-9])", LOCK)[1:]
    assert len(pins) > 100
    assert not [pin.split("\n")[0] for pin in pins if "--hash=sha256:" not in pin]
    assert "://" not in LOCK
    assert "--index-url" not in LOCK


def test_the_changelog_begins_with_this_version() -> None:
    first = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert first is not None
    assert first[1] == PROJECT["version"]


def test_set_up_and_checks_can_be_run() -> None:
    for name in (".ci/run", ".ci/setup"):
        assert (ROOT / name).stat().st_mode & 0o111, f"{name} is not executable"
        subprocess.run(["sh", "-n", str(ROOT / name)], check=True)


def test_make_alone_lists_the_commands() -> None:
    listed = subprocess.run(["make"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for target in ("demo", "test", "faults", "check", "bench", "serve", "ui", "lock", "sbom", "audit", "clean"):
        assert re.search(rf"^  make {target} +\S", listed, re.M), f"make help leaves out {target}"
