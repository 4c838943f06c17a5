"""What the rep is doing with the account these weeks: meetings ahead and behind, and the rep's own touches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from features.asked import Asked
from features.asof import DAY, NAT, expand
from features.declare import Family, Feature

#: Beyond these, a meeting or touch is too far away to tell anything: the value is missing, as if there were none.
AHEAD, BEHIND = 120.0, 730.0

TIMING = Family(
    "timing",
    Feature(
        "meeting_14d",
        "This rep has a meeting with the account within 14 days.",
        "flag",
        "flag",
        tables=("meetings",),
        monotone=1,
        helps="You meet {account} within two weeks.",
    ),
    Feature(
        "meeting_28d",
        "This rep has a meeting with the account within 28 days.",
        "flag",
        "flag",
        tables=("meetings",),
        monotone=1,
        helps="You meet {account} within four weeks.",
    ),
    Feature(
        "days_to_meeting",
        "Days until this rep's next booked meeting with the account.",
        "days",
        tables=("meetings",),
        monotone=-1,
        helps="You meet {account} {when}.",
    ),
    Feature(
        "days_since_meeting",
        "Days since this rep last met the account.",
        "days",
        tables=("meetings",),
        helps="You met {account} {when}.",
        hurts="You met {account} {when}, and not since.",
    ),
    Feature(
        "touches_30d",
        "The rep's own touches of the account's contacts in the last 30 days, at most 10.",
        tables=("touches",),
        helps="You contacted {account} {value} times in the last 30 days.",
        hurts="You have had little contact with {account} lately.",
    ),
    Feature(
        "days_since_touch",
        "Days since the rep last touched a contact of the account.",
        "days",
        tables=("touches",),
        helps="You last contacted {account} {when}.",
        hurts="You last contacted {account} {when}.",
    ),
)


@TIMING.computes("pair")
def pair_timing(asked: Asked) -> Sequence[np.ndarray]:
    """Measure each pair's nearest meetings, as booked by its instant, and the rep's touches of the account."""
    log = asked.book.rep_account_logs
    pair = log.pairs.codes(asked.rep, asked.account)
    ahead, behind = _meetings(asked, pair)
    last = log.last_touch.at(pair, asked.t)
    since = np.where(last == NAT, np.nan, (asked.t - last) / DAY)
    count = log.touches.count(pair, asked.t) - log.stale_touches.count(pair, asked.t)
    return (
        (ahead <= 14).astype(np.float64),
        (ahead <= 28).astype(np.float64),
        np.where(ahead <= AHEAD, ahead, np.nan),
        np.where(behind <= BEHIND, behind, np.nan),
        np.minimum(count, 10).astype(np.float64),
        np.where(since <= BEHIND, since, np.nan),
    )


def _meetings(asked: Asked, pair: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(ahead, behind) days to the nearest meeting on each side; inf where there is none.

    A meeting has two instants: its start and its booking. One booked after the instant is the future, however soon
    it starts; one cancelled by then does not count.
    """
    book = asked.book.rep_account_logs
    owner, place = expand(*book.meetings.span(pair, asked.t))
    row = book.meetings.order[place]
    t = asked.t[owner]
    held = (book.cancelled[row] == NAT) | (book.cancelled[row] > t)
    gap = (book.starts[row] - t) / DAY
    ahead, behind = np.full(len(asked), np.inf), np.full(len(asked), np.inf)
    np.minimum.at(ahead, owner[held & (gap >= 0)], gap[held & (gap >= 0)])
    np.minimum.at(behind, owner[held & (gap < 0)], -gap[held & (gap < 0)])
    return ahead, behind
