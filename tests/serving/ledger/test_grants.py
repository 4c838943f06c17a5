"""On PostgreSQL a role that owns nothing serves, and the server keeps it from the audit; set up as docs/ledger.md says.

The other tests of the ledger run as such a role, too (tests/serving/databases.py): here is what it may not do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect, make_url, text
from sqlalchemy.exc import DBAPIError
from typer.testing import CliRunner

import callsheet
from features.errors import UsageError
from serving.ledger import Ledger
from serving.ledger.audit import record, verify
from serving.ledger.backup import backup, restore
from serving.ledger.change import changing
from serving.ledger.database import LedgerOlder, NotAllowed, newest_revision
from serving.ledger.grants import RIGHTS, grants
from serving.ledger.scrub import scrub
from tests.serving.databases import at_once
from tests.serving.ledger.small import CONFIG

DOCS = Path(__file__).resolve().parents[3] / "docs" / "ledger.md"
ROLE = "callsheet_serving"
VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")


@dataclass(frozen=True)
class Roles:
    """The URLs of one database, by who opens it."""

    owner: str
    serving: str


@pytest.fixture(scope="module")
def roles(postgres: str) -> Iterator[Roles]:
    """A database and two roles, made by the statements of the docs; there are no tables yet."""
    told = re.findall(r"```sql\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    at_once(postgres, *told[0].strip().split("\n"))
    address = make_url(postgres).set(database="callsheet")
    yield Roles(*(address.set(username=f"callsheet_{who}").render_as_string(False) for who in ("owner", "serving")))
    at_once(postgres, "DROP DATABASE callsheet WITH (FORCE)", f"DROP ROLE {ROLE}", "DROP ROLE callsheet_owner")


@pytest.fixture
def served(roles: Roles, tmp_path: Path) -> Iterator[Ledger]:
    """The ledger as the role that serves has it, with a row in its audit."""
    Ledger.open(roles.owner, tmp_path).close()
    at_once(roles.owner, CliRunner().invoke(callsheet.app, ["db", "grants", "--role", ROLE]).stdout)
    ledger = Ledger.open(roles.serving, tmp_path)
    with changing(ledger) as change:
        record(change, "cli", "load", "crm", {"rows": 7})
    yield ledger
    ledger.close()


def may(connection: Connection) -> dict[str, set[str]]:
    """What the server says that this role may do, by table."""
    asked = text("SELECT has_table_privilege(:table, :verb)")
    return {
        table: {verb for verb in VERBS if connection.execute(asked, {"table": table, "verb": verb}).scalar_one()}
        for table in inspect(connection).get_table_names()
    }


def test_who_serves_makes_no_tables_and_says_who_does(roles: Roles, tmp_path: Path) -> None:
    with pytest.raises(LedgerOlder, match=r"not there yet.*owner.*`callsheet db upgrade`.*`callsheet db grants`"):
        Ledger.open(roles.serving, tmp_path)
    Ledger.open(roles.owner, tmp_path).close()
    with pytest.raises(NotAllowed, match=r"permission denied for table alembic_version.*`callsheet db grants`"):
        Ledger.open(roles.serving, tmp_path)
    at_once(roles.owner, grants(ROLE), "UPDATE alembic_version SET version_num = '0005'")
    with pytest.raises(LedgerOlder, match=f"revision 0005, and its role may not bring it to {newest_revision()}") as no:
        Ledger.open(roles.serving, tmp_path)
    assert (no.value.code, no.value.exit_code) == ("ledger_older", 3)
    at_once(roles.owner, f"UPDATE alembic_version SET version_num = '{newest_revision()}'")
    Ledger.open(roles.serving, tmp_path).close()


def test_the_server_grants_what_is_named_and_no_more_whatever_was_granted_before(served: Ledger, roles: Roles) -> None:
    named = {table: set(rights.split(", ")) for table, rights in RIGHTS.items()}
    with served.reading() as connection:
        assert may(connection) == named
    at_once(roles.owner, f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {ROLE}")
    with served.reading() as connection:
        assert may(connection) != named
    at_once(roles.owner, grants(ROLE))
    with served.reading() as connection:
        assert may(connection) == named


REWRITING = (
    "UPDATE audit SET actor = 'x'",
    "DELETE FROM audit",
    "TRUNCATE audit",
    "UPDATE audit_payloads SET body = '{}'",
    "TRUNCATE audit, audit_payloads CASCADE",
    "ALTER TABLE audit DISABLE TRIGGER USER",
    "DROP TRIGGER audit_no_change ON audit",
    "CREATE OR REPLACE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "SET session_replication_role = replica",
    "DROP TABLE audit",
    "CREATE TABLE another (x int)",
    "SET ROLE callsheet_owner",
    "UPDATE releases SET reason = 'x'",
    "DELETE FROM events",
    "UPDATE decisions SET policy = 'explore'",
)


def test_the_server_refuses_to_rewrite_the_record(served: Ledger) -> None:
    for statement in REWRITING:
        with pytest.raises(NotAllowed, match=r"permission denied|must be owner"), served.writing() as connection:
            connection.execute(text(statement))
    with served.reading() as connection:
        assert verify(connection) is None


def test_a_backup_is_of_who_serves_and_a_restore_is_not(served: Ledger, tmp_path: Path) -> None:
    backup(served, tmp_path / "backup.db")
    with pytest.raises(NotAllowed, match="must be owner of table audit"):
        restore(served, tmp_path / "backup.db", tmp_path, CONFIG, replace=True)


def test_files_that_the_role_may_not_rewrite_are_not_taken_for_clear(served: Ledger, roles: Roles) -> None:
    assert scrub(served)
    at_once(roles.owner, f"REVOKE MAINTAIN ON events FROM {ROLE}")
    assert not scrub(served)  # the server only warns


def test_no_role_that_could_act_as_the_owner_is_granted_anything(served: Ledger, postgres: str, roles: Roles) -> None:
    for role in ("callsheet_owner", "postgres"):
        with pytest.raises(DBAPIError, match="owns the ledger, or may act as who does"):
            at_once(roles.owner, grants(role))
    at_once(postgres, f"GRANT callsheet_owner TO {ROLE}")
    with pytest.raises(DBAPIError, match="owns the ledger, or may act as who does"):
        at_once(roles.owner, grants(ROLE))
    at_once(postgres, f"REVOKE callsheet_owner FROM {ROLE}")


def test_a_name_is_quoted_and_one_that_cannot_be_is_refused(served: Ledger, postgres: str, roles: Roles) -> None:
    odd = """Ann's "sheet"; --"""
    quoted = '"' + odd.replace('"', '""') + '"'
    at_once(postgres, f"CREATE ROLE {quoted}")
    at_once(roles.owner, grants(odd))
    at_once(make_url(postgres).set(database="callsheet").render_as_string(False), f"DROP OWNED BY {quoted}")
    at_once(postgres, f"DROP ROLE {quoted}")
    for wrong in ("", "x" * 64, "a\x00b", "$$"):
        with pytest.raises(UsageError, match="no role's name"):
            grants(wrong)
