"""Starts the service: BentoML's supervisor with its workers, told everything through the environment."""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from features.config import load_config
from features.counted import counted
from features.errors import UsageError
from features.snapshot import read_snapshot
from serving.ledger import Ledger
from serving.ledger.keys import listed
from serving.ledger.status import FORGETS, forgets
from serving.live.crm import Crm
from serving.settings import AS_OF, DATA, DB, GUARDED, MAPPING, WORKERS, Settings, quota
from serving.starting import Starts
from serving.traces import wanted

log = logging.getLogger(__name__)

#: How long what is being answered may take when the service is told to stop.
DRAIN_SECONDS = 15
ROOT = Path(__file__).resolve().parents[1]
#: Set before any library that reads them is imported: in a worker one request is one thread's work.
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
SILENT = ("BENTOML_DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK")


def serve(settings: Settings, *, host: str = "127.0.0.1", port: int = 3000, workers: int = 1) -> None:
    """Serve until told to stop (SIGINT, SIGTERM); what is being answered then is finished first.

    What is wrong with the data, the configuration, the ledger or the port is said before a worker starts.
    Raises TableError, ConfigError, MappingError, LedgerError, LedgerEmpty, UsageError; WorkersFailed when none starts
    """
    check(settings, host, port)
    prepare(settings, workers)
    if not ipaddress.ip_address(host).is_loopback:
        os.environ[GUARDED] = "1"
    from _bentoml_impl.server.serving import serve_http

    from serving.service import callsheet  # after the environment is set: BentoML reads it on import

    callsheet.working_dir = str(ROOT)  # where workers import from, wherever we were started
    callsheet.inject_config()
    log.info("Starting %s on http://%s:%d", counted(workers, "worker"), host, port)
    with Starts(settings.home):
        serve_http(callsheet, host=host, port=port, timeout_graceful_shutdown=DRAIN_SECONDS)


def check(settings: Settings, host: str, port: int) -> None:
    """Say what would keep every worker from starting. Raises as `serve`."""
    config = load_config(settings.config)
    wanted()
    quota()
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise UsageError(f"{host!r} is no IP address; 127.0.0.1 is this machine alone.", field="--host") from None
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UsageError(f"Port {port} of {host} cannot be taken: {error.strerror}.", field="--port") from None
    if settings.data is not None:
        read_snapshot(settings.data, config=config, mapping=settings.mapping, as_of=settings.as_of)
    with closing(Ledger.open(settings.db, settings.home)) as ledger:
        log.info("Ledger: %s", f"SQLite, journal {ledger.journal}" if ledger.journal else "PostgreSQL")
        with ledger.reading() as connection:
            if forgets(connection):
                log.warning("%s", FORGETS)
        if settings.data is None:
            with ledger.reading() as connection:
                Crm.read(connection)
        if not address.is_loopback and config.oidc is None:
            _keyed(ledger, host)


def _keyed(ledger: Ledger, host: str) -> None:
    with ledger.reading() as connection:
        live = [key for key in listed(connection) if key.state(datetime.now(UTC)) == "live"]
    if not live:
        raise UsageError(
            f"{host} is seen by other machines, and the ledger has no API key that holds: make one with `callsheet "
            "keys create`, or serve on 127.0.0.1.",
            field="--host",
        )


def prepare(settings: Settings, workers: int) -> None:
    """Set the environment that the supervisor and its workers read."""
    home = settings.home.resolve() / "bentoml"
    home.mkdir(parents=True, exist_ok=True)
    for left in (DATA, DB, MAPPING, AS_OF):
        os.environ.pop(left, None)  # else workers would go by what the command line did not say
    os.environ.update(settings.environment | {WORKERS: str(workers), "BENTOML_HOME": str(home)})
    os.environ.update(dict.fromkeys(ONE_THREAD, "1") | dict.fromkeys(SILENT, "true"))
