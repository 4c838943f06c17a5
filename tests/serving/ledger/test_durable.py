"""What PostgreSQL says is committed is safe, as far as a client can see to it; where it is not, that is said."""

from __future__ import annotations

import logging
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import make_url

from serving.cli.ledger import status
from serving.cli.options import Format
from serving.ledger import Ledger
from serving.ledger.status import FORGETS
from serving.run import check
from serving.settings import Settings
from tests.serving.conftest import Crm
from tests.serving.databases import SERVING, at_once

on_postgresql = pytest.mark.parametrize("where", ["postgresql"], indirect=True)


@on_postgresql
@pytest.mark.parametrize(("given", "held"), [("off", "on"), ("local", "local"), ("remote_apply", "remote_apply")])
@pytest.mark.parametrize("whose", ["DATABASE {database}", "ROLE {role} IN DATABASE {database}"])
def test_no_commit_is_said_before_it_is_on_the_disk(url: str, where: str, whose: str, given: str, held: str) -> None:
    names = {"database": make_url(where).database, "role": SERVING}
    at_once(where, f"ALTER {whose.format(**names)} SET synchronous_commit = {given}")
    with closing(Ledger(url)) as ledger:
        for transaction in (ledger.writing, ledger.reading):
            with transaction() as connection:
                assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == held


@on_postgresql
def test_a_server_that_forgets_what_it_committed_is_told_of(
    stocked: Ledger, crm: Crm, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tests' own is one (databases.py); SQLite is none, whose pragmas are ours."""
    with closing(Ledger.open(None, tmp_path / "other")):
        pass
    for db, said in ((stocked.url, True), (None, False)):
        status(crm.config_path, tmp_path / "other", db, Format.table)
        assert (FORGETS in " ".join(capsys.readouterr().err.split())) is said
    with caplog.at_level(logging.WARNING):
        check(Settings(None, crm.config_path, tmp_path, stocked.url), "127.0.0.1", 0)
    assert FORGETS in caplog.text
