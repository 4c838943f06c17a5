"""The watch that every service under test runs with sees what it is there to see."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving.conftest import WATCH, forbidden

DOES = {
    "unpickles": "import pickle, pathlib; pickle.loads(pickle.dumps(pathlib.PurePath))",
    "calls another machine": "import socket; s = socket.socket(); s.settimeout(0); s.connect_ex(('192.0.2.1', 80))",
    "sends to another machine": "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
    "asks for another machine": "import socket\ntry: socket.getaddrinfo('other.invalid', 80)\nexcept OSError: pass",
    "listens to the world": "import socket; socket.socket().bind(('0.0.0.0', 0))",
    "listens on loopback": "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen();"
    "socket.socket().connect(s.getsockname()); socket.getaddrinfo('localhost', 80)",
}


@pytest.mark.parametrize("what", DOES)
def test_what_no_serving_process_may_do_is_seen(what: str, tmp_path: Path) -> None:
    watched = tmp_path / "watched"
    environment = os.environ | {"PYTHONPATH": str(WATCH), "CALLSHEET_WATCH": str(watched)}
    subprocess.run([sys.executable, "-c", DOES[what]], env=environment, check=True)
    told = watched.read_text()
    assert told.splitlines()[0].split()[1] == "watched"
    assert bool(forbidden(told)) == (what != "listens on loopback"), told
