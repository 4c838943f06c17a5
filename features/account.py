"""What the account is to us as of the instant: status, owner, open business, past wins and losses, its parent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from features.asked import Asked
from features.asof import DAY, NAT, expand
from features.declare import Family, Feature
from features.logs import quarter_end

ACCOUNT = Family(
    "account",
    Feature("account_status", "The account's status as of the offer.", "category", "category", level="lead"),
    Feature(
        "customer",
        "The account is a customer: by its status, or since customer_since.",
        "flag",
        "flag",
        level="lead",
        helps="{account} is already a customer.",
        hurts="{account} is not a customer yet.",
    ),
    Feature("customer_days", "Days since the account became a customer.", "days", level="lead"),
    Feature(
        "open_opportunities",
        "Open opportunities of the account, at most 20.",
        level="lead",
        tables=("opportunities", "opportunities.closed_at"),
        helps="{account} has {value} open opportunities.",
        hurts="{account} has {value} open opportunities.",
    ),
    Feature(
        "furthest_weight",
        "Highest forecast weight among the account's open opportunities.",
        "share",
        level="lead",
        tables=("opportunities", "opportunities.closed_at"),
        helps="The furthest opportunity at {account} stands at {value}.",
    ),
    Feature(
        "pipeline_quarter",
        "Amount of the account's open opportunities expected to close this quarter, log(1 + USD).",
        "log_usd",
        level="lead",
        tables=("opportunities", "opportunities.closed_at"),
        helps="{account} has business expected to close this quarter.",
    ),
    Feature("quarter_left", "Share of the calendar quarter that is left.", "share", level="lead"),
    Feature(
        "wins",
        "Opportunities won at the account so far, at most 20.",
        level="lead",
        tables=("opportunities", "opportunities.outcome"),
        helps="{account} has bought {value} times before.",
        hurts="{account} has not bought before.",
    ),
    Feature(
        "losses",
        "Opportunities lost at the account so far, at most 20.",
        level="lead",
        tables=("opportunities", "opportunities.outcome"),
        hurts="{value} opportunities at {account} were lost before.",
    ),
    Feature(
        "days_since_win",
        "Days since the account's last win.",
        "days",
        level="lead",
        tables=("opportunities", "opportunities.outcome"),
        helps="{account} last bought {when}.",
    ),
    Feature(
        "churn_risk",
        "Risk that the account leaves, as the CRM says.",
        "share",
        level="lead",
        hurts="{account} has a churn risk of {value}.",
    ),
    Feature(
        "parent_customer",
        "The account's parent is a customer.",
        "flag",
        "flag",
        level="lead",
        helps="The parent of {account} is a customer.",
    ),
    Feature(
        "owner_known", "The account has an owner.", "flag", "flag", level="lead", tables=("accounts.owner_rep_id",)
    ),
    Feature(
        "owner_is_rep",
        "This rep owns the account.",
        "flag",
        "flag",
        helps="You own {account}.",
        hurts="You do not own {account}.",
    ),
    Feature(
        "open_opportunities_own",
        "This rep's open opportunities at the account, at most 20.",
        tables=("opportunities", "opportunities.closed_at"),
        helps="You work {value} open opportunities at {account}.",
        hurts="You work no open opportunity at {account}.",
    ),
    Feature(
        "wins_own",
        "Opportunities that this rep won at the account, at most 20.",
        tables=("opportunities", "opportunities.outcome"),
        helps="You have won {value} opportunities at {account}.",
    ),
    Feature(
        "losses_own",
        "Opportunities that this rep lost at the account, at most 20.",
        tables=("opportunities", "opportunities.outcome"),
        hurts="You have lost {value} opportunities at {account}.",
    ),
    Feature(
        "accepted_here",
        "Leads of the account that this rep accepted, of those decided, at most 20.",
        tables=("offers", "offers.answer"),
        helps="You have accepted {value} leads of {account} before.",
    ),
    Feature(
        "declined_here",
        "Leads of the account that this rep declined or let expire, at most 20.",
        tables=("offers", "offers.answer"),
        hurts="You have declined {value} leads of {account} before.",
    ),
)


@ACCOUNT.computes("lead")
def lead_account(asked: Asked) -> Sequence[np.ndarray]:
    """One array for each lead-level feature above, (leads,)."""
    book, leads = asked.book, asked.leads
    account, t = leads.account, leads.t
    status = book.accounts.status.read(account, t)
    customer, days = customers(asked, account, t)
    logs = book.opportunity_logs
    start, stop = logs.closed["account"].span(account, t, before=True)
    opened = logs.opened["account"].count(account, t, before=True)
    won_at = logs.last_won.at(account, t, before=True)
    weight, pipeline = _open_business(asked)
    end = quarter_end(t)
    begin = quarter_end(t - 92 * DAY)
    parent = book.accounts.parent[account]
    parent_customer, _ = customers(asked, parent, t)
    return (
        asked.category("account_status", status),
        customer,
        days,
        np.minimum(opened - (stop - start), 20).astype(np.float64),
        weight,
        pipeline,
        (end - t) / np.maximum(end - begin, 1),
        np.minimum(logs.won["account"].between(start, stop), 20.0),
        np.minimum(logs.lost["account"].between(start, stop), 20.0),
        np.where(won_at == NAT, np.nan, (t - won_at) / DAY),
        book.accounts.churn_risk.read(account, t),
        np.where(parent < 0, np.nan, parent_customer),
        np.where(book.accounts.owner.told(account, t), book.accounts.owner.read(account, t) >= 0, np.nan),
    )


def customers(asked: Asked, account: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(flag, days as a customer), (n,) each; NaN where neither the status nor customer_since tells by t."""
    book = asked.book
    known = account >= 0
    since = np.where(known, book.accounts.customer_since[np.maximum(account, 0)], NAT)
    by_date = (since != NAT) & (since <= t)
    status = book.accounts.status.read(account, t)
    code = book.statuses.codes(np.array(["customer"], dtype=object))[0]
    by_status = (status == code) & (status >= 0)
    # A date that lies ahead must look like no date at all, so only a status tells that an account is no customer.
    flag = np.where(by_date | by_status, 1.0, np.where(status >= 0, 0.0, np.nan))
    return flag, np.where(by_date, (t - since) / DAY, np.nan)


def _open_business(asked: Asked) -> tuple[np.ndarray, np.ndarray]:
    """(furthest weight, log amount expected this quarter) of the account's open opportunities, (leads,) each."""
    logs, leads = asked.book.opportunity_logs, asked.leads
    opened = logs.opened["account"]
    owner, place = expand(*opened.span(leads.account, leads.t, before=True))
    row = opened.order[place]
    t = leads.t[owner]
    open_ = (logs.closed_at[row] == NAT) | (logs.closed_at[row] >= t)
    owner, row, t = owner[open_], row[open_], t[open_]
    weight = np.full(len(leads), np.nan)
    np.fmax.at(weight, owner, logs.weight.read(row, t))
    amount, close = logs.amount.read(row, t), logs.expected_close.read(row, t)
    due = (close < quarter_end(t)) & ~np.isnan(amount)
    total = np.bincount(owner[due], weights=amount[due], minlength=len(leads))
    told = np.bincount(owner[~np.isnan(amount)], minlength=len(leads)) > 0
    none_open = np.bincount(owner, minlength=len(leads)) == 0
    return weight, np.where(told | none_open, np.log1p(total), np.nan)


@ACCOUNT.computes("pair")
def pair_account(asked: Asked) -> Sequence[np.ndarray]:
    """One array for each pair-level feature above, (pairs,)."""
    book = asked.book
    owner = book.accounts.owner.read(asked.leads.account, asked.leads.t)[asked.lead_row]
    logs = book.opportunity_logs
    own = logs.pairs.codes(asked.rep, asked.account)
    start, stop = logs.closed["own"].span(own, asked.t, before=True)
    opened = logs.opened["own"].count(own, asked.t, before=True)
    pairs, rates = book.offer_logs.rep_account
    accepted, decided = rates.accept.before(pairs.codes(asked.rep, asked.account), asked.t)
    return (
        np.where(owner < 0, np.nan, (owner == asked.rep).astype(np.float64)),
        np.minimum(opened - (stop - start), 20).astype(np.float64),
        np.minimum(logs.won["own"].between(start, stop), 20.0),
        np.minimum(logs.lost["own"].between(start, stop), 20.0),
        np.minimum(accepted, 20.0),
        np.minimum(decided - accepted, 20.0),
    )
