"""The reference pages are those that the code makes, and leave out no feature, key or command."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import callsheet
from docs.generate import named
from features.catalogue import FEATURES
from features.config import Config

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = dict(named(typer.main.get_command(callsheet.app)))


def _page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def test_the_pages_are_what_the_code_makes() -> None:
    checked = subprocess.run([sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_stale_page_is_noticed(tmp_path: Path) -> None:
    """The check in `make check` would be worth nothing if it never failed."""
    (tmp_path / "generate.py").write_text((ROOT / "docs/generate.py").read_text().replace(
        "DOCS = Path(__file__).resolve().parent", f"DOCS = Path({str(tmp_path)!r})"
    ).replace("sys.path.insert(0, str(DOCS.parent))", f"sys.path.insert(0, {str(ROOT)!r})"))  # fmt: skip
    run = [sys.executable, str(tmp_path / "generate.py")]
    assert subprocess.run(run, capture_output=True).returncode == 0
    assert subprocess.run([*run, "--check"], capture_output=True).returncode == 0
    (tmp_path / "features.md").write_text(_page("features.md") + "one more line\n")
    stale = subprocess.run([*run, "--check"], capture_output=True, text=True)
    assert stale.returncode == 1
    assert "docs/features.md" in stale.stdout


def test_every_feature_is_in_the_catalogue() -> None:
    page = _page("features.md")
    assert not [f.name for f in FEATURES if f"| `{f.name}` |" not in page]


def test_every_key_is_in_the_configuration_reference() -> None:
    page = _page("configuration.md")
    assert not [name for name in Config.model_fields if f"| `{name}` |" not in page]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_teaches_itself(name: str) -> None:
    """Help says what it does, shows an example that names the command, and explains each option."""
    command = COMMANDS[name]
    assert len(command.help.split("\n")[0]) > 20
    assert re.search(rf"^ +callsheet {name}\b", command.help, re.M), "no example"
    assert not [p.name for p in command.params if not p.help and p.name != "help"]
    assert f"## `callsheet {name}`" in _page("commands.md")
