"""Each guard in turn is taken out of a copy of the repository; the test that speaks for it must fail there."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.faults.guards import of_the_ledger, of_the_service
from tests.faults.guards.guard import Guard

pytestmark = pytest.mark.faults

ROOT = Path(__file__).resolve().parents[2]
GUARDS = [*of_the_ledger.GUARDS, *of_the_service.GUARDS]


@dataclass
class Copy:
    """A copy of the repository, and what pytest says in it. runs: how many there were."""

    root: Path
    runs: int = 0
    unchanged: dict[str, str | None] = field(default_factory=dict)

    @contextmanager
    def without(self, guard: Guard) -> Iterator[None]:
        """The copy while a guard is out."""
        file = self.root / guard.file
        text = file.read_text()
        assert text.count(guard.stands) == 1, f"{guard.file} has no one place with {guard.stands!r}"
        self._write(file, text.replace(guard.stands, guard.without))
        try:
            yield
        finally:
            self._write(file, text)

    def _write(self, file: Path, text: str) -> None:
        """Python goes by size and second, and may take what it compiled of another text for this one's."""
        file.write_text(text)
        Path(importlib.util.cache_from_source(str(file))).unlink(missing_ok=True)

    def run(self, nodes: Sequence[str]) -> tuple[int, dict[str, str | None], str]:
        """Run tests. Returns pytest's exit code, how each failed that ran (None: it passed), and what was said."""
        self.runs += 1
        told = self.root.parent / f"run-{self.runs}.xml"
        made = self.root.parent / f"run-{self.runs}"
        command = [
            sys.executable, "-m", "pytest", "-q", "-m", "", "-p", "no:cacheprovider", f"--basetemp={made}",
            f"--junitxml={told}", *nodes,
        ]  # fmt: skip
        environment = os.environ | {"PYTHONPATH": str(self.root), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        environment["PYTEST_XDIST_WORKER"] = "guards"  # one of several, who share what is made once (`made_once`)
        ran = subprocess.run(
            command, cwd=self.root, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        shutil.rmtree(made, ignore_errors=True)
        cases = ElementTree.parse(told).iter("testcase")  # noqa: S314 - pytest wrote it just now
        failed = {node_of(case): failure_of(case) for case in cases}
        return ran.returncode, failed, ran.stdout[-6000:] + ran.stderr[-2000:]


def node_of(case: ElementTree.Element) -> str:
    return f"{case.attrib['classname'].replace('.', '/')}.py::{case.attrib['name']}"


def failure_of(case: ElementTree.Element) -> str | None:
    """What a test says as it fails; a fixture that breaks, or a test that is left out, is not one that fails."""
    for kind in ("error", "skipped", "failure"):
        found = case.find(kind)
        if found is not None:
            return found.attrib["message"] if kind == "failure" else f"{kind}: {found.attrib['message']}"
    return None


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """With what git has and would have; every test that a guard names passes in it."""
    root = tmp_path_factory.mktemp("guards") / "copy"
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, root / name)
    made = Copy(root)
    code, made.unchanged, said = made.run(sorted({guard.test for guard in GUARDS}))
    assert code in (0, 1), said
    return made


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.what)
def test_without_the_guard_its_test_fails(copy: Copy, guard: Guard) -> None:
    assert copy.unchanged[guard.test] is None, "with the guard it fails, too"
    with copy.without(guard):
        code, failed, said = copy.run([guard.test])
    assert (code, list(failed)) == (1, [guard.test]), said
    assert re.search(guard.says, str(failed[guard.test])), said
