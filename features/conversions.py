"""Which opportunity is an offer's: its conversion and its win, or one that was open already and moved a stage on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from features.asof import DAY, NAT, Log, later
from features.entities import Index, Tables, facts, instants, numbers, texts

NOBODY = -1


@dataclass(frozen=True)
class Made:
    """The offers whose opportunities are asked for, (o,) each, in the order of the offers table.

    accepted   when the offer was accepted, as it became known; NAT: it was not
    within     how long after its offer an opportunity may open
    """

    rep: np.ndarray
    account: np.ndarray
    offered: np.ndarray
    accepted: np.ndarray
    within: int


@dataclass(frozen=True)
class Opened:
    """The opportunities, (p,) each. key: account and rep as one code; heavy: reached the least forecast weight."""

    id: pd.Index
    key: np.ndarray
    opened: np.ndarray
    closed: np.ndarray
    known: np.ndarray
    won: np.ndarray
    heavy: np.ndarray
    heavy_since: np.ndarray

    @classmethod
    def read(cls, tables: Tables, least: float, accounts: Index, reps: Index) -> Opened:
        """Read the table; `least` is the forecast weight from which an opportunity counts."""
        frame = facts(tables, "opportunities")
        # In the order of their ids, so that among equals the order of the file does not decide.
        frame = frame.iloc[np.argsort(texts(frame, "opportunity_id").astype(str), kind="stable")].reset_index(drop=True)
        heavy, since = _heavy(tables, frame, least)
        return cls(
            id=pd.Index(frame["opportunity_id"].astype(object), dtype=object),
            key=_key(accounts.find(frame["account_id"]), reps.find(frame["rep_id"]), len(reps)),
            opened=instants(frame, "opened_at"), closed=instants(frame, "closed_at"),
            known=instants(frame, "known_at"), won=texts(frame, "outcome") == "won", heavy=heavy, heavy_since=since,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.key)

    def rows(self, ids: pd.Series) -> np.ndarray:
        """(n,) row of each id, -1: there is none."""
        return self.id.get_indexer(pd.Index(ids.astype(object), dtype=object)).astype(np.int64)

    def at(self, values: np.ndarray, row: np.ndarray) -> np.ndarray:
        """(o,) values of rows; NAT where the row is -1."""
        if not len(values):
            return np.full(len(row), NAT, np.int64)
        return np.where(row >= 0, values[np.maximum(row, 0)], NAT)


@dataclass(frozen=True)
class Found:
    """What became of each offer, (o,) each; NAT: it did not happen, as far as the tables know.

    advanced   bool: it did not convert, but an opportunity that was open already moved a stage on
    """

    converted: np.ndarray
    converted_known: np.ndarray
    won: np.ndarray
    won_known: np.ndarray
    advanced: np.ndarray


def find_conversions(
    tables: Tables, offers: pd.DataFrame, made: Made, accounts: Index, reps: Index, least: float, win_within: int
) -> Found:
    """Say which opportunity each offer led to: `converted_at` decides, else the named one, else account and rep.

    An opportunity is one offer's conversion. One that no offer names goes to the offer that its account and rep had
    accepted last before it opened, else to the last that they had; the offer takes the first that it gets.
    A win counts within its own horizon, so that an old offer has not had longer to win than a younger one.
    """
    opps = Opened.read(tables, least, accounts, reps)
    search = _Search(opps, made, _key(made.account, made.rep, len(reps)), offers)
    row = search.row
    heavy = np.append(opps.heavy, False)[row]
    opened = opps.at(opps.opened, row)
    fits = heavy & (opened > made.offered)
    seen = later(opened, opps.at(opps.known, row), opps.at(opps.heavy_since, row))
    decided = search.said != NAT
    converted = np.where(decided, search.said, np.where(fits, opened, NAT))
    known = np.where(decided, later(search.said, instants(offers, "known_at")), np.where(fits, seen, NAT))
    timely = (converted != NAT) & (converted > made.offered) & (converted <= made.offered + made.within)
    row = np.where(timely, row, NOBODY)
    closed = opps.at(opps.closed, row)
    won = np.append(opps.won, False)[row] & (closed > made.offered)
    won &= closed <= made.offered + win_within
    return Found(
        converted=np.where(timely, converted, NAT), converted_known=np.where(timely, known, NAT),
        won=np.where(won, closed, NAT), won_known=np.where(won, later(closed, opps.at(opps.known, row)), NAT),
        advanced=~timely & _advanced(tables, opps, search),
    )  # fmt: skip


class _Search:
    """The opportunity that each offer names, says the instant of, or gets by account and rep."""

    def __init__(self, opps: Opened, made: Made, key: np.ndarray, offers: pd.DataFrame) -> None:
        self.opps, self.made, self.key = opps, made, key
        self.said = instants(offers, "converted_at")
        self.names = offers["opportunity_id"].notna().to_numpy()
        self.rank = np.argsort(np.argsort(texts(offers, "offer_id").astype(str), kind="stable"))
        self.named = opps.rows(offers["opportunity_id"])

    @cached_property
    def row(self) -> np.ndarray:
        """(o,) row of the opportunity that may be the offer's conversion; -1: none."""
        told = np.where(self.names, self.named, self._of_that_day)
        return np.where(self.names | (told >= 0), told, self._by_account_and_rep(told))

    @cached_property
    def _of_that_day(self) -> np.ndarray:
        """(o,) the opportunity of account and rep opened nearest to `converted_at`, a day off at most; -1: none."""
        says = np.flatnonzero((self.said != NAT) & ~self.names & (self.key >= 0))
        there = np.flatnonzero(self.opps.heavy & (self.opps.key >= 0) & (self.opps.opened != NAT))
        found = np.full(len(self.key), NOBODY, np.int64)
        left = pd.DataFrame({"key": self.key[says], "at": self.said[says], "offer": says})
        right = pd.DataFrame({"key": self.opps.key[there], "at": self.opps.opened[there], "row": there})
        joined = pd.merge_asof(
            left.sort_values("at"),
            right.sort_values(["at", "row"]),
            on="at",
            by="key",
            direction="nearest",
            tolerance=DAY,
        ).dropna(subset="row")
        found[joined["offer"].to_numpy(np.int64)] = joined["row"].to_numpy(np.int64)
        return found

    def _by_account_and_rep(self, told: np.ndarray) -> np.ndarray:
        """(o,) the first opportunity that falls to each offer of its account and rep; -1: none."""
        opps, made = self.opps, self.made
        own = np.flatnonzero(told >= 0)
        claimed = told[own][opps.opened[told[own]] > made.offered[own]]
        free = opps.heavy & (opps.key >= 0) & (opps.opened != NAT)
        free[claimed] = False
        seekers = np.flatnonzero(~self.names & (told < 0) & (self.key >= 0))
        owner = np.full(len(opps), NOBODY, np.int64)
        took = seekers[made.accepted[seekers] != NAT]
        for offers, since in ((took, made.accepted[took]), (seekers, made.offered[seekers])):
            rows = np.flatnonzero(free & (owner < 0))
            owner[rows] = self._last_before(rows, offers, since)
        owned = np.flatnonzero(owner >= 0)
        owned = owned[opps.opened[owned] <= made.offered[owner[owned]] + made.within]
        owned = owned[np.lexsort((owned, opps.opened[owned], owner[owned]))]
        offer, first = np.unique(owner[owned], return_index=True)
        found = np.full(len(self.key), NOBODY, np.int64)
        found[offer] = owned[first]
        return found

    def _last_before(self, rows: np.ndarray, offers: np.ndarray, since: np.ndarray) -> np.ndarray:
        """(rows,) of some opportunities the last of some offers of the same account and rep before it opened."""
        left = pd.DataFrame({"key": self.opps.key[rows], "at": self.opps.opened[rows], "place": np.arange(len(rows))})
        first = np.lexsort((self.rank[offers], self.made.offered[offers], since))
        right = pd.DataFrame({"key": self.key[offers], "at": since, "offer": offers}).iloc[first]
        joined = pd.merge_asof(left.sort_values("at"), right, on="at", by="key", allow_exact_matches=False)
        owner = np.full(len(rows), NOBODY, np.int64)
        owner[joined["place"].to_numpy()] = joined["offer"].fillna(NOBODY).to_numpy(np.int64)
        return owner


def _key(account: np.ndarray, rep: np.ndarray, reps: int) -> np.ndarray:
    """(n,) one code of account and rep; -1 where either is unknown."""
    return np.where((account >= 0) & (rep >= 0), account.astype(np.int64) * max(reps, 1) + rep, NOBODY)


def _heavy(tables: Tables, opps: pd.DataFrame, least: float) -> tuple[np.ndarray, np.ndarray]:
    """(p,) whether an opportunity ever had the least forecast weight, and since when history says so (NAT: always).

    A weight lost later (a lost deal's 0) does not undo the conversion; a null weight passes.
    """
    heavy = ~(numbers(opps, "forecast_weight") < least)
    since = np.full(len(opps), NAT, np.int64)
    # CRMs set the weight of a lost deal to 0: without a history it tells of the end, not of what was once forecast.
    ended = np.isin(texts(opps, "outcome").astype(str), ("lost", "no_decision"))
    rows = _changes(tables, "forecast_weight")
    if not len(rows):
        return heavy | ended, since
    reached = pd.to_numeric(rows["value"]).to_numpy(dtype=np.float64) >= least
    at = later(instants(rows, "valid_from"), instants(rows, "known_at"))
    row = pd.Index(opps["opportunity_id"].astype(object), dtype=object).get_indexer(rows["row_id"].astype(object))
    ended[row[row >= 0]] = False
    first = pd.Series(at[reached & (row >= 0)]).groupby(row[reached & (row >= 0)]).min()
    since[first.index.to_numpy(dtype=np.int64)] = first.to_numpy(dtype=np.int64)
    heavy[first.index.to_numpy(dtype=np.int64)] = True
    return heavy | ended, since


def _changes(tables: Tables, column: str) -> pd.DataFrame:
    """What history tells of a column of the opportunities."""
    changes = facts(tables, "changes")
    told = (changes["table_name"] == "opportunities") & (changes["column_name"] == column)
    return changes[told & changes["value"].notna()]


def _advanced(tables: Tables, opps: Opened, search: _Search) -> np.ndarray:
    """(o,) bool: whether an opportunity open at the offer, the named one or any of account and rep, moved on in time.

    It moves when its stage changes or it is won. Only a history of stages tells of changes; without one, wins do.
    """
    moves = _changes(tables, "stage")
    won = np.flatnonzero(opps.won)
    opp = np.concatenate([opps.rows(moves["row_id"]), won])
    at = np.concatenate([instants(moves, "valid_from"), opps.closed[won]])
    order = np.lexsort((at, opp))
    opp, at = opp[order], at[order]
    opened = opps.at(opps.opened, opp)
    before = np.where(np.diff(opp, prepend=NOBODY - 1) == 0, np.roll(at, 1), NAT)
    since = later(opened, before, at - search.made.within)
    real = (opp >= 0) & (opened != NAT) & (at > opened)
    opp, since, at = opp[real], since[real], at[real]
    own = np.where(search.names, NOBODY, search.key)
    found = _within(search.named, search.made.offered, opp, since, at)
    return found | _within(own, search.made.offered, opps.key[opp], since, at)


def _within(
    key: np.ndarray, offered: np.ndarray, owner: np.ndarray, since: np.ndarray, until: np.ndarray
) -> np.ndarray:
    """(o,) bool: whether an offer falls into one of the spans [since, until) of its key; key -1: into none."""
    codes = np.unique(key[key >= 0])
    place = np.searchsorted(codes, owner)
    held = np.append(codes, NOBODY)[place] == owner
    log = Log(np.where(key >= 0, np.searchsorted(codes, key), NOBODY), offered, len(codes))
    first = log.span(place[held], since[held], before=True)[1]
    last = log.span(place[held], until[held], before=True)[1]
    steps = np.zeros(len(log.order) + 1, np.int64)
    np.add.at(steps, first, 1)
    np.add.at(steps, last, -1)
    found = np.zeros(len(key), bool)
    found[log.order] = np.cumsum(steps)[:-1] > 0
    return found
