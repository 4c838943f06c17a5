"""Offers a free lead to the next best rep, through the same ranking and the same checks as any commit."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

import numpy as np

from features.asof import NEVER
from features.eligibility import RULES, passes, refusals
from serving.actor import SLA
from serving.decide import Decider
from serving.instants import moment
from serving.ledger.idempotency import Once
from serving.onward import Placed
from serving.recommend import Recommender

ROUTE: Final = "/reoffer"
#: Pairs that are looked at at once: bounds the memory.
CHUNK: Final = 50_000


class Rerouted:
    """Routes leads again by what a decider knows, brought up to what is committed before each question."""

    def __init__(self, decider: Decider, follow: Callable[[], object]) -> None:
        self.decider, self.follow = decider, follow

    def offer(self, lead_id: str, reason: str) -> Placed:
        """As `serving.onward.Router`; where the filters leave nobody, nothing is asked of the model or written."""
        if nobody := self.look([lead_id]).get(lead_id):
            return nobody
        # Once is for callers that retry; here a lead that was offered in between is held, and that settles it.
        once = Once.of(SLA.name, ROUTE, uuid.uuid4().hex, {"lead_id": lead_id, "reason": reason})
        answer = self.decider.reps(lead_id, None, 1, actor=SLA, once=once, why=reason).answer
        made = [item["offer_id"] for item in answer["items"] if item["offer_id"]]
        return Placed(made[0] if made else None, answer["refused"])

    def look(self, lead_ids: Sequence[str]) -> Mapping[str, Placed]:
        """As `serving.onward.Router`. Cost: the filters alone, about 1 µs for a lead and a rep."""
        self.follow()  # that the last one expired was written a moment ago
        recommender = self.decider.now()
        known = [lead_id for lead_id in lead_ids if lead_id in recommender.book.lead_index]
        return {lead_id: Placed(None, why, until) for lead_id, why, until in refused_of(recommender, known)}


def refused_of(
    recommender: Recommender, lead_ids: Sequence[str]
) -> Iterator[tuple[str, Mapping[str, int], datetime | None]]:
    """Of each lead that no rep may take now: how many reps each rule refuses, and when the first of that ends."""
    book, now = recommender.book, recommender.now
    leads, reps = book.lead_index.codes(list(lead_ids)), np.arange(len(book.rep_ids), dtype=np.int64)
    step = max(1, CHUNK // max(len(reps), 1))
    for start in range(0, len(leads), step):
        part = leads[start : start + step]
        lead, rep = np.repeat(part, len(reps)), np.tile(reps, len(part))
        t = np.full(len(rep), now, np.int64)
        refused = refusals(book, recommender.config, lead, rep, t, profiling=False)
        ends = passes(book, refused, rep, t).reshape(len(part), -1)
        for code, rules, at in zip(part.tolist(), refused.reshape(len(part), -1), ends, strict=True):
            if rules.all():
                counts = np.bincount(rules, minlength=len(RULES) + 1)[1:].tolist()
                why = {rule: n for rule, n in zip(RULES, counts, strict=True) if n}
                yield str(book.lead_ids[code]), why, moment(int(at.min(initial=NEVER)))
