"""Keeps what was answered from before an erasure, and is written down after it, from bringing back what was erased."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Connection, bindparam, delete, exists, or_, select, update

from serving.ledger.change import Change
from serving.ledger.crm import CRM
from serving.ledger.decisions import Decision
from serving.ledger.details import Detail
from serving.ledger.person import is_nameless
from serving.ledger.prepared import Prepared
from serving.ledger.tables import DECISION_DETAILS, ERASURES, JOURNAL, LEDGER_CLOCK

_LEADS: Final = CRM["leads"]
_KNOWN: Final = bindparam("known", type_=BigInteger)
#: An erasure names no row of the contacts; and what the journal does not reach back to may have been one.
_MAY_HAVE_BEEN: Final = Prepared(
    select(LEDGER_CLOCK.c.seq).where(
        or_(
            LEDGER_CLOCK.c.journal_from > _KNOWN,
            exists().where(
                JOURNAL.c.seq > _KNOWN, JOURNAL.c.table_name == "contacts", JOURNAL.c.row_id.is_(None)
            ),
        )
    )
)  # fmt: skip
#: Leads that are asked for at once.
_BATCH: Final = 5_000


def write(connection: Connection, made: Decision) -> None:
    """Write down a decision that commits nothing, with no more of a forgotten contact than its erasure left of others.

    What is erased after this was written finds it there, so whether it was before is asked last.
    """
    made.write(connection)
    gone, mine = erased_since(connection, made), DECISION_DETAILS.c.decision_id == made.decision_id
    if made.row["lead_id"] in gone:
        connection.execute(delete(DECISION_DETAILS).where(mine))
    elif gone:
        connection.execute(update(DECISION_DETAILS).where(mine).values(body=made.without(gone).body))


def erased_since(connection: Connection, made: Decision) -> set[str]:
    """Leads that a decision tells of and whose contact was erased after the change that it knew.

    Where any was, one that is not stored any more counts, too: nobody can say whose it was.
    Cost: one read of what was committed since that change
    """
    if made.contact_hash is not None:  # it was sent along, and may not be stored
        forgotten = select(ERASURES.c.at).where(ERASURES.c.contact_hash == made.contact_hash)
        return {made.row["lead_id"]} if connection.execute(forgotten).first() is not None else set()
    if not _MAY_HAVE_BEEN.all(connection, {"known": made.row["book_seq"]}):
        return set()
    lead_id, detail = made.row["lead_id"], made.detail
    asked = [lead_id] if lead_id is not None else sorted(_told_of(detail))
    there: set[str] = set()
    for start in range(0, len(asked), _BATCH):
        mine = _LEADS.c.lead_id.in_(asked[start : start + _BATCH])
        found = connection.execute(select(_LEADS.c.lead_id, _LEADS.c.contact_id).where(mine))
        there.update(lead.lead_id for lead in found if not is_nameless(lead.contact_id))
    return set(asked) - there


def _told_of(detail: Detail) -> set[str]:
    """The leads of a call sheet or a plan of which more is told than an id and scores."""
    return {item["lead_id"] for item in detail["items"]}.union(detail["vectors"], detail["facts"])


def finish_advice(change: Change) -> None:
    """Before an erasure looks at decisions: let those be committed that are being written, and no other till its end.

    Who advises does not wait for changes; on PostgreSQL neither of the two would see what the other writes. SQLite lets
    one write at a time.
    """
    if change.connection.dialect.name == "postgresql":
        change.connection.exec_driver_sql(f"LOCK TABLE {DECISION_DETAILS.name} IN SHARE ROW EXCLUSIVE MODE")
