"""What goes over the wire: strict payloads in, an explicit list of fields out, every bound stated here."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    create_model,
    model_validator,
)

from features.schema import TABLES, Column, Kind

MAX_K: Final = 100
MAX_PAIRS: Final = 5_000
MAX_BODY: Final = 1_000_000  # bytes
EARLIEST, LATEST = datetime(1970, 1, 2, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def _in_range(instant: datetime) -> datetime:
    """The calendar of working hours, and microseconds in 64 bits, hold between these."""
    if not EARLIEST <= instant <= LATEST:
        raise ValueError(f"must lie between {EARLIEST:%Y-%m-%d} and {LATEST:%Y-%m-%d}")
    return instant


Id = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=200)]
Text = Annotated[str, StringConstraints(strict=True, max_length=1_000)]
Instant = Annotated[AwareDatetime, AfterValidator(_in_range)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Flag = Annotated[bool, Field(strict=True)]
K = Annotated[int, Field(strict=True, ge=1, le=MAX_K, description="How many items at most.")]

_KINDS: dict[Kind, Any] = {
    Kind.ID: Id, Kind.TEXT: Text, Kind.LIST: Text, Kind.TIME: Instant, Kind.MONEY: Number, Kind.NUMBER: Number,
    Kind.SHARE: Number, Kind.FLAG: Flag,
}  # fmt: skip


class Payload(BaseModel):
    """What a caller sends; a field that it does not name is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Answer(BaseModel):
    """What a caller gets; no field but these."""

    model_config = ConfigDict(extra="forbid", frozen=True)


# -- A lead that is not stored yet ----------------------------------------------------------------------------------


def _row(name: str, table: str, doc: str, required: tuple[str, ...], without: tuple[str, ...] = ()) -> type[Payload]:
    """A payload with the columns of a table: names, types and ranges are the table's contract."""
    fields: dict[str, Any] = {}
    for column in TABLES[table].columns:
        if column.name not in without:
            kind = _typed(column)
            fields[column.name] = (kind, ...) if column.name in required else (kind | None, None)
    return create_model(name, __base__=Payload, __doc__=doc, **fields)


def _typed(column: Column) -> Any:
    if column.allowed:
        return Literal[column.allowed]
    kind = _KINDS[column.kind]
    if column.low is not None or column.high is not None:
        return Annotated[kind, Field(ge=column.low, le=column.high)]
    return kind


InlineAccount = _row(
    "InlineAccount", "accounts", "The account of a lead that is not stored yet; created_at: now, unless given.",
    ("account_id", "name"), ("known_at",),
)  # fmt: skip
InlineContact = _row(
    "InlineContact", "contacts", "The contact of a lead that is not stored yet; account_id: the account's beside it.",
    ("contact_id",), ("known_at",),
)  # fmt: skip
_Lead = _row("_Lead", "leads", "", ("solution",), ("known_at", "status", "closed_at"))


class InlineLead(_Lead):  # type: ignore[valid-type,misc]
    """A lead that is not stored yet, with what it brings: a contact or a stored contact's id, and the account's.

    lead_id is optional; created_at: now, unless given.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": ["contact_id"], "properties": {"contact_id": {"type": "string"}}},
                {"required": ["contact"], "properties": {"contact": {"type": "object"}}},
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


# -- Questions ------------------------------------------------------------------------------------------------------


class RepsAsk(Payload):
    """Who should get this lead? Either lead_id of a stored lead, or the lead itself."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["lead_id"], "properties": {"lead_id": {"type": "string"}, "lead": {"type": "null"}}},
                {"required": ["lead"], "properties": {"lead": {"type": "object"}, "lead_id": {"type": "null"}}},
            ]
        }
    )
    lead_id: Id | None = None
    lead: InlineLead | None = None
    k: K = 10
    commit: Annotated[Flag, Field(description="Offer the lead to the best rep. Not on a snapshot: 409.")] = False
    reasons: Annotated[Flag, Field(description="Say why, for the items returned.")] = False

    @model_validator(mode="after")
    def _one_lead(self) -> Self:
        if (self.lead_id is None) == (self.lead is None):
            raise ValueError("give either lead_id or lead")
        return self


class LeadsAsk(Payload):
    """What should this rep do now? The call sheet."""

    rep_id: Id
    k: K = 10
    commit: Annotated[Flag, Field(description="Offer the leads to the rep. Not on a snapshot: 409.")] = False
    reasons: Annotated[Flag, Field(description="Say why, for the items returned.")] = False


class Pair(Payload):
    """One lead with one rep, at an instant; null: the lead's creation."""

    lead_id: Id
    rep_id: Id
    as_of: Instant | None = None


class ScoreAsk(Payload):
    """Scores of pairs, for batch callers."""

    pairs: Annotated[list[Pair], Field(max_length=MAX_PAIRS)]


# -- Answers --------------------------------------------------------------------------------------------------------


class ReasonOut(Answer):
    """One reason: effect > 0 speaks for the pair."""

    feature: str
    effect: float
    text: str


class Said(Answer):
    """Who answered, as of when, and how well.

    rung             champion, last_good, owner_territory, hash: the ladder from the best model down to the bare rule
    degraded_reason  why it is not the champion who answers
    """

    as_of: str
    policy: Literal["champion", "fallback"]
    rung: Literal["champion", "last_good", "challenger", "owner_territory", "hash"]
    degraded: bool
    degraded_reason: str | None
    model_version: str | None
    feature_version: str


class Ranked(Said):
    """A ranked answer. candidates: looked at; refused: how many by which rule; scored: how many were ranked."""

    decision_id: str | None
    advice_only: bool
    candidates: int
    refused: dict[str, int]
    scored: int


class Item(Answer):
    """One line of a ranked answer; probabilities are null where rules rank."""

    rank: int
    offer_id: str | None
    score: float
    p_accept: float | None
    p_convert: float | None
    expected_value: float | None
    reasons: list[ReasonOut]


class RepItem(Item):
    """A rep for the lead."""

    rep_id: str


class LeadItem(Item):
    """A lead for the rep."""

    lead_id: str


class RepsAnswer(Ranked):
    """Reps for a lead, the best first."""

    lead_id: str
    items: list[RepItem]


class LeadsAnswer(Ranked):
    """Leads for a rep, the best first."""

    rep_id: str
    items: list[LeadItem]


class ScoreItem(Answer):
    """One pair's scores; a refused pair has its rule and no scores."""

    lead_id: str
    rep_id: str
    as_of: str
    eligible: bool
    rule: str | None
    score: float | None
    p_accept: float | None
    p_convert: float | None
    expected_value: float | None


class ScoreAnswer(Said):
    """Scores in the order of the pairs; as_of of the answer is the snapshot's now."""

    items: list[ScoreItem]


class ModelAnswer(Said):
    """What serves now, and how well it did when it was judged."""

    revision: int | None
    content_hash: str | None
    market_fingerprint: str
    promoted_at: str | None
    reason: str | None
    forced: bool
    gate: dict[str, Any]
    card: dict[str, Any]
    leads: int
    reps: int
    open_leads: int


class ErrorBody(Answer):
    """code is stable: clients match on it, never on the message. field: what it is about, such as pairs[3].lead_id."""

    code: str
    message: str
    field: str | None


class ErrorAnswer(Answer):
    """Any answer that is not the one asked for."""

    error: ErrorBody
