"""What kept answers say of a contact's leads: its own lines to be told, and what is left once it is forgotten."""

from __future__ import annotations

import json
from typing import Any, Final

from serving.ledger.details import without
from serving.ledger.person import Person

Reply = dict[str, Any]

#: Where an answer has lines on several leads: call sheets, plans, reports of events.
_LINES: Final = ("items", "assignments", "unplaced", "results")


def told(body: str, person: Person) -> Reply | None:
    """A kept answer, of others' lines without those about others; None: it is about somebody else."""
    answer: Reply = json.loads(body)
    if _on(answer, person) or person.named(body):
        return answer
    lines = {name: [line for line in answer[name] if _on(line, person)] for name in _LINES if name in answer}
    return answer | lines if any(lines.values()) else None


def forgotten(body: str, person: Person) -> str | None:
    """What stays of a kept answer; None: nothing, it names the contact or is about one lead of its.

    Of a call sheet the lines stay, as those of the decision do, with ids and scores: a retry must not offer anew.
    """
    answer: Reply = json.loads(body)
    if answer.get("lead_id") in person.leads or person.named(body):
        return None
    if "items" not in answer:
        return body
    kept = without(answer, person.leads)
    return json.dumps(kept, ensure_ascii=False) if kept != answer else body


def _on(said: Reply, person: Person) -> bool:
    return said.get("lead_id") in person.leads or said.get("event_id") in person.events
