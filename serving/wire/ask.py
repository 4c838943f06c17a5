"""What is asked: reps for a lead, leads for a rep, scores of pairs, the model that serves; and what is answered."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from serving.wire.base import MAX_PAIRS, Answer, Flag, Id, Instant, K, Payload
from serving.wire.inline import InlineLead

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
    policy: Literal["champion", "holdout", "explore", "pilot", "fallback"]
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


class ChallengerOut(Answer):
    """The model that is tried beside what serves. usable: false where this worker has refused it, and why."""

    model_version: str
    content_hash: str
    revision: int
    since: str
    reason: str
    usable: bool
    refused_because: str | None


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
    challenger: ChallengerOut | None
