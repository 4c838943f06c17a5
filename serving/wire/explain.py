"""Why a decision was made: everything that was written down of it, and what came of it."""

from __future__ import annotations

from typing import Any

from serving.wire.base import Answer
from serving.wire.plan import Unplaced


class OfferTold(Answer):
    """An offer that the decision made, as it stands now."""

    offer_id: str
    lead_id: str
    rep_id: str
    attempt: float | None
    policy: str | None
    propensity: float | None
    offered_at: str
    answer: str | None
    answered_at: str | None
    reject_reason: str | None
    opportunity_id: str | None
    converted_at: str | None


class EventTold(Answer):
    """What was reported of one of its offers."""

    event_id: str
    offer_id: str
    kind: str
    actor: str
    at: str
    received_at: str


class Replay(Answer):
    """The model of then, asked again. agrees: whether it says today, of the features of then, what it said then.

    model    here, and asked; gone: its files are not kept any more; held_back: workers crashed by it, so it is asked
             again later; unusable: its files are here, and damaged or not of this version
    because  why it could not be asked, and until when it is held back
    """

    model: str
    agrees: bool | None
    because: str | None


class ShadowTold(Answer):
    """Whom the challenger would have taken. agrees: the model that serves ranks the same rep first; null: it failed.

    scores   by rep, of those who were answered and of its own; empty where the contact was erased
    """

    model_version: str
    content_hash: str
    rep_id: str | None
    agrees: bool | None
    error: str | None
    scores: dict[str, dict[str, float]]


class LeadNow(Answer):
    """Where a lead is now.

    state      assigned (accepted), held (an offer waits for its answer, or no rep can take it, until a stated time),
               unplaced, closed; open: it is offered on within a minute (waits_for: reps), or its creation lies ahead of
               the clock (waits_for: plan)
    because    rule, or reason of a rejection -> how many reps it refused, or gave it; withdrawn: the offer was taken
               back; not_asked: nobody asked to place it since it became free, advice aside
    waits_for  reps, data, person or plan, as /due says it; null where it is assigned, held by an offer or closed
    """

    lead_id: str
    state: str
    rep_id: str | None
    offer_id: str | None
    until: str | None
    because: dict[str, int]
    waits_for: str | None


class ExplainAnswer(Answer):
    """A decision.

    lead         where its lead is now; null where it is about a rep or a week
    items        what was answered, each line with its reasons; scores: every candidate that was ranked, the best first
    features     by candidate that was shown, feature -> value; null: not known then
    refused      how many each rule refused; refused_ids: whom, where the candidates were reps
    unplaced     of a plan, the leads without a rep, as it said
    erased       the particulars are gone with the contact that they were about
    """

    decision_id: str
    at: str
    as_of: str
    actor: str
    route: str
    lead_id: str | None
    rep_id: str | None
    policy: str
    rung: str
    degraded: bool
    degraded_reason: str | None
    model_version: str | None
    content_hash: str | None
    feature_version: str
    config_fingerprint: str
    inputs_hash: str
    book_seq: int
    candidates: int
    refused: dict[str, int]
    refused_ids: dict[str, list[str]]
    erased: bool
    items: list[dict[str, Any]]
    unplaced: list[Unplaced]
    scores: list[dict[str, Any]]
    features: dict[str, dict[str, float | None]]
    replay: Replay | None
    shadow: ShadowTold | None
    lead: LeadNow | None
    offers: list[OfferTold]
    events: list[EventTold]
