"""Records events on offers: each is kept once, and the rows that it bears on are written anew from the whole set."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from features.ahead import AHEAD
from features.config import Config
from serving import deadline
from serving.actor import Actor
from serving.ledger import audit
from serving.ledger.answers import ENDS, KINDS, State, Terms, Told, fold
from serving.ledger.change import Change
from serving.ledger.crm import CRM, OFFERS
from serving.ledger.deals import Deals
from serving.ledger.idempotency import canonical
from serving.ledger.offers import Desk
from serving.ledger.person import is_nameless
from serving.ledger.questions import ask
from serving.ledger.tables import AUDIT, EVENTS, HOLDS, UNPLACED
from serving.ledger.types import write_instant
from serving.ledger.unplaced import taken_back
from serving.ledger.vouched import hash_of
from serving.ledger.weeks import week_of
from serving.wire.record import OWN

log = logging.getLogger(__name__)

#: What a rep may say of an offer; the rest is done to it by others.
OF_A_REP: Final = ("accepted", "rejected", "opportunity", "stage", "won", "lost", "no_decision")
#: By kind of event, what is in a rep's own words; a rejection's reason is one of a list.
FREE_TEXT: Final = {"rejected": ("text",)} | dict.fromkeys(
    ("won", "lost", "no_decision", "withdrawn", "reassigned"), ("reason",)
)
_CORE: Final = ("event_id", "offer_id", "kind", "at")


@dataclass(frozen=True)
class Outcome:
    """What became of one event, as the wire says it: result, message, late."""

    event_id: str
    result: str
    message: str | None = None
    late: bool = False


class _Refusal(Exception):
    """Why an event cannot be: it is not kept."""


def own_id(kind: str, offer_id: str) -> str:
    """The id of an event that the service itself tells of an offer: the same each time, so that it happens once."""
    return f"{OWN}{kind}:{hashlib.sha256(offer_id.encode()).hexdigest()[:32]}"


def record(change: Change, config: Config, events: Sequence[Mapping[str, Any]], actor: Actor) -> list[Outcome]:
    """Keep events and write what they change, in the transaction of `change`.

    events   each with event_id, offer_id, kind, at (with a zone), and the fields of its kind
    actor    one with a rep_id tells of that rep's offers only
    Returns  one outcome an event, in their order; refused ones leave no trace
    """
    docket = Docket(change, config)
    order = sorted(range(len(events)), key=lambda i: _place(events[i]))
    done = {}
    for i in order:
        deadline.check()
        done[i] = docket.take(events[i], actor)
    return [done[i] for i in range(len(events))]


def join_parked(change: Change, config: Config) -> int:
    """Give parked events whose offers are known by now their effect; how many. Call it where offers were put in.

    One that cannot be, such as an acceptance of a lead that another rep has, stays parked.
    """
    docket = Docket(change, config)
    rows = change.connection.execute(_JOINABLE.order_by(EVENTS.c.at, EVENTS.c.event_id)).all()
    return sum(docket.join(_read(row)) for row in rows)


def any_joinable(connection: Connection) -> bool:
    """Whether an event is parked whose offer is known."""
    return connection.execute(_JOINABLE.limit(1)).first() is not None


def wordless(connection: Connection, events: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Events as they may be kept: those of a forgotten contact's offers without a rep's own words.

    What is emptied stays as null, so that the event as it was sent is known when it comes again.
    """
    nobodys = _of_nobody(connection, [event["offer_id"] for event in events if emptied(event)])
    return [{**event, **emptied(event)} if event["offer_id"] in nobodys else event for event in events]


def _of_nobody(connection: Connection, offer_ids: Sequence[str]) -> set[str]:
    """Those of some offers whose leads are a forgotten contact's."""
    leads = CRM["leads"]
    whose = select(OFFERS.c.offer_id, leads.c.contact_id).join(leads, leads.c.lead_id == OFFERS.c.lead_id)
    found = connection.execute(whose.where(OFFERS.c.offer_id.in_(offer_ids))) if offer_ids else ()
    return {offer.offer_id for offer in found if is_nameless(offer.contact_id)}


def emptied(event: Mapping[str, Any]) -> dict[str, None]:
    """The fields of an event in which somebody's own words stand, without them."""
    return {name: None for name in FREE_TEXT.get(event["kind"], ()) if event.get(name) is not None}


def expired(connection: Connection) -> int:
    """How many offers were ever told to have expired, by the SLA's work or by a caller."""
    told = EVENTS.c.kind == "expired", ~EVENTS.c.parked
    return int(connection.execute(select(func.count()).select_from(EVENTS).where(*told)).scalar_one())


_JOINABLE: Final = select(EVENTS).join(OFFERS, OFFERS.c.offer_id == EVENTS.c.offer_id).where(EVENTS.c.parked)


class Docket:
    """Takes events one by one in one change, which writes alone: what is checked here holds when it commits."""

    def __init__(self, change: Change, config: Config) -> None:
        self.change, self.config, self.connection = change, config, change.connection
        self.zone = config.timezone or "UTC"
        self.deals = Deals(change)

    # -- one event --------------------------------------------------------------------------------------------------

    def take(self, event: Mapping[str, Any], actor: Actor) -> Outcome:
        """Keep one event, unless it is kept already, and give it its effect."""
        told, body = self._told(event)
        kept = self.connection.execute(select(EVENTS).where(EVENTS.c.event_id == told.event_id)).one_or_none()
        if kept is not None:
            if _repeats(told, kept):
                return Outcome(told.event_id, "duplicate", None, _read(kept).late)
            return self._refused(told, "Another event has this event_id; a new event takes a new one.")
        if told.at - self.change.at > AHEAD:
            return self._refused(
                told, f"It lies more than {AHEAD.seconds // 60} minutes in the future; check the clock."
            )
        offer = self._offer(told.offer_id)
        if actor.rep_id is not None and (offer is None or offer["rep_id"] != actor.rep_id):
            return self._refused(told, "There is no such offer of this credential's rep.")
        if actor.rep_id is not None and told.kind not in OF_A_REP:
            return self._refused(told, f"A rep's credential cannot record {told.kind}.")
        if offer is None:
            self._keep(told, body, actor.name, parked=True)
            return Outcome(told.event_id, "parked", "Its offer is not known yet; it counts once it is.", told.late)
        try:
            message = self._apply(told, offer, actor.rep_id)
        except _Refusal as refusal:
            return self._refused(told, str(refusal))
        self._keep(told, body, actor.name, parked=False)
        return Outcome(told.event_id, "applied", message, told.late)

    def join(self, told: Told) -> bool:
        """Give a parked event its effect; False: it cannot be."""
        offer = self._offer(told.offer_id)
        try:
            if offer is None:
                return False
            if emptied({"kind": told.kind, **told.body}) and _of_nobody(self.connection, [told.offer_id]):
                told = self._unsaid(told)
            self._apply(told, offer, None)
        except _Refusal as refusal:
            log.warning("Event %s of offer %s stays parked: %s", told.event_id, told.offer_id, refusal)
            return False
        self.connection.execute(update(EVENTS).where(EVENTS.c.event_id == told.event_id).values(parked=False))
        return True

    def _unsaid(self, told: Told) -> Told:
        """Take a rep's own words out of what was kept before its offer was known to be a forgotten contact's."""
        body = {**told.body, **emptied({"kind": told.kind, **told.body})}
        mine = EVENTS.c.event_id == told.event_id
        self.connection.execute(update(EVENTS).where(mine).values(body=canonical(body)))
        row = self.connection.execute(select(EVENTS).where(mine)).one()
        self.change.vouch("events", told.event_id, hash_of("events", dict(row._mapping)))
        about = AUDIT.c.action == "record", AUDIT.c.subject.contains(told.offer_id, autoescape=True)
        said = self.connection.execute(select(AUDIT.c.number, AUDIT.c.subject).where(*about)).all()
        audit.forget(self.change, "data", [one.number for one in said if told.offer_id in one.subject.split(" ")])
        return replace(told, body=body)

    def _refused(self, told: Told, message: str) -> Outcome:
        return Outcome(told.event_id, "refused", message, told.late)

    def _told(self, event: Mapping[str, Any]) -> tuple[Told, str]:
        """An event as received now, and what of it is kept beside its core."""
        more = {
            name: write_instant(value) if isinstance(value, datetime) else value
            for name, value in event.items()
            if name not in _CORE
        }
        told = Told(
            event["event_id"], event["offer_id"], event["kind"], event["at"].astimezone(UTC), self.change.at, more
        )
        return told, canonical(more)

    def _keep(self, told: Told, body: str, actor: str, *, parked: bool) -> None:
        row = {
            "event_id": told.event_id, "offer_id": told.offer_id, "kind": told.kind, "at": told.at, "body": body,
            "actor": actor, "received_at": told.received_at, "seq": self.change.seq, "parked": parked,
        }  # fmt: skip
        self.connection.execute(insert(EVENTS).values(row))
        self.change.vouch("events", told.event_id, hash_of("events", row))

    def _offer(self, offer_id: str) -> dict[str, Any] | None:
        row = self.connection.execute(select(OFFERS).where(OFFERS.c.offer_id == offer_id)).one_or_none()
        return dict(row._mapping) if row is not None else None

    # -- its effect -------------------------------------------------------------------------------------------------

    def _apply(self, told: Told, offer: Mapping[str, Any], rep_id: str | None) -> str | None:
        """Write what the offer's events with this one make of it. Raises _Refusal before anything is written."""
        before = self._events(offer)
        terms = self._terms(offer)
        state = fold(terms, [*before, told])
        self._may_hold(offer, state)
        if told.kind == "reassigned":
            self._may_reassign(offer, told.body["to_rep_id"])
        refusal = self.deals.refusal(offer, state.deals, rep_id)
        if refusal:
            raise _Refusal(refusal)
        self._settle(offer, state)
        self.deals.write(offer, state.deals, [*before, told])
        if told.kind == "rejected" and not _of_nobody(self.connection, [told.offer_id]):
            ask(self.change, told.event_id, offer, told.body["reason"])
        if told.kind == "reassigned":
            made = self._desk().offer(
                offer["lead_id"], told.body["to_rep_id"], decision_id=None, policy="manual", propensity=None
            )
            return f"Offered to {told.body['to_rep_id']} as {made}."
        if told.kind in ("accepted", "rejected", "expired", "withdrawn") and state.answer != told.kind:
            return f"It is kept and changes nothing: the offer is {state.answer}."
        if told.kind in ("stage", *ENDS) and self.deals.unknown(told.body.get("opportunity_id", state.opportunity_id)):
            return "It is kept and counts once its opportunity is known."
        return None

    def _events(self, offer: Mapping[str, Any]) -> list[Told]:
        """The offer's events so far; an answer that came with its row is one of them from now on."""
        mine = select(EVENTS).where(EVENTS.c.offer_id == offer["offer_id"], ~EVENTS.c.parked)
        found = [_read(row) for row in self.connection.execute(mine)]
        if found or offer["answer"] is None:
            return found
        at = offer["answered_at"] or offer["offered_at"]
        body = {"reason": offer["reject_reason"]} if offer["reject_reason"] else {}
        brought = Told(own_id("brought", offer["offer_id"]), offer["offer_id"], offer["answer"], at, at, body)
        self._keep(brought, canonical(body), "data", parked=False)
        return [brought]

    def _terms(self, offer: Mapping[str, Any]) -> Terms:
        counts = self.config.labels.converted
        return Terms(
            offer["offered_at"], counts.forecast_weight, timedelta(microseconds=counts.within.microseconds),
            offer["opportunity_id"], offer["converted_at"],
        )  # fmt: skip

    def _may_hold(self, offer: Mapping[str, Any], state: State) -> None:
        """Whether an offer that is accepted now can have its lead, which others may have or wait for, too.

        Of several open offers of one lead, such as a load may leave, the first that is accepted has it. An offer that
        gave its lead back gets it again only while nobody has it, and while the rep has a place left.
        """
        if state.answer != "accepted" or offer["answer"] == "accepted":
            return
        held, back = self._held(offer["lead_id"]), offer["answer"] is not None
        if held is not None and held.offer_id != offer["offer_id"] and (back or held.answer == "accepted"):
            raise _Refusal(
                f"The lead has gone to another rep, by offer {held.offer_id}; that would have to be withdrawn first."
            )
        if not back:
            return
        reps = CRM["reps"]
        zone = self.connection.execute(select(reps.c.timezone).where(reps.c.rep_id == offer["rep_id"])).scalar()
        start, end = week_of(self.change.at, zone or self.zone)
        room = self._desk().room(offer["rep_id"])
        if start <= offer["offered_at"] < end and room is not None and room < 1:
            raise _Refusal("The place in the rep's week has gone to another lead since (capacity_full).")

    def _may_reassign(self, offer: Mapping[str, Any], to_rep_id: str) -> None:
        desk, lead_id = self._desk(), offer["lead_id"]
        reps = CRM["reps"]
        if self.connection.execute(select(reps.c.rep_id).where(reps.c.rep_id == to_rep_id)).first() is None:
            raise _Refusal(f"There is no rep {to_rep_id!r}.")
        held = self._held(lead_id)
        mine = held is not None and held.offer_id == offer["offer_id"]
        pair = desk.pair(lead_id, to_rep_id)
        rule = pair.rep if pair.lead == "lead_taken" and mine else pair.rule
        if rule is not None:
            raise _Refusal(f"{to_rep_id} cannot be given the lead: {rule}.")

    def _settle(self, offer: Mapping[str, Any], state: State) -> None:
        """Write the offer's row where it is another one now, and whether it holds its lead."""
        row = dict(offer) | {
            "answer": state.answer, "answered_at": state.answered_at, "reject_reason": state.reject_reason,
            "opportunity_id": state.opportunity_id, "converted_at": state.converted_at,
        }  # fmt: skip
        if offer["answered_at"] is None and offer["answer"] == state.answer:
            row["answered_at"] = None  # the data has no date of it, and events told none
        if row != offer:
            self.change.upsert("offers", [row])
        if state.answer == "accepted":
            held = self._held(offer["lead_id"])
            if held is None or (held.offer_id != offer["offer_id"] and offer["answer"] != "accepted"):
                self._hold(offer)
        elif state.answer is not None:
            self._free(offer, state.answer)
            taken_back(self.change, offer["lead_id"], state.answer, offer["answer"])

    def _hold(self, offer: Mapping[str, Any]) -> None:
        """Let an offer hold its lead, which an open one may have held until now."""
        self.connection.execute(delete(HOLDS).where(HOLDS.c.lead_id == offer["lead_id"]))
        held = {name: offer[name] for name in ("lead_id", "offer_id", "rep_id")}
        self.connection.execute(insert(HOLDS).values(held))
        self.connection.execute(delete(UNPLACED).where(UNPLACED.c.lead_id == offer["lead_id"]))

    def _free(self, offer: Mapping[str, Any], answer: str) -> None:
        """Take the lead from an offer, for the latest other one that is open; who reassigns it makes that one next."""
        mine = delete(HOLDS).where(HOLDS.c.offer_id == offer["offer_id"])
        if not self.connection.execute(mine).rowcount or answer == "reassigned":
            return
        others = select(OFFERS).where(OFFERS.c.lead_id == offer["lead_id"], OFFERS.c.answer.is_(None))
        latest = others.order_by(OFFERS.c.offered_at.desc(), OFFERS.c.offer_id.desc()).limit(1)
        other = self.connection.execute(latest).one_or_none()
        if other is not None:
            self._hold(dict(other._mapping))

    def _held(self, lead_id: str) -> Any:
        """The offer that holds a lead, and its answer."""
        wanted = select(HOLDS.c.offer_id, OFFERS.c.answer).join(OFFERS, OFFERS.c.offer_id == HOLDS.c.offer_id)
        return self.connection.execute(wanted.where(HOLDS.c.lead_id == lead_id)).one_or_none()

    def _desk(self) -> Desk:
        return Desk(self.change, self.zone, self.config.hours)


def _place(event: Mapping[str, Any]) -> tuple[datetime, int, str]:
    return event["at"], KINDS.index(event["kind"]), event["event_id"]


def _read(row: Row[Any]) -> Told:
    return Told(row.event_id, row.offer_id, row.kind, row.at, row.received_at, json.loads(row.body))


def _repeats(told: Told, kept: Row[Any]) -> bool:
    """Whether an event is the kept one once more; words of it that an erasure emptied may be any."""
    body = json.loads(kept.body)
    emptied = {name: None for name, value in body.items() if value is None}
    return (told.offer_id, told.kind, told.at, {**told.body, **emptied}) == (kept.offer_id, kept.kind, kept.at, body)
