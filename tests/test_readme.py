"""The README's commands, run from its own blocks as a reader would: in order, in one folder, on its own sample."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"^```sh\n(.*?)^```", README, re.M | re.S) for line in block.splitlines()]

#: Commands that keep running until they are stopped, and the page that answers once they are up.
SERVERS = {"callsheet serve": "/readyz", "make ui": "/"}
#: Commands whose answer may be no on so small a sample, as the README says it may.
MAY_REFUSE = ("callsheet promote", "callsheet rollback", "callsheet monitor")


@dataclass
class Reader:
    """Someone who follows the README in a copy of the checkout's files."""

    folder: Path
    port: int = field(default_factory=lambda: _free_port())

    @property
    def env(self) -> dict[str, str]:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("CALLSHEET_", "MAKE"))}
        return kept | {"PATH": path}

    def shell(self, command: str) -> subprocess.CompletedProcess[str]:
        command = command.replace("127.0.0.1:3000", f"127.0.0.1:{self.port}")
        return subprocess.run(
            ["bash", "-c", command], cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=300
        )

    @contextmanager
    def running(self, command: str, page: str, port: int) -> Iterator[None]:
        """A command that serves, on a port of ours, until the block ends."""
        words = shlex.split(command)
        words += [f"UI=--port {port}"] if words[0] == "make" else ["--port", str(port)]
        log = (self.folder / f"{words[1]}.log").open("w+")
        process = subprocess.Popen(words, cwd=self.folder, env=self.env, stdout=log, stderr=log, start_new_session=True)
        try:
            _wait(f"http://127.0.0.1:{port}{page}", process, Path(log.name))
            assert port in (ports := _listening(process.pid))
            assert {address for addresses in ports.values() for address in addresses} <= {"127.0.0.1", "::1"}, ports
            yield
        finally:
            os.killpg(process.pid, 15)
            process.wait(30)
            log.close()


def _listening(pid: int) -> dict[int, list[str]]:
    """Where a process and all that it started wait for connections: port -> addresses."""
    process, found = psutil.Process(pid), defaultdict(list)
    for one in (process, *process.children(recursive=True)):
        for at in one.net_connections("inet"):
            if at.status == psutil.CONN_LISTEN or at.type == socket.SOCK_DGRAM:
                found[at.laddr.port].append(at.laddr.ip)
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"{url} never answered:\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """A folder that looks like the checkout to the commands, and shares its installation."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("Makefile", "features", "pyproject.toml", "requirements.lock"):
        (folder / name).symlink_to(ROOT / name)
    venv = folder / ".venv"
    (venv / "bin").mkdir(parents=True)
    for name in ("callsheet", "python", "activate"):
        (venv / "bin" / name).symlink_to(Path(sys.executable).parent / name)
    (venv / ".installed").write_text("")
    return Reader(folder)


def test_the_readme_has_the_commands_that_it_should() -> None:
    for door in ("sample", "init", "check", "audit", "train", "compare", "promote", "rollback", "models", "score"):
        assert any(c.startswith(f"callsheet {door}") for c in COMMANDS), f"the README never shows callsheet {door}"


def test_every_command_works_as_it_stands(reader: Reader) -> None:
    """In order; what serves keeps running while the next commands ask it, and listens to this machine alone."""
    said = {}
    waiting = iter(COMMANDS)
    command = next(waiting, None)
    while command is not None:
        server = next((s for s in SERVERS if command.startswith(s)), None)
        if server is None:
            said[command] = _works(reader, command)
            command = next(waiting, None)
            continue
        port = reader.port if server == "callsheet serve" else _free_port()
        with reader.running(command, SERVERS[server], port):
            while (command := next(waiting, None)) is not None and command.startswith("curl"):
                said[command] = _works(reader, command)
    assert re.search(r"^model \S+ run \S+$", said["callsheet train --data crm --recipe fast"].splitlines()[-1])
    assert all('"error"' not in answer and answer for c, answer in said.items() if c.startswith("curl"))


def _works(reader: Reader, command: str) -> str:
    ran = reader.shell(command)
    allowed = (0, 1) if command.startswith(MAY_REFUSE) else (0,)
    assert ran.returncode in allowed, f"{command}: exit {ran.returncode}\n{ran.stdout[-2000:]}\n{ran.stderr[-3000:]}"
    return ran.stdout


def test_make_ui_answers_by_the_names_of_this_machine_alone(reader: Reader) -> None:
    """A page of another site that has its name point here, or a private address, gets nothing of the runs."""
    port = _free_port()

    def said(host: str) -> int:
        asked = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"Host": host})
        try:
            with urllib.request.urlopen(asked, timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as refused:
            return refused.code

    ours = [f"{name}{at}" for name in ("127.0.0.1", "localhost") for at in ("", f":{port}")]
    others = ["10.0.0.7", f"192.168.1.7:{port}", "localhost:1", f"attacker.example:{port}", f"localhost.example:{port}"]
    with reader.running("make ui", SERVERS["make ui"], port):
        assert {host: said(host) for host in (*ours, *others)} == dict.fromkeys(ours, 200) | dict.fromkeys(others, 403)


def test_make_demo_works_from_end_to_end(reader: Reader) -> None:
    """The first of the two commands, on a smaller CRM; `make test` is what runs this."""
    ran = reader.shell("make demo DEMO='--accounts 250 --reps 16 --offers 2500'")
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    for shown in ("POST /recommend_reps", "POST /recommend_leads", "The service has stopped", "What to do next"):
        assert shown in ran.stdout
    for target in ("demo", "test"):
        assert f"`make {target}`" in README
