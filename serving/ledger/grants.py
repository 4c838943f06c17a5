"""What a role that serves may do in PostgreSQL: statements that let it do its work there, and leave the audit alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from sqlalchemy.dialects.postgresql.base import PGDialect, PGIdentifierPreparer

from features.errors import UsageError
from features.schema import TABLES
from serving.ledger.person import WIPED

_READS, _ADDS = "SELECT", "SELECT, INSERT"
_CHANGES, _DROPS, _ALL = f"{_ADDS}, UPDATE", f"{_ADDS}, DELETE", f"{_ADDS}, UPDATE, DELETE"
#: What the service, and every command but those of the owner, does to the rows of each table.
RIGHTS: Final[Mapping[str, str]] = dict.fromkeys(TABLES, _ALL) | {
    "alembic_version": _READS,
    "ledger_clock": f"{_READS}, UPDATE",
    # What happened is only added to, and the payloads of the audit are forgotten, never changed.
    "audit": _ADDS,
    "audit_payloads": _DROPS,
    "releases": _ADDS,
    "challengers": _ADDS,
    "configurations": _ADDS,
    "erasures": _ADDS,
    "decisions": _DROPS,
    "decision_details": _ALL,
    "shadows": _ALL,
    "events": _CHANGES,
    "idempotency": _DROPS,
    "journal": _DROPS,
    "crm_columns": _DROPS,
    "holds": _DROPS,
    "unplaced": _ALL,
    "data_questions": _CHANGES,
    "api_keys": _CHANGES,
    "leases": _CHANGES,
}
_PREPARER: Final = PGIdentifierPreparer(PGDialect())  # type: ignore[no-untyped-call]
#: A longer name is cut off by PostgreSQL, and would be another role's.
LONGEST: Final = 63


def grants(role: str) -> str:
    """The statements, one transaction, for the owner of the tables; the role can do no more to them than they say.

    They fail for a role that owns the tables, or may act as who does: it could grant itself all of it again. From
    PostgreSQL 17 on the role may also rewrite the tables that an erasure took rows out of (`scrub`).
    Raises UsageError where it cannot be a role's name
    """
    if not 0 < len(role.encode()) <= LONGEST or "\x00" in role or "$" in role:
        raise UsageError(f"{role!r} is no role's name: 1 to {LONGEST} bytes, without $.", field="--role")
    named = _quoted(role)
    given = [
        f"GRANT {rights} ON {_list(name for name in RIGHTS if RIGHTS[name] == rights)} TO {named}"
        for rights in dict.fromkeys(RIGHTS.values())
    ]
    taken = f"REVOKE ALL ON {_list(RIGHTS)} FROM {named}"
    return "".join(f"{one};\n" for one in ("BEGIN", _no_owner(role), taken, *given, _rewrites(named), "COMMIT"))


def _no_owner(role: str) -> str:
    owner = "(SELECT relowner FROM pg_class WHERE oid = 'audit'::regclass)"
    told = _literal(f"role {role} owns the ledger, or may act as who does: name one that does not")
    return _block(f"IF pg_has_role({_literal(role)}, {owner}, 'MEMBER') THEN RAISE EXCEPTION USING MESSAGE = {told}")


def _rewrites(named: str) -> str:
    """Older servers know no such right, and there the owner rewrites them."""
    given = _literal(f"GRANT MAINTAIN ON {_list(WIPED)} TO {named}")
    return _block(f"IF current_setting('server_version_num')::int >= 170000 THEN EXECUTE {given}")


def _block(condition: str) -> str:
    return f"DO $$ BEGIN {condition}; END IF; END $$"


def _list(names: Iterable[str]) -> str:
    return ", ".join(_quoted(name) for name in names)


def _quoted(name: str) -> str:
    return _PREPARER.quote(name)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


__all__ = ["RIGHTS", "grants"]
