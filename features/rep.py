"""Who the rep is and how the rep has done: role, tenure, load, appetite, and rates shrunk towards the role and all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from features.asked import Asked
from features.asof import DAY, NAT
from features.declare import Family, Feature
from features.logs import RateLog

#: Fixed strengths: so many offers of prior belief stand behind each rate, rep towards role towards all.
ACCEPT_STRENGTH, CONVERT_STRENGTH, CROSS_STRENGTH = 20.0, 60.0, 15.0
#: Belief before the first offer: an accept rate of 0.3, a convert rate of 0.05, each worth so many offers.
PRIOR_ACCEPT, PRIOR_CONVERT, PRIOR_STRENGTH = 0.3, 0.05, 50.0

REP = Family(
    "rep",
    Feature("rep_id", "The rep.", "category", "category", level="rep"),
    Feature("role", "The rep's role.", "category", "category", level="rep"),
    Feature("rep_segment", "The rep's segment.", "category", "category", level="rep"),
    Feature("focus", "New or existing accounts, or both.", "category", "category", level="rep"),
    Feature(
        "tenure_days",
        "Days since the rep was hired, at most 10 years.",
        "days",
        level="rep",
        helps="You have been here for {value}.",
        hurts="You have been here for {value}.",
    ),
    Feature("weekly_capacity", "Leads that the rep can take in a week.", level="rep"),
    Feature(
        "load_share",
        "Open and accepted offers of this week as a share of the capacity.",
        "share",
        level="rep",
        tables=("offers",),
        helps="Of a whole week you have places left.",
        hurts="{value} of a whole week's places are taken.",
    ),
    Feature("offers_28d", "Offers made to the rep in the last 28 days.", level="rep", tables=("offers",)),
    Feature(
        "rep_accept_rate",
        "The rep's accept rate so far, shrunk towards the role's.",
        "share",
        level="rep",
        tables=("offers", "offers.answer"),
        monotone=1,
        helps="You accept {value} of your leads.",
        hurts="You accept {value} of your leads.",
    ),
    Feature(
        "rep_accept_rate_90d",
        "The rep's accept rate of the last 90 days, shrunk towards the one so far.",
        "share",
        level="rep",
        tables=("offers", "offers.answer"),
        helps="You accepted {value} of your leads lately.",
        hurts="You accepted {value} of your leads lately.",
    ),
    Feature(
        "rep_convert_rate",
        "The rep's convert rate so far, shrunk towards the role's.",
        "share",
        level="rep",
        tables=("offers", "offers.answer"),
        monotone=1,
        helps="You turn {value} of your leads into opportunities.",
        hurts="You turn {value} of your leads into opportunities.",
    ),
    Feature(
        "role_accept_rate",
        "The role's accept rate so far, shrunk towards all.",
        "share",
        level="rep",
        tables=("offers", "offers.answer"),
    ),
    Feature(
        "role_convert_rate",
        "The role's convert rate so far, shrunk towards all.",
        "share",
        level="rep",
        tables=("offers", "offers.answer"),
    ),
    Feature(
        "response_hours",
        "The rep's mean hours to an answer so far.",
        "hours",
        level="rep",
        tables=("offers", "offers.answer"),
    ),
    Feature(
        "solution_accept_rate",
        "Accept rate of the lead's solution so far, shrunk.",
        "share",
        level="lead",
        tables=("offers", "offers.answer"),
    ),
    Feature(
        "solution_convert_rate",
        "Convert rate of the lead's solution so far, shrunk.",
        "share",
        level="lead",
        tables=("offers", "offers.answer"),
    ),
    Feature(
        "rep_solution_accept_rate",
        "The rep's accept rate on the lead's solution, shrunk towards the rep's own.",
        "share",
        tables=("offers", "offers.answer"),
        helps="You accept {value} of the leads for {solution}.",
        hurts="You accept {value} of the leads for {solution}.",
    ),
    Feature(
        "rep_solution_convert_rate",
        "The rep's convert rate on the lead's solution, shrunk towards the rep's own.",
        "share",
        tables=("offers", "offers.answer"),
        helps="{solution} leads convert well with you.",
        hurts="{solution} leads have converted less with you.",
    ),
    Feature(
        "rep_function_accept_rate",
        "The rep's accept rate with the contact's function, shrunk towards the rep's own.",
        "share",
        tables=("offers", "offers.answer"),
        helps="You do well with people of this function.",
        hurts="You accept fewer leads of this function.",
    ),
    Feature(
        "rep_sector_accept_rate",
        "The rep's accept rate in the account's sector, shrunk towards the rep's own.",
        "share",
        tables=("offers", "offers.answer"),
        helps="You do well in this sector.",
        hurts="You accept fewer leads in this sector.",
    ),
)


def shrunk(hits: np.ndarray, of: np.ndarray, towards: np.ndarray, strength: float) -> np.ndarray:
    """(n,) rate pulled towards another by `strength` offers of it: (hits + strength * towards) / (of + strength)."""
    return (hits + strength * towards) / (of + strength)


def _overall(rates: RateLog, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(accept, convert) rates of all offers decided before t."""
    nobody = np.zeros(len(t), np.int64)
    accept = shrunk(*rates.accept.before(nobody, t), np.full(len(t), PRIOR_ACCEPT), PRIOR_STRENGTH)
    convert = shrunk(*rates.convert.before(nobody, t), np.full(len(t), PRIOR_CONVERT), PRIOR_STRENGTH)
    return accept, convert


def _record(asked: Asked) -> dict[str, np.ndarray]:
    """Rates of the asked reps, (reps,) each: role towards all, rep towards role."""
    book, rep, t = asked.book, asked.reps.rep, asked.reps.t
    logs = book.offer_logs
    role = book.reps.role.read(rep, t)
    accept, convert = _overall(logs.all, t)
    role_accept = shrunk(*logs.role.accept.before(role, t), accept, ACCEPT_STRENGTH)
    role_convert = shrunk(*logs.role.convert.before(role, t), convert, CONVERT_STRENGTH)
    rep_accept = shrunk(*logs.rep.accept.before(rep, t), role_accept, ACCEPT_STRENGTH)
    recent = logs.rep.accept.before(rep, t, since=t - 90 * DAY)
    return {
        "role_accept": role_accept,
        "role_convert": role_convert,
        "accept": rep_accept,
        "accept_90d": shrunk(*recent, rep_accept, ACCEPT_STRENGTH / 2),
        "convert": shrunk(*logs.rep.convert.before(rep, t), role_convert, CONVERT_STRENGTH),
    }


@REP.computes("rep")
def rep_record(asked: Asked) -> Sequence[np.ndarray]:
    """One array for each rep-level feature above, (reps,)."""
    book, rep, t = asked.book, asked.reps.rep, asked.reps.t
    logs, record = book.offer_logs, asked.shared("record", _record)
    capacity = book.reps.capacity.read(rep, t)
    hired = book.reps.hired[rep]
    start, stop = logs.response_log.span(rep, t, before=True)
    answers = (stop - start).astype(np.float64)
    return (
        asked.category("rep_id", rep),
        asked.category("role", book.reps.role.read(rep, t)),
        asked.category("rep_segment", book.reps.segment.read(rep, t)),
        asked.category("focus", book.reps.focus[rep]),
        np.where(hired == NAT, np.nan, np.clip((t - hired) / DAY, 0.0, 3652.0)),
        capacity,
        book.used(rep, t) / np.where(capacity > 0, capacity, np.nan),
        (logs.made.count(rep, t, before=True) - logs.made.count(rep, t - 28 * DAY, before=True)).astype(np.float64),
        record["accept"],
        record["accept_90d"],
        record["convert"],
        record["role_accept"],
        record["role_convert"],
        np.where(answers > 0, logs.response.between(start, stop) / np.maximum(answers, 1.0), np.nan),
    )


@REP.computes("lead")
def solution_rates(asked: Asked) -> Sequence[np.ndarray]:
    """Rates of the lead's solution, (leads,) each."""
    logs, leads = asked.book.offer_logs, asked.leads
    accept, convert = _overall(logs.all, leads.t)
    return (
        shrunk(*logs.solution.accept.before(leads.solution, leads.t), accept, ACCEPT_STRENGTH),
        shrunk(*logs.solution.convert.before(leads.solution, leads.t), convert, CONVERT_STRENGTH),
    )


@REP.computes("pair")
def crossed_rates(asked: Asked) -> Sequence[np.ndarray]:
    """The rep's rates with the lead's solution, function and sector, (pairs,) each, shrunk towards the rep's own."""
    book = asked.book
    logs, record = book.offer_logs, asked.shared("record", _record)
    accept, convert = record["accept"][asked.rep_row], record["convert"][asked.rep_row]
    leads = asked.leads
    function = book.people.function_at(leads.contact, leads.t)[asked.lead_row]
    solutions, by_solution = logs.rep_solution
    functions, by_function = logs.rep_function
    sectors, by_sector = logs.rep_sector
    solution = solutions.codes(asked.rep, asked.solution)
    sector = sectors.codes(asked.rep, book.sectors.code[asked.account])
    return (
        shrunk(*by_solution.accept.before(solution, asked.t), accept, CROSS_STRENGTH),
        shrunk(*by_solution.convert.before(solution, asked.t), convert, CONVERT_STRENGTH),
        shrunk(*by_function.accept.before(functions.codes(asked.rep, function), asked.t), accept, CROSS_STRENGTH),
        shrunk(*by_sector.accept.before(sector, asked.t), accept, CROSS_STRENGTH),
    )
