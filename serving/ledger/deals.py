"""Writes the opportunities that events tell of, with the history of their stage, weight and amount."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, select

from features.schema import TABLES
from serving.ledger.answers import HISTORY, Deal, Told
from serving.ledger.change import Change, Row
from serving.ledger.crm import CRM
from serving.ledger.rows import tell_columns
from serving.ledger.types import read_instant

_OPPORTUNITIES, _LEADS, _CONTACTS, _CHANGES = (CRM[n] for n in ("opportunities", "leads", "contacts", "changes"))

Offer = Mapping[str, Any]


class Deals:
    """The opportunities of one change. A row that the CRM brought keeps what the events do not tell."""

    def __init__(self, change: Change) -> None:
        self.change, self.connection = change, change.connection
        self._told: set[str] = set()

    def refusal(self, offer: Offer, deals: Sequence[Deal], rep_id: str | None) -> str | None:
        """Why these cannot be written; rep_id: the rep whose credential it is, who tells of his own deals only."""
        for deal in deals:
            row = self._row(deal.opportunity_id)
            if row is None and deal.opened is not None and self._account(offer) is None:
                return "The offer's lead is not in the ledger any more, so nobody knows the opportunity's account."
            if row is not None and rep_id is not None and row["rep_id"] != rep_id:
                return "There is no such opportunity of this credential's rep."
        return None

    def unknown(self, opportunity_id: str | None) -> bool:
        """Whether there is no such opportunity, or none is named."""
        return opportunity_id is None or self._row(opportunity_id) is None

    def write(self, offer: Offer, deals: Sequence[Deal], events: Sequence[Told]) -> None:
        """Write the rows and their history anew."""
        for deal in deals:
            self._put(offer, deal)
            self._put_history(deal, events)

    def _row(self, opportunity_id: str) -> dict[str, Any] | None:
        mine = select(_OPPORTUNITIES).where(_OPPORTUNITIES.c.opportunity_id == opportunity_id)
        row = self.connection.execute(mine).one_or_none()
        return dict(row._mapping) if row is not None else None

    def _account(self, offer: Offer) -> Mapping[str, Any] | None:
        """The lead's account, contact and solution; the contact's account where the lead names none."""
        wanted = (
            select(
                _LEADS.c.contact_id, _LEADS.c.solution, _LEADS.c.account_id.label("own"), _CONTACTS.c.account_id
            )
            .outerjoin(_CONTACTS, _CONTACTS.c.contact_id == _LEADS.c.contact_id)
            .where(_LEADS.c.lead_id == offer["lead_id"])
        )  # fmt: skip
        row = self.connection.execute(wanted).one_or_none()
        if row is None or (row.own or row.account_id) is None:
            return None
        return {"account_id": row.own or row.account_id, "contact_id": row.contact_id, "solution": row.solution}

    def _put(self, offer: Offer, deal: Deal) -> None:
        before = self._row(deal.opportunity_id)
        row = before
        if row is None:
            if deal.opened is None:
                return  # what happens to an opportunity that nobody opened yet waits
            row = dict.fromkeys(TABLES["opportunities"].names) | dict(self._account(offer) or {})
            row |= {"opportunity_id": deal.opportunity_id, "rep_id": offer["rep_id"]}
        row = row | dict(deal.told)
        if isinstance(row["expected_close"], str):
            row["expected_close"] = read_instant(row["expected_close"])
        # The earliest that anyone tells: the order in which it is told is nothing.
        if deal.opened is not None and (row["opened_at"] is None or row["opened_at"] >= deal.opened.at):
            row |= {"opened_at": deal.opened.at, "known_at": deal.opened.known_at}
        if deal.ended is not None:
            row |= {
                "outcome": deal.ended.kind, "closed_at": deal.ended.learned, "reason": deal.ended.body.get("reason"),
            }  # fmt: skip
        if row != before:
            self._upsert("opportunities", [row])

    def _put_history(self, deal: Deal, events: Sequence[Told]) -> None:
        """The moves that the events make; one that an earlier event has made needless is taken out."""
        if self._row(deal.opportunity_id) is None:
            return
        made = {
            (move.column, move.valid_from): {
                "table_name": "opportunities", "row_id": deal.opportunity_id, "column_name": move.column,
                "value": move.value, "valid_from": move.valid_from, "known_at": move.known_at,
            }
            for move in deal.moves
        }  # fmt: skip
        instants = {event.at for event in events}
        mine = _CHANGES.c.table_name == "opportunities", _CHANGES.c.row_id == deal.opportunity_id
        stand = {
            (row.column_name, row.valid_from): dict(row._mapping)
            for row in self.connection.execute(select(_CHANGES).where(*mine, _CHANGES.c.column_name.in_(HISTORY)))
        }
        for key in stand:
            if key not in made and key[1] in instants:
                column, at = key
                self.connection.execute(
                    delete(_CHANGES).where(*mine, _CHANGES.c.column_name == column, _CHANGES.c.valid_from == at)
                )
                self.change.touch("changes", ["opportunities", deal.opportunity_id, column, at], gone=True)
        new = [row for key, row in made.items() if stand.get(key) != row]
        if new:
            self._upsert("changes", new)

    def _upsert(self, table: str, rows: Sequence[Row]) -> None:
        """Write rows; a CRM that came without the table, or without a column of it, has it from now on."""
        self.change.upsert(table, rows)
        columns = {f"{table}.{name}" for row in rows for name, value in row.items() if value is not None}
        if not columns <= self._told:
            self._told |= columns
            if tell_columns(self.change, {table: {name.partition(".")[2] for name in columns}}):
                self.change.touch(table, None)
