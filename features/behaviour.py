"""What the lead's people did and said: activities, interest, the form, BANT, pre-qualification. Capped and monotone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from features.asked import Asked
from features.asof import DAY, NAT
from features.declare import Family, Feature

#: Counts above the cap say no more than the cap.
CAP = 10.0
#: Days after which an activity is as good as none: the cap of the recency features.
STALE = 180.0

BEHAVIOUR = Family(
    "behaviour",
    Feature(
        "contact_recency",
        "How lately the contact was active: 180 less the days since the last activity, at least 0.",
        "days_fresh",
        level="lead",
        tables=("activities",),
        monotone=1,
        helps="{contact} was active {when}.",
        hurts="{contact} has not been active lately.",
    ),
    Feature(
        "contact_activities",
        "Activities of the contact in the last 90 days, at most 10.",
        level="lead",
        tables=("activities",),
        monotone=1,
        helps="{contact} was active {value} times in the last 90 days.",
        hurts="{contact} has shown little activity in the last 90 days.",
    ),
    Feature(
        "account_activities",
        "Activities of the account's contacts in the last 90 days, log(1 + n) of at most 100.",
        "log_count",
        level="lead",
        tables=("activities",),
        monotone=1,
        helps="People at {account} have been active in the last 90 days.",
        hurts="Little activity at {account} in the last 90 days.",
    ),
    Feature(
        "contact_interest",
        "Activities of the contact about the lead's solution in the last 90 days, at most 10.",
        level="lead",
        tables=("activities", "activities.solution"),
        monotone=1,
        helps="{contact} looked into {solution} {value} times in the last 90 days.",
        hurts="{contact} has shown little interest in {solution} beyond this lead.",
    ),
    Feature(
        "account_interest",
        "Activities at the account about the lead's solution in the last 90 days, log(1 + n).",
        "log_count",
        level="lead",
        tables=("activities", "activities.solution"),
        monotone=1,
        helps="Several people at {account} have looked into {solution}.",
        hurts="Little interest in {solution} at {account}.",
    ),
    Feature(
        "behavior_score",
        "Marketing's behaviour score of the lead.",
        "points",
        level="lead",
        monotone=1,
        helps="Marketing scores this lead's behaviour {value}.",
        hurts="Marketing scores this lead's behaviour only {value}.",
    ),
    Feature(
        "grade",
        "Marketing's grade of the lead: 5 is A, 1 is E or worse; a number stays one.",
        "grade",
        level="lead",
        monotone=1,
    ),
    Feature("fields_filled", "Fields that the lead's form holds.", level="lead", monotone=1),
    Feature(
        "bant_budget",
        "The lead told of a budget.",
        "flag",
        "flag",
        level="lead",
        monotone=1,
        helps="A budget is known.",
    ),
    Feature(
        "bant_authority",
        "The lead told of authority to buy.",
        "flag",
        "flag",
        level="lead",
        monotone=1,
        helps="{contact} has said to have a say in the purchase.",
    ),
    Feature(
        "bant_need", "The lead told of a need.", "flag", "flag", level="lead", monotone=1, helps="A need was stated."
    ),
    Feature(
        "bant_timeline",
        "The lead told of a timeline.",
        "flag",
        "flag",
        level="lead",
        monotone=1,
        helps="A timeline was stated.",
    ),
    Feature(
        "prequalified",
        "A BDR or LDR had qualified the lead.",
        "flag",
        "flag",
        level="lead",
        tables=("leads.qualified_at",),
        monotone=1,
        helps="A colleague has pre-qualified this lead.",
    ),
    Feature("source", "Where the lead came from.", "category", "category", level="lead"),
)

_NO = frozenset({"no", "none", "false", "0", "0.0", "n", "unknown", "nein", "non", "low"})


@BEHAVIOUR.computes("lead")
def lead_behaviour(asked: Asked) -> Sequence[np.ndarray]:
    """One array for each feature above, (leads,). A window counts what happened in it, as far as it is known."""
    book, leads = asked.book, asked.leads
    log = book.activity_logs

    def recent(name: str, key: np.ndarray, cap: float) -> np.ndarray:
        return np.minimum(log[name].count(key, leads.t) - log.stale[name].count(key, leads.t), cap).astype(np.float64)

    contact_solution = log.contact_solution.codes(leads.contact, leads.solution)
    account_solution = log.account_solution.codes(leads.account, leads.solution)
    last = log.last_by_contact.at(leads.contact, leads.t)
    fresh = np.where(last == NAT, 0.0, np.clip(STALE - (leads.t - last) / DAY, 0.0, STALE))
    return (
        fresh,
        recent("by_contact", leads.contact, CAP),
        np.log1p(recent("by_account", leads.account, 100.0)),
        recent("by_contact_solution", contact_solution, CAP),
        np.log1p(recent("by_account_solution", account_solution, 100.0)),
        book.leads.behavior_score.read(leads.lead, leads.t),
        _worded(grade_points, book.grades.values, book.leads.grade.read(leads.lead, leads.t)),
        np.minimum(book.leads.fields_filled[leads.lead], 50.0),
        *(
            _worded(told, book.answers[c].values, book.leads.bant[c].read(leads.lead, leads.t))
            for c in ("budget", "authority", "need", "timeline")
        ),
        _prequalified(asked),
        asked.category("source", book.leads.source[leads.lead]),
    )


def _prequalified(asked: Asked) -> np.ndarray:
    at = asked.book.leads.qualified[asked.leads.lead]
    return ((at != NAT) & (at <= asked.leads.t)).astype(np.float64)


def _worded(read: object, words: tuple[str, ...], codes: np.ndarray) -> np.ndarray:
    """Values of coded texts; NaN for null."""
    table = np.array([*(read(word) for word in words), np.nan])  # type: ignore[operator]
    return table[codes]


def told(answer: str) -> float:
    """1 when a BANT answer says something, 0 when it says no."""
    return 0.0 if answer.strip().lower() in _NO else 1.0


def grade_points(grade: str) -> float:
    """A grade as points, more is better: A 5 … E 1, with + and - a third; a number stays one; NaN for anything else."""
    text = grade.strip().upper()
    if text[:1] in "ABCDEF" and len(text) <= 2 and text:
        step = {"+": 1 / 3, "-": -1 / 3}.get(text[1:], 0.0)
        return max(5.0 - "ABCDE".find(text[0]), 0.0) + step if text[0] != "F" else 0.0
    try:
        return float(text)
    except ValueError:
        return float("nan")
