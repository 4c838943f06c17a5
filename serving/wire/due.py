"""What the SLA makes due: its query parameters, and the answer."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from serving.wire.base import Answer, Id

#: Lines of an answer at most.
MOST: Final = 1_000


def _flag(value: object) -> object:
    """Query parameters are text: true or false, and nothing that looks like it."""
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


def _number(value: object) -> object:
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10 else value


class DueQuery(BaseModel):
    """Which offers to list.

    breached  true: only those that were not answered in time; false: only those that still can be
    rep_id    only this rep's
    limit     how many at most, the first that is due first
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    breached: Annotated[bool | None, BeforeValidator(_flag)] = None
    rep_id: Id | None = None
    limit: Annotated[int, Field(ge=1, le=MOST), BeforeValidator(_number)] = 100


class DueOffer(Answer):
    """An offer that waits for its answer, or that ran out in the last seven days.

    due_at          by when it must be answered; until then it holds its lead
    limit           what ends first: the time of the rep's role or of the lead's grade, or `left`: the rep is gone
    state           open, breached (overdue, and not expired yet) or expired
    lead_to_offer   seconds from the lead's creation to the offer
    offer_to_touch  seconds from the offer to the rep's first touch of the contact; null: none yet
    """

    offer_id: str
    lead_id: str
    rep_id: str
    offered_at: str
    due_at: str
    limit: str
    state: str
    lead_to_offer: float | None
    offer_to_touch: float | None


class UnplacedLead(Answer):
    """An open lead that nobody can take for now.

    because    rule, or the reason of a rejection -> how many reps it refused, or gave it; withdrawn: the offer was
               taken back; not_asked: nobody asked to place it since it became free; these come last
    attempts   offers that it had, those that came with the data among them
    until      when the first of these refusals ends by itself; null: none does
    waits_for  reps: a rep who may take it, asked each minute; data: a question, settled by a change of the CRM; person:
               somebody who offers it by hand or closes it; plan: the next plan
    """

    lead_id: str
    since: str
    attempts: int
    because: dict[str, int]
    until: str | None
    waits_for: str


class DataQuestion(Answer):
    """A rep's no that says the data is wrong; open until a change of the lead, its contact or account settles it, or a
    person does (`callsheet questions`).
    """

    question_id: str
    lead_id: str
    rep_id: str
    offer_id: str
    reason: str
    asked_at: str


class SpeedToLead(Answer):
    """Of the offers of the last 28 days: medians in seconds. untouched: those without a touch by their rep yet."""

    offers: int
    untouched: int
    lead_to_offer: float | None
    offer_to_touch: float | None
    lead_to_touch: float | None


class DueAnswer(Answer):
    """What is due and what was breached, the first that is due first.

    total, unplaced_total, questions_total   how many there are in all
    """

    as_of: str
    total: int
    items: list[DueOffer]
    unplaced: list[UnplacedLead]
    unplaced_total: int
    questions: list[DataQuestion]
    questions_total: int
    speed: SpeedToLead
