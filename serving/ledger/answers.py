"""An offer's state as a pure function of the set of its events: whatever their order and number, the same state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

#: An event that is learned so long after it happened is late.
LATE: Final = timedelta(hours=1)
#: Of events at one instant, the later in here counts as the later; then the greater event_id.
KINDS: Final = (
    "expired", "rejected", "accepted", "withdrawn", "reassigned", "opportunity", "stage", "no_decision", "lost", "won",
)  # fmt: skip
ENDS: Final = ("won", "lost", "no_decision")
#: Columns of an opportunity whose history is kept.
HISTORY: Final = ("stage", "forecast_weight", "amount")
_TELLS: Final = (*HISTORY, "solution", "expected_close")


@dataclass(frozen=True)
class Told:
    """One event as it is kept. body: its fields beside these, without those that it leaves out."""

    event_id: str
    offer_id: str
    kind: str
    at: datetime
    received_at: datetime
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def late(self) -> bool:
        """Whether it became known long after it happened."""
        return self.received_at - self.at > LATE

    @property
    def learned(self) -> datetime:
        """When what it tells happened, for whoever asks what was known when: a late one, when it was received."""
        return self.received_at if self.late else self.at

    @property
    def known_at(self) -> datetime | None:
        """When it became known, if that was long after it happened."""
        return self.received_at if self.late else None


@dataclass(frozen=True)
class Terms:
    """What stands of an offer before any event.

    opportunity_id, converted_at   what its row says without events
    least, within                  the forecast weight and the time after the offer of a conversion
    """

    offered_at: datetime
    least: float
    within: timedelta
    opportunity_id: str | None = None
    converted_at: datetime | None = None


@dataclass(frozen=True)
class Moved:
    """A row of the history of an opportunity."""

    column: str
    value: str
    valid_from: datetime
    known_at: datetime | None


@dataclass(frozen=True)
class Deal:
    """What the events tell of one opportunity; a column that none tells is not in `told`.

    opened       the event that opened it; None: it was there before the offer's events
    converted    by which event it reached the weight of a conversion
    ended        the last of won, lost and no_decision
    """

    opportunity_id: str
    opened: Told | None
    told: Mapping[str, Any]
    converted: Told | None
    ended: Told | None
    moves: tuple[Moved, ...]


@dataclass(frozen=True)
class State:
    """What became of an offer.

    answer        None: open
    answered_at   when it was answered, never before it was made; of a late event, when that became known
    converted_at  when a new opportunity first had the weight of a conversion; None where that became known late: the
                  opportunity's own row says when it opened and since when that is known
    """

    answer: str | None
    answered_at: datetime | None
    reject_reason: str | None
    opportunity_id: str | None
    converted_at: datetime | None
    deals: tuple[Deal, ...]


def in_order(events: Iterable[Told]) -> list[Told]:
    """Each event once, as they happened."""
    once = {event.event_id: event for event in events}
    return sorted(once.values(), key=lambda event: (event.at, KINDS.index(event.kind), event.event_id))


def fold(terms: Terms, events: Iterable[Told]) -> State:
    """The state that a set of events of one offer makes."""
    ordered = in_order(events)
    answer, learned = _answer(ordered)
    deals = _deals(terms, ordered)
    own = _own(terms, deals)
    converted_at = terms.converted_at
    if own is not None and own.opened is not None:
        by = own.converted
        converted_at = None if by is None or by.late or own.opened.late else by.at
    return State(
        answer=_means(answer), answered_at=None if learned is None else max(learned, terms.offered_at),
        reject_reason=answer.body.get("reason") if answer is not None and answer.kind == "rejected" else None,
        opportunity_id=terms.opportunity_id if own is None else own.opportunity_id, converted_at=converted_at,
        deals=deals,
    )  # fmt: skip


def _means(answer: Told | None) -> str | None:
    if answer is None:
        return None
    return "accepted" if answer.kind == "opportunity" else answer.kind


def _answer(ordered: Sequence[Told]) -> tuple[Told | None, datetime | None]:
    """The event that is the offer's answer, and when it was known to be.

    The last of accepted and rejected counts, from its first time on; an opportunity on an open offer accepts it. An
    expiry holds while nobody answered; what was taken back stays so, and of a no there is nothing to take back.
    """
    answer: Told | None = None
    learned: datetime | None = None
    for event in ordered:
        stands, says = _means(answer), _means(event)
        if learned is not None and says == stands:
            learned = min(learned, event.learned)  # told late, but another event had told it by then
            continue
        if event.kind in ("expired", "opportunity"):
            takes = stands is None
        elif event.kind in ("accepted", "rejected"):
            takes = stands not in ("withdrawn", "reassigned")
        else:
            takes = event.kind in ("withdrawn", "reassigned") and stands in (None, "accepted")
        if takes:
            answer, learned = event, event.learned
    return answer, learned


def _own(terms: Terms, deals: Sequence[Deal]) -> Deal | None:
    """The opportunity that the offer names: the first that converts, else the first that was opened."""
    opened = [deal for deal in deals if deal.opened is not None]
    converted = [deal for deal in opened if deal.converted is not None]
    if converted:
        return min(converted, key=lambda deal: (deal.converted.at, deal.opportunity_id))  # type: ignore[union-attr]
    return opened[0] if opened else None


def _deals(terms: Terms, ordered: Sequence[Told]) -> tuple[Deal, ...]:
    """The opportunities that the events tell of, in the order of their first event."""
    first = next((e.body["opportunity_id"] for e in ordered if e.kind == "opportunity"), terms.opportunity_id)
    by_id: dict[str, list[Told]] = {}
    for event in ordered:
        if event.kind in ("opportunity", "stage", *ENDS):
            of = event.body.get("opportunity_id", first)
            if of is not None:  # until the offer has an opportunity, what happens to it waits in the set
                by_id.setdefault(of, []).append(event)
    return tuple(_deal(terms, of, events) for of, events in by_id.items())


def _deal(terms: Terms, opportunity_id: str, events: Sequence[Told]) -> Deal:
    opened = next((event for event in events if event.kind == "opportunity"), None)
    ended = next((event for event in reversed(events) if event.kind in ENDS), None)
    told = {name: event.body[name] for event in events for name in _TELLS if name in event.body}
    return Deal(opportunity_id, opened, told, _converted(terms, opened, events), ended, tuple(_moves(events)))


def _converted(terms: Terms, opened: Told | None, events: Sequence[Told]) -> Told | None:
    """The event by which a new opportunity had the weight of a conversion in time; one of no weight passes."""
    if opened is None or opened.at <= terms.offered_at:
        return None
    weighed = [event for event in events if "forecast_weight" in event.body]
    heavy = next((event for event in weighed if event.body["forecast_weight"] >= terms.least), None)
    by = heavy if weighed else opened
    if by is None:
        return None
    by = max(by, opened, key=lambda event: event.at)
    return by if by.at <= terms.offered_at + terms.within else None


def _moves(events: Sequence[Told]) -> Iterable[Moved]:
    """The history of each column: where its value becomes another one; of several at one instant, the last."""
    for column in HISTORY:
        last: dict[datetime, Told] = {event.at: event for event in events if column in event.body}
        before = None
        for at, event in last.items():
            value = event.body[column]
            if value != before:
                yield Moved(column, value if isinstance(value, str) else repr(float(value)), at, event.known_at)
            before = value
