"""The CRM tables in the ledger, made from their contracts, so that training reads the ledger as any other source."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, Column, Double, Index, Table, Text
from sqlalchemy.types import TypeEngine

from features.schema import TABLES, Kind
from serving.ledger.tables import METADATA
from serving.ledger.types import Instant

_TYPES: dict[Kind, type[TypeEngine[Any]]] = {
    Kind.ID: Text, Kind.TEXT: Text, Kind.LIST: Text, Kind.TIME: Instant, Kind.MONEY: Double, Kind.NUMBER: Double,
    Kind.SHARE: Double, Kind.FLAG: Boolean,
}  # fmt: skip

CRM: dict[str, Table] = {
    name: Table(
        name,
        METADATA,
        *(
            Column(
                column.name, _TYPES[column.kind](), primary_key=column.name in contract.key,
                nullable=not (column.required or column.name in contract.key),
            )
            for column in contract.columns
        ),
    )
    for name, contract in TABLES.items()
}  # fmt: skip

OFFERS = CRM["offers"]
Index("ix_offers_lead_id", OFFERS.c.lead_id)
Index("ix_offers_rep_id", OFFERS.c.rep_id, OFFERS.c.offered_at)
Index("ix_offers_offered_at", OFFERS.c.offered_at)
Index("ix_leads_contact_id", CRM["leads"].c.contact_id)
Index("ix_contacts_account_id", CRM["contacts"].c.account_id)
