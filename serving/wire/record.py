"""What is reported of an offer: events, each with its own id and time, and what became of each report."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BeforeValidator, Discriminator, Field

from features.schema import REJECT_REASONS, TABLES
from serving.wire.base import Answer, Id, Instant, Number, Payload, Text

#: Events of one request: they are committed together, and other writers wait meanwhile.
MAX_EVENTS: Final = 500
#: Event ids that the service itself gives start so: nobody else's do.
OWN: Final = "callsheet:"


def _absent(value: object) -> object:
    if value is not None:
        raise ValueError("does not belong to this kind of event; leave it out")
    return value


def _foreign(event_id: object) -> object:
    if isinstance(event_id, str) and event_id.startswith(OWN):
        raise ValueError(f"event ids that start with {OWN} are the service's own")
    return event_id


Absent = Annotated[None, BeforeValidator(_absent)]
_DEAL = TABLES["opportunities"]
Weight = Annotated[Number, Field(ge=_DEAL["forecast_weight"].low, le=_DEAL["forecast_weight"].high)]
Amount = Annotated[Number, Field(ge=_DEAL["amount"].low, le=_DEAL["amount"].high)]


class _Event(Payload):
    """What every event carries; a field that another kind has may be sent as null."""

    event_id: Annotated[Id, BeforeValidator(_foreign)]
    offer_id: Id
    at: Annotated[Instant, Field(description="When it happened, with a time zone.")]
    reason: Absent = None
    text: Absent = None
    opportunity_id: Absent = None
    stage: Absent = None
    forecast_weight: Absent = None
    amount: Absent = None
    solution: Absent = None
    expected_close: Absent = None
    to_rep_id: Absent = None


class Accepted(_Event):
    """The rep takes the lead."""

    kind: Literal["accepted"]


class Rejected(_Event):
    """The rep declines the lead, and says why."""

    kind: Literal["rejected"]
    reason: Literal[REJECT_REASONS]  # type: ignore[valid-type]
    text: Text | None = None  # type: ignore[assignment]


class Expired(_Event):
    """Nobody answered in time."""

    kind: Literal["expired"]


class Opportunity(_Event):
    """An opportunity came of the offer. Whoever opens one on an unanswered offer has accepted it."""

    kind: Literal["opportunity"]
    opportunity_id: Id  # type: ignore[assignment]
    stage: Text | None = None  # type: ignore[assignment]
    forecast_weight: Weight | None = None  # type: ignore[assignment]
    amount: Amount | None = None  # type: ignore[assignment]
    solution: Id | None = None  # type: ignore[assignment]
    expected_close: Instant | None = None  # type: ignore[assignment]


class Stage(_Event):
    """The opportunity moved; without opportunity_id, the one that the offer has."""

    kind: Literal["stage"]
    stage: Text  # type: ignore[assignment]
    opportunity_id: Id | None = None  # type: ignore[assignment]
    forecast_weight: Weight | None = None  # type: ignore[assignment]
    amount: Amount | None = None  # type: ignore[assignment]
    expected_close: Instant | None = None  # type: ignore[assignment]


class _End(_Event):
    reason: Text | None = None  # type: ignore[assignment]
    opportunity_id: Id | None = None  # type: ignore[assignment]
    amount: Amount | None = None  # type: ignore[assignment]


class Won(_End):
    """The deal is won."""

    kind: Literal["won"]


class Lost(_End):
    """The deal is lost."""

    kind: Literal["lost"]


class NoDecision(_End):
    """The deal ended without a decision."""

    kind: Literal["no_decision"]


class Withdrawn(_Event):
    """The offer is taken back."""

    kind: Literal["withdrawn"]
    reason: Text | None = None  # type: ignore[assignment]


class Reassigned(_Event):
    """A person gives the lead to another rep."""

    kind: Literal["reassigned"]
    to_rep_id: Id  # type: ignore[assignment]
    reason: Text | None = None  # type: ignore[assignment]


Event = Accepted | Rejected | Expired | Opportunity | Stage | Won | Lost | NoDecision | Withdrawn | Reassigned
KINDS: Final[tuple[str, ...]] = tuple(get_args(kind.model_fields["kind"].annotation)[0] for kind in get_args(Event))


def without_tag(place: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """("events", 0, "accepted", "at") as ("events", 0, "at"): a caller sent no field that is named like a kind."""
    tag = [isinstance(before, int) and part in KINDS for before, part in zip(("", *place), place, strict=False)]
    return tuple(part for part, is_tag in zip(place, tag, strict=True) if not is_tag)


class RecordAsk(Payload):
    """Events on offers, in any order and any number of times: each has its effect once."""

    events: Annotated[list[Annotated[Event, Discriminator("kind")]], Field(min_length=1, max_length=MAX_EVENTS)]


class Result(Answer):
    """What became of one event.

    result   applied; duplicate: known already; parked: kept until its offer is known; refused: not kept
    message  why it was refused or parked, or what it left unchanged
    late     it came long after it happened: the past stays as it was known then
    """

    event_id: str
    result: Literal["applied", "duplicate", "parked", "refused"]
    message: str | None
    late: bool


class RecordAnswer(Answer):
    """One result for each event, in the order of the request."""

    results: list[Result]


def told(event: Event) -> dict[str, Any]:
    """What an event says, without what it leaves out; instants as they are."""
    body: dict[str, Any] = event.model_dump(exclude_none=True)
    return body
