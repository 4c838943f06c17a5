"""MLflow's own pages on the local store, for analysts: on loopback only, and with nothing else beside them."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import NoReturn

from features.errors import UsageError
from training import experiment
from training.tracking import Store

HOST = "127.0.0.1"


def address(home: Path, port: int) -> str:
    """Where the runs will be seen; makes the store when there is none yet.

    Raises UsageError when something else listens on the port already.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UsageError(
                f"Port {port} of {HOST} cannot be used ({error.strerror}); name another.", field="--port"
            ) from None
    return f"http://{HOST}:{port}{experiment.address(Store(home).experiment)}"


def hosts(port: int) -> tuple[str, ...]:
    """By what a browser may call it; MLflow would take any private address, and compares a whole header with each."""
    return tuple(f"{name}{at}" for name in (HOST, "localhost") for at in ("", f":{port}"))


def run_ui(home: Path, port: int) -> NoReturn:
    """Become the MLflow server, so that whoever stops this process stops it. Never returns."""
    store = Store(home)
    options = {
        "--backend-store-uri": store.uri,
        "--registry-store-uri": store.uri,
        "--default-artifact-root": (store.home / "artifacts").as_uri(),
        "--host": HOST,
        "--port": str(port),
        "--allowed-hosts": ",".join(hosts(port)),
        "--workers": "1",
    }
    command = [sys.executable, "-m", "mlflow", "server", *(word for pair in options.items() for word in pair)]
    # Its job runners would be ten more processes and a gigabyte, for evaluations that nobody asked for.
    os.execve(sys.executable, command, os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"})  # noqa: S606 - no shell
