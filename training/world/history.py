"""The sixty weeks, day by day: leads are offered, reps answer, ties grow, deals close, owners change."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import fields
from functools import reduce

import numpy as np
from scipy import sparse

from training.world.accounts import CUSTOMER, FORMER, PARTNER
from training.world.answers import ACCEPTED, WITHDRAWN, answered, conversion_instant
from training.world.deals import WON, Deals, make_deals
from training.world.demand import Leads
from training.world.encounters import Meetings, Touches, follow_up
from training.world.policy import EXPLORE, Filters, drawn, probabilities
from training.world.record import EXPLORED, MANUAL, OWNER_FIRST, SOFTMAX, Moved, Offers, Pairs
from training.world.setting import DAY, HORIZON_DAYS, HOUR, NEVER, NONE, Flags, Floats, Ints, Setting
from training.world.ties import Ties, through_colleagues
from training.world.truth import Moment, Truth

ATTEMPTS = 3
#: Share of offers that somebody made by hand, past the filters.
BY_HAND = 0.015
#: The first part of the log has no propensities; the policy was as random, but did not write them down.
UNLOGGED = 0.4


class History:
    """The state of the world on a day; `run` takes it from the first day to the last."""

    def __init__(
        self, setting: Setting, truth: Truth, filters: Filters, leads: Leads, network: sparse.csr_array, ties: Ties,
        meetings: Meetings, owner: Ints, candidates: Deals,
    ) -> None:  # fmt: skip
        self.setting, self.truth, self.filters, self.leads = setting, truth, filters, leads
        self.accounts, self.people, self.reps = truth.accounts, truth.people, truth.reps
        self.network, self.ties, self.meetings = network, ties, meetings
        self.touches = Touches(*(np.zeros(0, dtype=np.int64) for _ in range(3)))
        self.owner, self.status = owner.copy(), self.accounts.status.copy()
        self.rng = setting.rng("history")
        n, r = len(self.accounts), len(self.reps)
        self.open_deals = np.zeros((n, r), dtype=np.int16)
        self.last_offer = np.full((n, r), -10_000, dtype=np.int32)  # day of the last offer of account and rep
        self.tried = np.full((len(leads), ATTEMPTS), -1, dtype=np.int64)
        self.offers: list[Offers] = []
        self.offered = 0
        self.retries: dict[int, list[tuple[Ints, Ints]]] = defaultdict(list)
        self.waiting = np.zeros(0, dtype=np.int64)
        self.arrived = 0
        self.deals: list[Deals] = []
        self.opening: dict[int, list[Deals]] = defaultdict(list)
        self.closing: dict[int, list[Deals]] = defaultdict(list)
        self.status_moves: list[Moved] = []
        self.owner_moves: list[Moved] = []
        self.pairs: list[Pairs] = []
        self.rate = np.full(r, 0.3)
        self._plan_openings(candidates)
        self.look_around(0)

    # -- The calendar -----------------------------------------------------------------------------------------------

    def run(self, tick: Callable[[int], None]) -> None:
        """Live through all days; `tick` is told each one."""
        quota = self._quotas()
        log_day = (self.setting.log_end - self.setting.start) // DAY
        for day in range(self.setting.days):
            if day % 7 == 0:
                self.look_around(day)
            self._departures(day)
            self._close(day)
            self._open(day)
            self._arrive(day)
            if day < log_day:
                self._offer(day, int(quota[day]) - self.offered)
            else:
                self._tell_truth(day)
            tick(day)
        self._close_leads()

    def midnight(self, day: int) -> int:
        return self.setting.start + day * DAY

    def _quotas(self) -> Ints:
        """How many offers there should be by the end of each day: even over working days; 0: nobody works."""
        days = np.arange(self.setting.days)
        works = ((self.setting.start // DAY + days + 3) % 7 < 5) & (days > 0)
        works &= days < (self.setting.log_end - self.setting.start) // DAY
        share = np.cumsum(works) / max(1, works.sum())
        return np.where(works, np.round(share * self.setting.offers), 0).astype(np.int64)

    def look_around(self, day: int) -> None:
        """What moves slowly is read once a week: ties, their reach, past accept rates."""
        n, r = len(self.people), len(self.reps)
        self.warmth = self.ties.warmth(self.midnight(day), n, r)
        self.reach = through_colleagues(self.network, self.warmth)
        if self.offers:
            log = self.offers = [Offers.joined(self.offers)]
            known = (log[0].answered < self.midnight(day)) & (log[0].answer != WITHDRAWN)
            taken = np.bincount(log[0].rep[known & (log[0].answer == ACCEPTED)], minlength=r)
            self.rate = (taken + 6.0) / (np.bincount(log[0].rep[known], minlength=r) + 20.0)

    # -- Deals, status, owners --------------------------------------------------------------------------------------

    def _plan_openings(self, candidates: Deals) -> None:
        day = (candidates.opened - self.setting.start) // DAY
        for d in np.unique(np.maximum(day, 0)):
            self.opening[int(d)].append(candidates.take(np.maximum(day, 0) == d))

    def _open(self, day: int) -> None:
        for deals in self.opening.pop(day, []):
            since = day - self.last_offer[deals.account, deals.rep]
            own = (deals.offer >= 0) | (deals.opened < self.setting.start)
            # A deal that nobody's offer led to must not look like the conversion of one.
            kept = deals.take((own | (since > HORIZON_DAYS + 3)) & (deals.opened < self.setting.end))
            self.deals.append(kept)
            ends = (kept.closed - self.setting.start) // DAY
            still = ends >= day
            np.add.at(self.open_deals, (kept.account[still], kept.rep[still]), 1)
            for d in np.unique(ends[still]):
                self.closing[int(d)].append(kept.take(still & (ends == d)))

    def _close(self, day: int) -> None:
        parts = self.closing.pop(day, [])
        if not parts:
            return
        deals = reduce(Deals.plus, parts)
        np.subtract.at(self.open_deals, (deals.account, deals.rep), 1)
        won = deals.take(deals.outcome == WON)
        won = won.take(np.unique(won.account, return_index=True)[1])  # one change of an account a day
        new = won.take(~np.isin(self.status[won.account], (CUSTOMER, PARTNER)))
        self._set_status(new.account, CUSTOMER, new.closed)
        takes = (self.rng.random(len(won)) < 0.5) & (won.closed < self.reps.until[won.rep])
        taken = won.take(takes & (self.owner[won.account] != won.rep))
        self._set_owner(taken.account, taken.rep, taken.closed)

    def _departures(self, day: int) -> None:
        midnight = self.midnight(day)
        for rep in np.flatnonzero(self.reps.until == midnight):
            left = np.flatnonzero(self.owner == rep)
            able = self.reps.covers.T[self.accounts.region[left]] & self.filters.present(midnight)
            able &= ~self.reps.anywhere
            heir = np.where(able, self.rng.random(able.shape), -1.0).argmax(1) if left.size else left
            heir = np.where(able.any(1), heir, -1)
            self._set_owner(left, heir, np.full(left.size, midnight))

    def _set_status(self, account: Ints, status: int, at: Ints) -> None:
        self.status[account] = status
        self.status_moves.append(Moved(account, np.full(account.size, status), at))

    def _set_owner(self, account: Ints, rep: Ints, at: Ints) -> None:
        self.owner[account] = rep
        self.owner_moves.append(Moved(account, rep, at))

    # -- Offers -----------------------------------------------------------------------------------------------------

    def _arrive(self, day: int) -> None:
        """Leads of earlier days wait for an offer; after ten days nobody looks at them any more."""
        known = int(np.searchsorted(self.leads.created, self.midnight(day), side="left"))
        new = np.arange(self.arrived, known)
        self.arrived = known
        waiting = np.concatenate([self.waiting, new])
        self.waiting = waiting[self.leads.created[waiting] > self.midnight(day - 10)]

    def _offer(self, day: int, due: int) -> None:
        lead, attempt = self._picked(day, max(0, due))
        if not lead.size:
            return
        by_hand = self.rng.random(lead.size) < BY_HAND
        by_hand |= ~self.leads.fits[lead]
        moment = self.moment(self.midnight(day) + 9 * HOUR, lead, self._load(day))
        able = self.able(moment, lead)
        room = able & ((moment.load < 1.0) | np.isnan(self.reps.capacity))
        chance = self.chances_of_policy(day, moment, room)
        manual = self.filters.present(moment.instant) & ~able & ~self._tried(lead)
        chance[by_hand] = manual[by_hand] / np.maximum(manual[by_hand].sum(1, keepdims=True), 1)
        some = chance.sum(1) > 0
        if not some.any():
            return
        p_accept, p_close = self.truth.chances(moment)
        rep = drawn(self.rng, chance)
        rows = np.flatnonzero(some)
        rep = rep[rows]
        outside = by_hand[rows]
        p_accept = p_accept[rows, rep] * np.where(outside, 0.4, 1.0)
        uniform = 1.0 / np.maximum(room[rows].sum(1), 1)
        prop = chance[rows, rep]
        explored = self.rng.random(rows.size) * prop < EXPLORE * uniform
        policy = np.where(explored, EXPLORED, SOFTMAX)
        logged = day >= UNLOGGED * self.setting.days
        policy = np.where(outside, MANUAL, policy if logged else OWNER_FIRST)
        prop = np.where(outside | (not logged), np.nan, np.maximum(np.round(prop, 8), 1e-8))
        self._answer(
            day, moment, rows, lead[rows], attempt[rows], rep, policy, prop, p_accept, p_close[rows, rep], outside
        )

    def _picked(self, day: int, due: int) -> tuple[Ints, Ints]:
        """Re-offers that are due, then the newest leads; a few of the leads outside the market slip through."""
        again = self.retries.pop(day, [])
        lead = np.concatenate([a[0] for a in again] or [np.zeros(0, dtype=np.int64)])
        attempt = np.concatenate([a[1] for a in again] or [np.zeros(0, dtype=np.int64)])
        if lead.size > due:
            self.retries[day + 1].append((lead[due:], attempt[due:]))
            lead, attempt = lead[:due], attempt[:due]
        slipped = self.rng.random(self.waiting.size) < 0.004
        live = self.leads.fits[self.waiting] & (self.status[self.people.account[self._contact(self.waiting)]] != FORMER)
        fresh = self.waiting[live | slipped][::-1][: due - lead.size]
        self.waiting = self.waiting[~np.isin(self.waiting, fresh)]
        return np.concatenate([lead, fresh]), np.concatenate([attempt, np.ones(fresh.size, dtype=np.int64)])

    def _contact(self, lead: Ints) -> Ints:
        return self.leads.contact[lead]

    def _tried(self, lead: Ints) -> Flags:
        tried = np.zeros((lead.size, len(self.reps)), dtype=bool)
        for past in self.tried[lead].T:
            tried[np.flatnonzero(past >= 0), past[past >= 0]] = True
        return tried

    def able(self, moment: Moment, lead: Ints) -> Flags:
        able = self.filters.eligible(moment.instant, moment.contact, moment.solution, moment.status)
        return able & self.leads.fits[lead][:, None] & ~self._tried(lead)

    def chances_of_policy(self, day: int, moment: Moment, room: Flags) -> Floats:
        sharpness = 1.0 if day >= UNLOGGED * self.setting.days else 1.25
        return probabilities(self.accounts, self.reps, moment, room, self.rate, sharpness, EXPLORE)

    def _load(self, day: int) -> Floats:
        """(reps,) offers of this ISO week that are open or accepted, as a share of the capacity."""
        midnight = self.midnight(day)
        monday = midnight - (midnight // DAY + 3) % 7 * DAY
        used = np.zeros(len(self.reps))
        for part in self.offers[-8:]:
            held = (part.at >= monday) & ((part.answer == ACCEPTED) | (part.answered > midnight))
            used += np.bincount(part.rep[held], minlength=len(self.reps))
        return np.nan_to_num(used / self.reps.capacity, nan=0.0)

    def moment(self, instant: int, lead: Ints, load: Floats) -> Moment:
        """The pairs of these leads with all reps at an instant of the current day."""
        contact = self.leads.contact[lead]
        account = self.people.account[contact]
        near = self.meetings.nearness(instant, len(self.accounts), len(self.reps))
        deals = self.open_deals[account].astype(np.float64)
        return Moment(
            instant=instant,
            account=account,
            contact=contact,
            solution=self.leads.solution[lead],
            intent=self.leads.intent[lead],
            status=self.status[account],
            owned=self.owner[account][:, None] == np.arange(len(self.reps)),
            warmth=self.warmth[contact].toarray(),
            reach=self.reach[contact].toarray(),
            meeting=near[account],
            deals=np.minimum(deals, 1.0),
            others=np.minimum(deals.sum(1, keepdims=True) - deals, 1.0),
            load=load,
        )

    def _answer(
        self, day: int, moment: Moment, rows: Ints, lead: Ints, attempt: Ints, rep: Ints, policy: Ints, prop: Floats,
        p_accept: Floats, p_close: Floats, outside: Flags,
    ) -> None:  # fmt: skip
        rng = self.rng
        at = self.midnight(day) + 9 * HOUR + np.sort(rng.integers(0, 8 * HOUR, rows.size))
        dislike = -self.truth.taste_solution[rep, moment.solution[rows]]
        reply = answered(rng, at, p_accept, self.truth.prompt[rep], dislike, moment.load[rep])
        taken = reply.answer == ACCEPTED
        converts = taken & (rng.random(rows.size) < p_close)
        converted = conversion_instant(rng, at, reply.at)
        converted = np.where(converts & (converted < self.setting.end), converted, NONE)
        self.tried[lead, attempt - 1] = rep
        account = moment.account[rows]
        self.last_offer[account, rep] = day
        first = self.offered
        self.offered += rows.size
        self.offers.append(
            Offers(lead, rep, at, attempt, policy, prop, reply.answer, reply.at, reply.reason, converted, p_accept,
                   p_accept * p_close, outside)
        )  # fmt: skip
        self._convert(lead, rep, account, converted, first)
        self._retry(lead, attempt, reply.answer, reply.at)
        self._follow_up(lead[taken], rep[taken], reply.at[taken])

    def _convert(self, lead: Ints, rep: Ints, account: Ints, converted: Ints, first: int) -> None:
        rows = np.flatnonzero(converted != NONE)
        deals = make_deals(
            self.rng, account[rows], rep[rows], self.leads.contact[lead[rows]], self.leads.solution[lead[rows]],
            converted[rows], first + rows,
        )  # fmt: skip
        days = (deals.opened - self.setting.start) // DAY
        for d in np.unique(days):
            self.opening[int(d)].append(deals.take(days == d))

    def _retry(self, lead: Ints, attempt: Ints, answer: Ints, at: Ints) -> None:
        chance = np.where(answer == ACCEPTED, 0.0, np.where(answer == WITHDRAWN, 0.0, 0.52))
        again = np.flatnonzero((self.rng.random(lead.size) < chance) & (attempt < ATTEMPTS))
        days = (at[again] - self.setting.start) // DAY + 1
        weekday = (self.setting.start // DAY + days + 3) % 7
        days = days + np.where(weekday >= 5, 7 - weekday, 0)
        for d in np.unique(days):
            rows = again[days == d]
            self.retries[int(d)].append((lead[rows], attempt[rows] + 1))

    def _follow_up(self, lead: Ints, rep: Ints, at: Ints) -> None:
        contact = self.leads.contact[lead]
        meetings, touches = follow_up(self.rng, self.setting, self.people, self.reps, rep, contact, at)
        self.meetings, self.touches = self.meetings.plus(meetings), self.touches.plus(touches)
        self.ties = self.ties.with_more(rep, contact, 0.4, at)

    # -- The test period --------------------------------------------------------------------------------------------

    def _tell_truth(self, day: int) -> None:
        """The true chances of every eligible pair of the leads that came in today."""
        low, high = np.searchsorted(self.leads.created, [self.midnight(day), self.midnight(day + 1)])
        lead = np.arange(low, high)
        lead = lead[self.leads.fits[lead]]
        if not lead.size:
            return
        moment = self.moment(self.midnight(day) + 13 * HOUR, lead, np.zeros(len(self.reps)))
        row, rep = np.nonzero(self.able(moment, lead))
        p_accept, p_close = self.truth.chances(moment)
        accept, close = p_accept[row, rep], p_close[row, rep]
        self.pairs.append(Pairs(lead[row], rep, accept, accept * close))

    def all_deals(self) -> Deals:
        """Every opportunity that was opened."""
        return reduce(Deals.plus, self.deals)

    def all_pairs(self) -> Pairs:
        """The truth of the whole test period."""
        parts = self.pairs or [Pairs(self.waiting[:0], self.waiting[:0], np.zeros(0), np.zeros(0))]
        return Pairs(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Pairs)))

    def _close_leads(self) -> None:
        """When each lead was closed: converted, worked without effect, refused by all, or forgotten."""
        log, leads = Offers.joined(self.offers), self.leads
        closed = np.where(leads.created < self.setting.log_end, leads.created + 45 * DAY, NEVER)
        np.maximum.at(closed, log.lead, log.answered + 7 * DAY)
        taken = log.answer == ACCEPTED
        closed[log.lead[taken]] = np.where(
            log.converted[taken] != NONE, log.converted[taken], log.answered[taken] + 60 * DAY
        )
        leads.closed_at = np.where(closed < self.setting.end, closed, NONE)
