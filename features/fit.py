"""How well the lead's account and contact fit what we sell to, and the rep's own patch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from features.account import customers
from features.asked import Asked
from features.declare import Family, Feature

FIT = Family(
    "fit",
    Feature("solution", "The solution that the lead asks for.", "category", "category", level="lead"),
    Feature("function", "The contact's buying function.", "category", "category", level="lead"),
    Feature(
        "sector", "The account's sector: two digits of its NAICS or SIC code.", "category", "category", level="lead"
    ),
    Feature("account_segment", "The account's segment.", "category", "category", level="lead"),
    Feature("region", "The account's region.", "category", "category", level="lead"),
    Feature(
        "revenue",
        "The account's annual revenue, log10 of USD.",
        "log10_usd",
        level="lead",
        helps="The size of {account} suits you.",
        hurts="The size of {account} suits you less.",
    ),
    Feature(
        "employees",
        "The account's employees, log10.",
        "log10_count",
        level="lead",
        helps="The headcount of {account} suits you.",
        hurts="The headcount of {account} suits you less.",
    ),
    Feature(
        "level",
        "The contact's level: 0 staff … 5 C-level.",
        "level",
        level="lead",
        helps="{contact} is senior enough to decide.",
        hurts="{contact} is not the one who decides.",
    ),
    Feature(
        "keywords",
        "Keywords of the market's buyers that the contact's title holds.",
        level="lead",
        helps="The title of {contact} names what we look for.",
    ),
    Feature(
        "market_depth",
        "Digits of the account's industry code that the served market names.",
        "digits",
        level="lead",
        helps="{account} is in the core of the served market.",
    ),
    Feature(
        "industry_depth",
        "Digits of the account's industry code that the rep's industries name.",
        "digits",
        helps="{account} is in one of your industries.",
        hurts="{account} is outside your industries.",
    ),
    Feature(
        "region_match",
        "The account's region is one of the rep's.",
        "flag",
        "flag",
        helps="{account} is in your territory.",
        hurts="{account} is outside your territory.",
    ),
    Feature(
        "country_match",
        "The rep works in the account's country.",
        "flag",
        "flag",
        helps="You and {account} are in the same country.",
        hurts="{account} is in another country than you.",
    ),
    Feature(
        "segment_match",
        "The account's segment is the rep's.",
        "flag",
        "flag",
        helps="{account} is in your segment.",
        hurts="{account} is outside your segment.",
    ),
    Feature(
        "product_line_match",
        "The lead's solution is on the rep's product lines.",
        "flag",
        "flag",
        helps="{solution} is on your line.",
        hurts="{solution} is not on your line.",
    ),
    Feature(
        "lines",
        "Solutions on the rep's product lines: how broad a seller the rep is.",
        level="rep",
    ),
    Feature(
        "focus_match",
        "New accounts for a rep who wins new ones, customers for one who grows them.",
        "flag",
        "flag",
        helps="{account} is the kind of account that you focus on.",
        hurts="{account} is not the kind of account that you focus on.",
    ),
)


@FIT.computes("lead")
def lead_fit(asked: Asked) -> Sequence[np.ndarray]:
    """One array for each lead-level feature above, (leads,)."""
    book, leads = asked.book, asked.leads
    account, t = leads.account, leads.t
    revenue = book.accounts.revenue.read(account, t)
    employees = book.accounts.employees.read(account, t)
    level = book.people.level_at(leads.contact, t)
    return (
        asked.category("solution", leads.solution),
        asked.category("function", book.people.function_at(leads.contact, t)),
        asked.category("sector", book.sectors.code[account]),
        asked.category("account_segment", book.accounts.segment.read(account, t)),
        asked.category("region", book.accounts.region[account]),
        np.log10(np.maximum(revenue, 1.0)),
        np.log10(np.maximum(employees, 1.0)),
        np.where(level < 0, np.nan, level.astype(np.float64)),
        book.title_keywords[book.people.title_at(leads.contact, t)],
        book.market_depth[account],
    )


@FIT.computes("rep")
def rep_breadth(asked: Asked) -> Sequence[np.ndarray]:
    """(reps,) how many solutions the rep's product lines name; NaN where they name none (all may be sold)."""
    book, reps = asked.book, asked.reps
    lines = book.reps.product_lines.read(reps.rep, reps.t)
    return (np.where(lines < 0, np.nan, book.solution_members.sum(axis=1)[lines].astype(np.float64)),)


@FIT.computes("pair")
def pair_fit(asked: Asked) -> Sequence[np.ndarray]:
    """One array for each pair-level feature above, (pairs,); NaN where either side does not say."""
    book, reps, leads = asked.book, asked.reps, asked.leads
    lists = book.reps.regions.read(reps.rep, reps.t)[asked.rep_row]
    lines = book.reps.product_lines.read(reps.rep, reps.t)[asked.rep_row]
    region = book.accounts.region[asked.account]
    segment = book.accounts.segment.read(leads.account, leads.t)[asked.lead_row]
    rep_segment = book.reps.segment.read(reps.rep, reps.t)[asked.rep_row]
    country, rep_country = book.accounts.country[asked.account], book.reps.country[asked.rep]
    industries = book.reps.industries[asked.rep]
    return (
        np.where(industries < 0, np.nan, book.industry_depth[industries, book.industry[asked.account]]),
        _told(book.region_members[lists, region], lists, region),
        _told(country == rep_country, country, rep_country),
        _told(segment == rep_segment, segment, rep_segment),
        _told(book.solution_members[lines, asked.solution], lines, asked.solution),
        _focus(asked),
    )


def _told(match: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """1 or 0 where both codes are known, NaN elsewhere."""
    return np.where((left >= 0) & (right >= 0), match.astype(np.float64), np.nan)


def _focus(asked: Asked) -> np.ndarray:
    book, leads = asked.book, asked.leads
    customer, _ = customers(asked, leads.account, leads.t)
    wants = {"new": 0.0, "existing": 1.0}
    wish = np.array([*(wants.get(f, np.nan) for f in book.reps.focuses.values), np.nan])[book.reps.focus[asked.rep]]
    is_customer = customer[asked.lead_row]
    # "both" and an unknown focus fit anything that is known of the account no better and no worse: missing.
    return np.where(np.isnan(wish) | np.isnan(is_customer), np.nan, (wish == is_customer).astype(np.float64))
