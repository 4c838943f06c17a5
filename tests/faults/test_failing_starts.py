"""A service whose workers cannot start ends by itself, soon, with what they said; no mock: a start that is broken."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from unittest.mock import patch

import pytest

from serving.run import prepare
from serving.settings import AS_OF, DATA, DB, MAPPING, Settings
from tests.serving.conftest import Crm, running

#: Read by every Python that is started with its folder on the path: breaks only what BentoML starts as a worker.
IN_A_WORKER = """
import os, signal, sys
if "_bentoml_impl.worker.service" in sys.orig_argv:
    {what}
"""


def ended(crm: Crm, home: Path, what: str, workers: int, **environment: str) -> str:
    """What `callsheet serve` says at last, when `what` happens in each worker; it must end with 3."""
    broken = home / "broken"
    broken.mkdir(parents=True)
    (broken / "sitecustomize.py").write_text(IN_A_WORKER.format(what=what))
    root = str(Path(__file__).resolve().parents[2])
    ran = subprocess.run(
        running(crm.folder, crm.config_path, home, "--workers", str(workers)).command,
        cwd=broken, env=os.environ | environment | {"PYTHONPATH": f"{broken}:{root}"}, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=300, text=True,
    )  # fmt: skip
    assert ran.returncode == 3, ran.stdout
    assert "No worker could start" in ran.stdout, ran.stdout
    return ran.stdout[ran.stdout.index("No worker could start") :]


def test_workers_that_refuse_to_start_end_the_service_with_their_own_words(crm: Crm, tmp_path: Path) -> None:
    """As when callsheet.yaml is edited while the service starts."""
    other = tmp_path / "other.yaml"
    other.write_text("markets: {}\n")
    said = ended(crm, tmp_path / "home", f"os.environ['CALLSHEET_CONFIG'] = {str(other)!r}", 3)
    assert "tried 3 times" in said
    assert "No market is configured" in said
    assert "nothing was served" in said


@pytest.mark.faults
@pytest.mark.parametrize("environment", [{}, {"BENTOML_CONTAINERIZED": "1"}], ids=["", "container"])
def test_workers_that_are_killed_while_they_start_end_it_too(
    crm: Crm, tmp_path: Path, environment: dict[str, str]
) -> None:
    """In a container, too, where BentoML would start none again."""
    said = ended(crm, tmp_path / "home", "os.kill(os.getpid(), signal.SIGKILL)", 1, **environment)
    assert "tried 3 times" in said
    assert "SIGKILL" in said
    assert "memory" in said


def test_workers_go_by_the_command_line_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (DATA, DB, MAPPING, AS_OF, "BENTOML_HOME"):
        monkeypatch.setenv(name, "left from a Bento")
    told = Settings(None, tmp_path / "callsheet.yaml", tmp_path / "home")
    with patch.dict(os.environ):  # what it sets is not left to the tests that follow
        prepare(told, 1)
        assert Settings.of(os.environ) == told
