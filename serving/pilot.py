"""For whom the challenger decides: pilot reps' call sheets, and leads of accounts that a pilot rep owns."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np

from serving import metrics
from serving.ranking import OBJECTS, Ranking
from serving.recommend import Recommender

log = logging.getLogger(__name__)


def rank_reps(recommender: Recommender, lead_id: str) -> tuple[Recommender, Ranking]:
    """Every rep who may take a lead, ranked by whom it concerns: the challenger where a pilot rep owns the account.

    Whom it concerns is told by the lead, the data and the configuration alone, never by a draw or a score.
    Raises UnknownId
    """

    def concerned() -> bool:
        book, now = recommender.book, np.array([recommender.now])
        account = book.account_of(np.array([book.lead_index.code(lead_id, "lead_id")]), now)
        owner = int(book.accounts.owner.read(account, now, latest=True)[0]) if account[0] >= 0 else -1
        return owner >= 0 and bool(book.reps.pilot[owner] == 1)

    return _ranked(recommender, lambda who: who.rank_reps(lead_id), concerned)


def rank_leads(recommender: Recommender, rep_id: str) -> tuple[Recommender, Ranking]:
    """Every open lead that a rep may take, ranked: by the challenger for a pilot rep. Raises UnknownId."""

    def concerned() -> bool:
        return bool(recommender.book.reps.pilot[recommender.book.rep_index.code(rep_id, "rep_id")] == 1)

    return _ranked(recommender, lambda who: who.rank_leads(rep_id), concerned)


def _ranked(
    recommender: Recommender, rank: Callable[[Recommender], Ranking], concerned: Callable[[], bool]
) -> tuple[Recommender, Ranking]:  # fmt: skip
    """Who ranks, and the ranking; the model that serves does it wherever the challenger cannot."""
    challenger = recommender.beside
    if recommender.config.policy.pilot and challenger is not None and concerned():
        ranking = rank(challenger)
        if ranking.order.product is not None:
            return challenger, ranking
        if len(ranking.rows) and ranking.order.reason not in (None, OBJECTS):
            metrics.CHALLENGED.labels("pilot", "error").inc()
            log.error("A pilot's answer comes from what serves: %s", ranking.order.reason)
    return recommender, rank(recommender)
