"""A stand-in for the service's own ranking: the first rep in order of id who may have a lead gets it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from features.clock import Hours
from serving.actor import LOCAL
from serving.ledger import Ledger
from serving.ledger.change import Change, changing
from serving.ledger.events import record
from serving.ledger.offers import Desk
from serving.onward import Placed
from serving.sla import Applied, apply
from tests.serving.ledger.small import CONFIG, DECIDED, table

REPS = ("R1", "R2", "R3")


class Ranking:
    """Offers a lead to the first rep in order of id who may have it, as the service's own ranking would."""

    def __init__(self, ledger: Ledger, at: datetime) -> None:
        self.ledger, self.at = ledger, at
        self.asked: list[tuple[str, str]] = []

    def offer(self, lead_id: str, reason: str) -> Placed:
        self.asked.append((lead_id, reason))
        with changing(self.ledger, self.at) as change:
            rules = self._rules(change, lead_id)
            for rep, refused in rules.items():
                if refused is None:
                    desk = Desk(change, "UTC", Hours())
                    return Placed(desk.offer(lead_id, rep, decision_id=DECIDED, policy="fallback", propensity=None))
        return Placed(None, dict(Counter(rule for rule in rules.values() if rule)))

    def look(self, lead_ids: Sequence[str]) -> dict[str, Placed]:
        with changing(self.ledger, self.at) as change:
            seen = {lead_id: self._rules(change, lead_id) for lead_id in lead_ids}
        return {
            lead_id: Placed(None, dict(Counter(rule for rule in rules.values() if rule)))
            for lead_id, rules in seen.items()
            if all(rules.values())
        }

    def _rules(self, change: Change, lead_id: str) -> dict[str, str | None]:
        desk = Desk(change, "UTC", Hours())
        return {rep: desk.pair(lead_id, rep).rule for rep in REPS}


def run(ledger: Ledger, at: datetime, config: Any = CONFIG) -> Applied:
    return apply(ledger, config, Ranking(ledger, at), at)


def reject(ledger: Ledger, offer_id: str, at: datetime, reason: str = "bad_fit") -> None:
    told = {"event_id": f"no-{offer_id}", "offer_id": offer_id, "kind": "rejected", "at": at, "reason": reason}
    with changing(ledger, at) as change:
        (outcome,) = record(change, CONFIG, [told], LOCAL)
    assert outcome.result == "applied"


def reps_of(ledger: Ledger, lead_id: str) -> list[str]:
    offers = sorted(table(ledger, "offers"), key=lambda row: row["offered_at"])
    return [row["rep_id"] for row in offers if row["lead_id"] == lead_id]
