"""A lead that is not stored yet, with the contact and the account that it brings."""

from __future__ import annotations

from typing import Any, Self

from pydantic import ConfigDict, model_validator

from serving.wire.base import Id, row_payload

InlineAccount = row_payload(
    "InlineAccount", "accounts", "The account of a lead that is not stored yet; created_at: now, unless given.",
    ("account_id", "name"), ("known_at",),
)  # fmt: skip
InlineContact = row_payload(
    "InlineContact", "contacts", "The contact of a lead that is not stored yet; account_id: the account's beside it.",
    ("contact_id",), ("known_at",),
)  # fmt: skip
_Lead = row_payload("_Lead", "leads", "", ("solution",), ("known_at", "status", "closed_at"))


def _having(**fields: dict[str, Any]) -> dict[str, Any]:
    """What JSON Schema says of an object that has these fields."""
    return {"required": list(fields), "properties": fields}


class InlineLead(_Lead):  # type: ignore[valid-type,misc]
    """A lead that is not stored yet, with what it brings: a contact or a stored contact's id, and the account's.

    lead_id is optional; created_at: now, unless given.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                _having(contact_id={"type": "string"}) | {"not": _having(contact={"type": "object"})},
                _having(contact={"type": "object"}, account={"type": "object"}),
                _having(contact={"type": "object"}, account_id={"type": "string"}),
                _having(contact={"type": "object"} | _having(account_id={"type": "string"})),
            ]
        }
    )
    contact_id: Id | None = None
    contact: InlineContact | None = None  # type: ignore[valid-type]
    account: InlineAccount | None = None  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _names_a_contact(self) -> Self:
        if self.contact is None and self.contact_id is None:
            raise ValueError("give contact_id, or the contact itself")
        return self
