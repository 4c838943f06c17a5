"""Offers a free lead to the next best rep, through the same ranking and the same checks as any commit."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Final

from serving.decide import Decider
from serving.ledger.idempotency import Once
from serving.sla import SLA, Placed, Reoffer

ROUTE: Final = "/reoffer"


def reoffer_with(decider: Decider, follow: Callable[[], object]) -> Reoffer:
    """A Reoffer that ranks the lead anew and commits the best who may have it: never one who had it.

    follow  brings what the decider knows up to what is committed
    """

    def reoffer(lead_id: str, reason: str) -> Placed:
        follow()  # that the last one expired was written a moment ago
        # Once is for callers that retry; here a lead that was offered in between is held, and that settles it.
        once = Once.of(SLA.name, ROUTE, uuid.uuid4().hex, {"lead_id": lead_id, "reason": reason})
        answer = decider.reps(lead_id, None, 1, actor=SLA, once=once).answer
        made = [item["offer_id"] for item in answer["items"] if item["offer_id"]]
        return Placed(made[0] if made else None, answer["refused"])

    return reoffer
