"""The plan of a week: which rep gets which open lead, within everybody's room, and why a lead has no rep."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from serving.wire.ask import Said
from serving.wire.base import Answer, Flag, Payload

#: A week of the years that an instant may lie in; whether its year has a 53rd is the calendar's to say.
WEEK: Final = r"^(19[7-9]|20[0-9])[0-9]-W(0[1-9]|[1-4][0-9]|5[0-3])$"


class PlanAsk(Payload):
    """Plan a week: of the open leads, the pairs worth most first, each rep up to the room that is left.

    dry_run false commits it: every assignment becomes an offer, in one transaction, for the current week alone.
    """

    week: Annotated[str, Field(strict=True, pattern=WEEK, description="ISO week, as 2026-W10.")]
    dry_run: Flag = True


class Assignment(Answer):
    """One lead for one rep."""

    lead_id: str
    rep_id: str
    offer_id: str | None
    score: float
    p_accept: float | None
    p_convert: float | None
    expected_value: float | None


class Unplaced(Answer):
    """A lead that nobody gets.

    because    how many reps each rule refused, capacity_full among them; or the reason why it was set aside
    until      when the first of these refusals ends by itself; null: none does
    waits_for  plan: the next one; data: an open question about it; person: it was offered as often as may be, its
               offer was taken back, or a rep knows that it is dead
    """

    lead_id: str
    because: dict[str, int]
    until: str | None
    waits_for: str


class PlanAnswer(Said):
    """The plan. candidates: pairs that were looked at; room: places that are left after it, by rep with a limit."""

    decision_id: str | None
    advice_only: bool
    week: str
    dry_run: bool
    candidates: int
    assignments: list[Assignment]
    unplaced: list[Unplaced]
    room: dict[str, int]
