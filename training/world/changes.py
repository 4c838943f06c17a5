"""The table of changes: what held when, for everything that outcomes move, the first value included."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from features.schema import OUTCOMES, STATUSES
from training.world.accounts import CUSTOMER, FORMER, PARTNER, PROSPECT, Accounts
from training.world.deals import STAGES, WEIGHTS, WON, Deals, Steps
from training.world.demand import Leads
from training.world.record import Moved
from training.world.reps import Reps
from training.world.setting import DAY, NONE, Floats, Ints, Setting, Texts


@dataclass
class Changes:
    """Rows of the table, gathered column by column."""

    table: list[Texts] = field(default_factory=list)
    row: list[Texts] = field(default_factory=list)
    column: list[Texts] = field(default_factory=list)
    value: list[Texts] = field(default_factory=list)
    at: list[Ints] = field(default_factory=list)

    def add(self, table: str, column: str, row: Texts, value: Texts, at: Ints) -> None:
        """Add rows; value None: empty from then on."""
        self.table.append(np.full(len(row), table, dtype=object))
        self.column.append(np.full(len(row), column, dtype=object))
        self.row.append(row)
        self.value.append(value)
        self.at.append(at)


def named(names: Texts, position: Ints) -> Texts:
    """Names by position; None where it is -1."""
    out = names[position]
    out[position < 0] = None
    return out


def moved(parts: list[Moved]) -> Moved:
    """All moves of a column, in order."""
    empty = np.zeros(0, dtype=np.int64)
    return Moved(
        np.concatenate([empty, *(p.account for p in parts)]),
        np.concatenate([empty, *(p.value for p in parts)]),
        np.concatenate([empty, *(p.at for p in parts)]),
    )


def account_changes(
    changes: Changes, accounts: Accounts, reps: Reps, first_owner: Ints, status: Moved, owner: Moved
) -> None:
    """Status and owner from the account's creation on."""
    names = np.array(STATUSES, dtype=object)
    began = np.where(accounts.status == PARTNER, PARTNER, PROSPECT)
    changes.add("accounts", "status", accounts.id, names[began], accounts.created)
    for since, value in ((accounts.customer_since, CUSTOMER), (accounts.left_at, FORMER)):
        rows = np.flatnonzero(since != NONE)
        changes.add(
            "accounts", "status", accounts.id[rows], np.full(rows.size, names[value], dtype=object), since[rows]
        )
    changes.add("accounts", "status", accounts.id[status.account], names[status.value], status.at)
    later = (first_owner >= 0) & (reps.hired[first_owner] > accounts.created)
    changes.add(
        "accounts", "owner_rep_id", accounts.id, named(reps.id, np.where(later, -1, first_owner)), accounts.created
    )
    rows = np.flatnonzero(later)
    changes.add(
        "accounts", "owner_rep_id", accounts.id[rows], reps.id[first_owner[rows]], reps.hired[first_owner[rows]]
    )
    changes.add("accounts", "owner_rep_id", accounts.id[owner.account], named(reps.id, owner.value), owner.at)


def churn_changes(changes: Changes, setting: Setting, accounts: Accounts, status: Moved) -> Floats:
    """The churn risk of customers, reviewed now and then. Returns the latest value, NaN: none."""
    rng, n = setting.rng("churn"), len(accounts)
    latest = accounts.churn.copy()
    changes.add("accounts", "churn_risk", accounts.id, np.full(n, None, dtype=object), accounts.created)
    old = np.flatnonzero(~np.isnan(latest))
    changes.add("accounts", "churn_risk", accounts.id[old], _shares(latest[old]), accounts.customer_since[old] + DAY)
    won = status.account[(status.value == CUSTOMER) & (status.at + 30 * DAY < setting.end)]
    reviewed = np.concatenate([won, old[rng.random(old.size) < 0.4]])
    at = np.concatenate(
        [
            status.at[(status.value == CUSTOMER) & (status.at + 30 * DAY < setting.end)] + 30 * DAY,
            setting.start + rng.integers(0, setting.days, reviewed.size - won.size) * DAY + 4 * 3600,
        ]
    )
    value = np.round(rng.beta(1.5, 6, reviewed.size), 3)
    latest[reviewed] = value
    changes.add("accounts", "churn_risk", accounts.id[reviewed], _shares(value), at)
    return latest


def lead_changes(changes: Changes, leads: Leads, lead_ids: Texts) -> None:
    """A lead is open from its creation until it is closed."""
    changes.add("leads", "status", lead_ids, np.full(len(leads), "open", dtype=object), leads.created)
    rows = np.flatnonzero(leads.closed_at != NONE)
    changes.add("leads", "status", lead_ids[rows], np.full(rows.size, "closed", dtype=object), leads.closed_at[rows])


def deal_changes(
    changes: Changes, setting: Setting, deals: Deals, deal_ids: Texts, steps: Steps, first: Floats, final: Floats
) -> tuple[Texts, Floats, Floats]:
    """Stage, weight and amount from the opening on. Returns their latest values."""
    stages, weights = np.array(STAGES, dtype=object), np.array(WEIGHTS)
    row = deal_ids[steps.deal]
    changes.add("opportunities", "stage", row, stages[steps.stage], steps.at)
    changes.add("opportunities", "forecast_weight", row, _shares(weights[steps.stage]), steps.at)
    stage, weight, amount = np.full(len(deals), STAGES[0], dtype=object), np.full(len(deals), WEIGHTS[0]), first.copy()
    stage[steps.deal], weight[steps.deal] = stages[steps.stage], weights[steps.stage]
    changes.add("opportunities", "amount", deal_ids, _whole(first), deals.opened)
    priced = np.flatnonzero((steps.stage == 2) & (first[steps.deal] != final[steps.deal]))
    rows = steps.deal[priced]
    amount[rows] = final[rows]
    changes.add("opportunities", "amount", deal_ids[rows], _whole(final[rows]), steps.at[priced])
    done = np.flatnonzero(deals.closed < setting.end)
    won = deals.outcome[done] == WON
    stage[done], weight[done] = np.where(won, "closed_won", "closed_lost"), np.where(won, 1.0, 0.0)
    changes.add("opportunities", "stage", deal_ids[done], stage[done], deals.closed[done])
    changes.add("opportunities", "forecast_weight", deal_ids[done], _shares(weight[done]), deals.closed[done])
    return stage, weight, amount


def outcomes_of(deals: Deals, end: int) -> Texts:
    """How each ended, None: still open."""
    return named(np.array(OUTCOMES, dtype=object), np.where(deals.closed < end, deals.outcome, -1))


def _shares(values: Floats) -> Texts:
    return np.array([f"{v:g}" for v in values], dtype=object)


def _whole(values: Floats) -> Texts:
    return np.array([f"{v:.0f}" for v in values], dtype=object)
