"""What each optional table and column tells, so that a missing one is said by what will be missing with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from features.schema import TABLES

TABLE_TELLS = {
    "activities": "what contacts did: behaviour, interest in the lead's solution, ties by shared interest",
    "campaigns": "which campaign a response belongs to, and the solution that it was for",
    "preferences": "which accounts, contacts and solutions a rep asked for or ruled out",
    "time_off": "who is away: no rep is refused for absence",
    "meetings": "the rep's meetings with the account, and ties by having met",
    "meeting_contacts": "who sat in a meeting: ties by having met together",
    "touches": "the rep's own calls, emails and visits, and the contacts that the rep already works",
    "opportunities": "open pipeline, past wins and losses, conversions that no offer states, mean amounts",
    "opportunity_contacts": "who takes part in an opportunity: ties by the same opportunity",
    "offers": "what was offered to whom and what came of it: training needs it, and so do accept and convert rates",
    "changes": "past values of what changes: columns are read as constant, or not at all where outcomes move them",
    "assets": "collateral, training and campaigns that could go with a lead",
    "asset_uses": "which collateral and training a rep used",
}

COLUMN_TELLS = {
    "accounts.domain": "the account's web domain",
    "accounts.parent_account_id": "the parent company and its status",
    "accounts.naics": "the industry by NAICS code, in the served market and in fit",
    "accounts.sic": "the industry by SIC code, in the served market and in fit",
    "accounts.annual_revenue": "revenue, in the served market and in fit",
    "accounts.employees": "the number of employees, in the served market and in fit",
    "accounts.country": "the country, in the served market and in fit",
    "accounts.region": "the region, in the served market and against the rep's territory",
    "accounts.segment": "the segment, against the rep's role and segment",
    "accounts.status": "whether it is a prospect, customer or partner",
    "accounts.customer_since": "since when it is a customer",
    "accounts.churn_risk": "the risk that it leaves",
    "accounts.owner_rep_id": "the account's owner: the first of the rules that serve without a model",
    "contacts.title": "title: function, level and keywords, so hardly a buyer can be told",
    "contacts.function": "the function as stated: it is read from the title",
    "contacts.seniority": "the level as stated: it is read from the title",
    "contacts.reports_to": "reporting lines in the contact graph",
    "contacts.objects_to_profiling": "who objects to profiling: nobody is taken to",
    "activities.solution": "which solution an activity was about",
    "activities.campaign_id": "which campaign an activity belongs to",
    "leads.account_id": "the lead's own account: the contact's is taken",
    "leads.source": "where the lead came from",
    "leads.campaign_id": "which campaign the lead answers",
    "leads.behavior_score": "the marketing system's behaviour score",
    "leads.grade": "the marketing system's grade",
    "leads.fields_filled": "how complete the form was",
    "leads.qualified_at": "when a BDR or LDR qualified it",
    "leads.qualified_by": "which BDR or LDR qualified it",
    "leads.status": "whether it is still open, where closed_at does not tell",
    "leads.closed_at": "when it was closed",
    "reps.segment": "the rep's segment, in fit",
    "reps.regions": "the rep's territory: none is refused for it",
    "reps.product_lines": "the rep's product lines: none is refused for them",
    "reps.industries": "the rep's industries, in fit",
    "reps.hired_at": "the rep's tenure",
    "reps.focus": "whether the rep looks for new or existing accounts",
    "reps.weekly_capacity": "how many leads a rep can take in a week: no limit holds",
    "reps.timezone": "the rep's time zone: the configured one is taken for weeks and working hours",
    "reps.country": "the rep's country, and so its holidays",
    "reps.active_until": "who has left: everybody is taken to be there",
    "meetings.cancelled_at": "which meetings were called off",
    "meetings.contact_id": "whom a meeting is with",
    "opportunities.contact_id": "the contact of an opportunity, in the contact graph",
    "opportunities.solution": "what an opportunity is for, and mean amounts by solution",
    "opportunities.stage": "the stage of open opportunities",
    "opportunities.forecast_weight": "the forecast weight: any new opportunity counts as a conversion",
    "opportunities.amount": "amounts: pipeline, and expected value by amount",
    "opportunities.expected_close": "when a close is expected: pipeline this quarter",
    "opportunities.closed_at": "when an opportunity ended: all count as open",
    "opportunities.outcome": "won and lost",
    "offers.propensity": "with which probability the past policy chose: it is fitted for off-policy values",
    "offers.answer": "the reps' answers: p_accept cannot be learned",
    "offers.answered_at": "when reps answered: response times, and since when an answer is known",
    "offers.opportunity_id": "which opportunity an offer led to: the first new one of account and rep is taken",
    "offers.converted_at": "when an offer converted: that of the opportunity is taken",
}
_BANT = "what the lead said of {}"
COLUMN_TELLS |= {f"leads.{c}": _BANT.format(c) for c in ("budget", "authority", "need", "timeline")}


def missing_from(tables: Iterable[str], columns: Mapping[str, frozenset[str]]) -> dict[str, str]:
    """table, or table.column, that is not there: what it would have told. Columns that tell nothing are not named."""
    there = set(tables)
    missing = {t: tells for t, tells in TABLE_TELLS.items() if t not in there}
    for name, tells in COLUMN_TELLS.items():
        table, column = name.split(".")
        if table in there and column in TABLES[table].names and column not in columns[table]:
            missing[name] = tells
    return missing
