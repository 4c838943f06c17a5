"""What kept answers say of a contact's leads: its own lines to be told, and what is left once it is forgotten."""

from __future__ import annotations

import json
from typing import Any, Final

from serving.ledger.details import without
from serving.ledger.mentions import Sought

Reply = dict[str, Any]

#: Where an answer has lines on several leads: call sheets, plans, reports of events.
_LINES: Final = ("items", "assignments", "unplaced", "results")


def told(body: str, sought: Sought) -> Reply | None:
    """A kept answer, of others' lines without those about others; None: it is about somebody else."""
    answer: Reply = json.loads(body)
    if answer.get("lead_id") in sought.leads:  # its lines are on reps, for this lead
        return answer
    lines = {name: [line for line in answer[name] if sought.about(line)] for name in _LINES if name in answer}
    mine = answer | lines
    return mine if sought.about(mine) else None


def forgotten(body: str, sought: Sought) -> str | None:
    """What stays of a kept answer; None: nothing, it is about one lead of the contact's, or names it and has no lines.

    An answer with lines stays, as those of the decision do, with ids and scores: a retry must not offer anew. On one
    lead of its it would not, for that is closed.
    """
    answer: Reply = json.loads(body)
    if answer.get("lead_id") in sought.leads:
        return None
    if not any(name in answer for name in _LINES):
        return None if sought.named(answer) else body
    kept = sought.nameless(without(answer, sought.leads) if "items" in answer else answer)
    return json.dumps(kept, ensure_ascii=False) if kept != answer else body
