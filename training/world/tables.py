"""Writes the world down as the CSV tables of the contract: text, UTC instants with a Z, empty cells for nulls."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa

from features.schema import ANSWERS, REJECT_REASONS, ROLES, STATUSES
from training.world.accounts import SEGMENTS
from training.world.answers import ACCEPTED
from training.world.assets import make_assets
from training.world.cells import Cells, flags, listed, numbers, ref, texts, times, whole
from training.world.changes import outcomes_of
from training.world.deals import CLOSE_REASONS, WON, closed_by
from training.world.demand import ACTIVITY_KINDS, CAMPAIGN_KINDS, SOURCES
from training.world.encounters import TOUCH_KINDS, attendees
from training.world.life import Life, rep_industries
from training.world.people import company_of
from training.world.places import REGIONS, SOLUTIONS
from training.world.record import POLICIES
from training.world.reps import FOCUS, absent_or_none
from training.world.setting import DAY, HOUR, NONE, Ints, choose, ids
from training.world.titles import FUNCTIONS, LEVELS


def tables_of(life: Life) -> Iterator[tuple[str, Cells]]:
    """Each table in turn, so that only one of them is held as text at a time."""
    yield "accounts", _accounts(life)
    yield "contacts", _contacts(life)
    yield "campaigns", _campaigns(life)
    yield "activities", _activities(life)
    yield "leads", _leads(life)
    yield "reps", _reps(life)
    yield "preferences", _preferences(life)
    yield "time_off", _time_off(life)
    yield "meetings", _meetings(life)
    meeting, contact = attendees(life.setting, life.meetings, life.people, life.network)
    yield (
        "meeting_contacts",
        {
            "meeting_id": ref(ids("M", len(life.meetings)), meeting),
            "contact_id": ref(life.people.id, contact),
        },
    )
    yield "touches", _touches(life)
    yield "opportunities", _opportunities(life)
    yield "opportunity_contacts", _opportunity_contacts(life)
    yield "offers", _offers(life)
    yield "changes", _changes(life)
    yield from _assets(life)


def truth_of(life: Life) -> Cells:
    """The true chances of the eligible pairs of the test period, as of the lead's creation."""
    pairs = life.pairs
    return {
        "lead_id": ref(ids("L", len(life.leads)), pairs.lead),
        "rep_id": ref(life.reps.id, pairs.rep),
        "as_of": times(life.leads.created[pairs.lead]),
        "p_accept": numbers(np.round(pairs.p_accept, 6)),
        "p_convert": numbers(np.round(pairs.p_convert, 6)),
    }


# -- Who --------------------------------------------------------------------------------------------------------------


def _accounts(life: Life) -> Cells:
    a = life.accounts
    return {
        "account_id": texts(a.id),
        "name": texts(a.name),
        "domain": texts(a.domain),
        "parent_account_id": ref(a.id, a.parent),
        "naics": texts(a.naics),
        "sic": texts(a.sic),
        "annual_revenue": whole(a.revenue),
        "employees": whole(a.employees),
        "country": texts(a.country),
        "region": ref(tuple(r.name for r in REGIONS), a.region),
        "segment": ref(SEGMENTS, a.segment),
        "status": ref(STATUSES, life.status),
        "customer_since": times(life.customer_since),
        "churn_risk": numbers(life.churn),
        "owner_rep_id": ref(life.reps.id, life.owner),
        "created_at": times(a.created),
    }


def _contacts(life: Life) -> Cells:
    p = life.people
    known = (p.boss >= 0) & (p.created[p.boss] <= life.setting.end)
    return {
        "contact_id": texts(p.id),
        "account_id": ref(life.accounts.id, p.account),
        "title": texts(p.title),
        "function": texts(p.told(FUNCTIONS, p.function)),
        "seniority": texts(p.told(LEVELS, p.level)),
        "reports_to": ref(p.id, np.where(known, p.boss, -1)),
        "email": texts(p.email),
        "objects_to_profiling": flags(p.objects),
        "created_at": times(p.created),
    }


def _reps(life: Life) -> Cells:
    r = life.reps
    regions = np.array([region.name for region in REGIONS], dtype=object)
    nowhere = r.anywhere | ~r.selling
    return {
        "rep_id": texts(r.id),
        "name": texts(r.name),
        "role": ref(ROLES, r.role),
        "segment": ref(SEGMENTS, r.segment),
        "regions": listed(regions, r.covers, nowhere),
        "product_lines": listed(np.array(SOLUTIONS, dtype=object), r.sells, r.anything | ~r.selling),
        "industries": texts(rep_industries(r)),
        "hired_at": times(r.hired),
        "focus": ref(FOCUS, r.focus),
        "weekly_capacity": whole(r.capacity),
        "timezone": texts(r.zone),
        "country": texts(r.country),
        "pilot": flags(r.pilot),
        "active_until": times(absent_or_none(r.until)),
    }


def _preferences(life: Life) -> Cells:
    p = life.preferences
    sides = {"account": life.accounts.id, "contact": life.people.id, "solution": np.array(SOLUTIONS, dtype=object)}
    subject = [sides[kind][i] for kind, i in zip(p.kind, p.subject, strict=True)]
    return {
        "preference_id": texts(ids("P", p.rep.size)),
        "rep_id": ref(life.reps.id, p.rep),
        "subject": texts(p.kind),
        "subject_id": pa.array(subject, pa.string()),
        "rule": ref(("exclude", "include"), p.include.astype(np.int64)),
        "since": times(p.since),
        "until": times(absent_or_none(p.until)),
    }


def _time_off(life: Life) -> Cells:
    off = life.absences
    return {
        "time_off_id": texts(ids("H", off.rep.size)),
        "rep_id": ref(life.reps.id, off.rep),
        "starts_at": times(off.starts),
        "ends_at": times(off.ends),
    }


# -- What marketing sees ----------------------------------------------------------------------------------------------


def _campaigns(life: Life) -> Cells:
    c = life.campaigns
    kinds = np.array(CAMPAIGN_KINDS, dtype=object)[c.kind]
    titles = [f'{k.title()} "{SOLUTIONS[s]}", week {i}' for i, (k, s) in enumerate(zip(kinds, c.solution, strict=True))]
    return {
        "campaign_id": texts(ids("K", c.solution.size)),
        "name": pa.array(titles, pa.string()),
        "kind": texts(kinds),
        "solution": ref(SOLUTIONS, c.solution),
        "starts_at": times(c.starts),
        "ends_at": times(c.ends),
        "cost": whole(c.cost),
    }


def _activities(life: Life) -> Cells:
    a = life.activities
    return {
        "activity_id": texts(ids("V", a.at.size)),
        "contact_id": ref(life.people.id, a.contact),
        "kind": ref(ACTIVITY_KINDS, a.kind),
        "solution": ref(SOLUTIONS, a.solution),
        "campaign_id": ref(ids("K", life.campaigns.solution.size), a.campaign),
        "occurred_at": times(a.at),
    }


def _leads(life: Life) -> Cells:
    v, rng = life.leads, life.setting.rng("lead cells")
    account = life.people.account[v.contact]
    return {
        "lead_id": texts(ids("L", len(v))),
        "contact_id": ref(life.people.id, v.contact),
        "account_id": ref(life.accounts.id, np.where(rng.random(len(v)) < 0.15, -1, account)),
        "solution": ref(SOLUTIONS, v.solution),
        "source": ref(SOURCES, v.source),
        "campaign_id": ref(ids("K", life.campaigns.solution.size), v.campaign),
        "created_at": times(v.created),
        "behavior_score": whole(v.score),
        "grade": texts(v.grade),
        "fields_filled": whole(v.filled),
        **{name: texts(said) for name, said in v.bant.items()},
        "qualified_at": times(v.qualified_at),
        "qualified_by": ref(life.reps.id, v.qualified_by),
        "status": ref(("open", "closed"), (v.closed_at != NONE).astype(np.int64)),
        "closed_at": times(v.closed_at),
    }


# -- What reps do -----------------------------------------------------------------------------------------------------


def _meetings(life: Life) -> Cells:
    m, rng = life.meetings, life.setting.rng("meeting cells")
    return {
        "meeting_id": texts(ids("M", len(m))),
        "rep_id": ref(life.reps.id, m.rep),
        "account_id": ref(life.accounts.id, m.account),
        "contact_id": ref(life.people.id, np.where(rng.random(len(m)) < 0.3, -1, m.contact)),
        "starts_at": times(m.starts),
        "created_at": times(m.created),
        "cancelled_at": times(m.cancelled),
    }


def _touches(life: Life) -> Cells:
    t, rng = life.touches, life.setting.rng("touch cells")
    order = np.argsort(t.at, kind="stable")
    late = t.at[order] + rng.integers(6 * HOUR, 5 * DAY, order.size)
    late = np.where((rng.random(order.size) < 0.08) & (late < life.setting.end), late, NONE)
    return {
        "touch_id": texts(ids("T", order.size)),
        "rep_id": ref(life.reps.id, t.rep[order]),
        "contact_id": ref(life.people.id, t.contact[order]),
        "kind": ref(TOUCH_KINDS, choose(rng, np.array([0.35, 0.45, 0.05, 0.15]), order.size)),
        "occurred_at": times(t.at[order]),
        "known_at": times(late),  # some are logged days after
    }


def _opportunities(life: Life) -> Cells:
    d, rng, end = life.deals, life.setting.rng("deal cells"), life.setting.end
    planned = d.closed + (rng.normal(0, 15, len(d)) * DAY).astype(np.int64)
    lost = (d.closed < end) & (d.outcome != WON)
    return {
        "opportunity_id": texts(ids("O", len(d))),
        "account_id": ref(life.accounts.id, d.account),
        "rep_id": ref(life.reps.id, d.rep),
        "contact_id": ref(life.people.id, np.where(rng.random(len(d)) < 0.1, -1, d.contact)),
        "solution": ref(SOLUTIONS, d.solution),
        "stage": texts(life.stage),
        "forecast_weight": numbers(life.weight),
        "amount": whole(life.amount),
        "opened_at": times(d.opened),
        "expected_close": times(np.maximum(planned, d.opened + DAY)),
        "closed_at": times(closed_by(d, end)),
        "outcome": texts(outcomes_of(d, end)),
        "reason": ref(CLOSE_REASONS, np.where(lost, rng.integers(0, len(CLOSE_REASONS), len(d)), -1)),
    }


def _opportunity_contacts(life: Life) -> Cells:
    d, rng, people = life.deals, life.setting.rng("deal contacts"), life.people
    row = np.repeat(np.arange(len(d)), rng.poisson(1.0, len(d)))
    other = company_of(rng, life.network, people, d.contact[row])
    known = people.created[other] <= d.opened[row]
    pairs = np.column_stack([np.r_[np.arange(len(d)), row[known]], np.r_[d.contact, other[known]]])
    pairs = np.unique(pairs, axis=0)
    main = pairs[:, 1] == d.contact[pairs[:, 0]]
    roles = np.where(main, 0, rng.integers(1, 4, len(pairs)))
    return {
        "opportunity_id": ref(ids("O", len(d)), pairs[:, 0]),
        "contact_id": ref(people.id, pairs[:, 1]),
        "role": ref(("decision_maker", "influencer", "user", "evaluator"), roles),
    }


# -- What became of it ------------------------------------------------------------------------------------------------


def _offers(life: Life) -> Cells:
    o, rng = life.offers, life.setting.rng("offer cells")
    deal = np.full(len(o), -1, dtype=np.int64)
    led = np.flatnonzero(life.deals.offer >= 0)
    deal[life.deals.offer[led]] = led
    draw = rng.random(len(o))
    shown = np.where((draw < 0.03) & (deal >= 0), -1, deal)  # some conversions have only their instant,
    instant = np.where((draw > 0.90), NONE, o.converted)  # some only their opportunity
    advanced = _advanced(life, rng)
    logged = ~np.isnan(o.propensity)
    return {
        "offer_id": texts(ids("F", len(o))),
        "lead_id": ref(ids("L", len(life.leads)), o.lead),
        "rep_id": ref(life.reps.id, o.rep),
        "offered_at": times(o.at),
        "decision_id": ref(ids("D", len(o)), np.where(logged, np.arange(len(o)), -1)),
        "attempt": pa.array(o.attempt),
        "policy": ref(POLICIES, o.policy),
        "propensity": numbers(o.propensity),
        "answer": ref(ANSWERS, o.answer),
        "answered_at": times(o.answered),
        "reject_reason": ref(REJECT_REASONS, o.reason),
        "opportunity_id": ref(ids("O", len(life.deals)), np.where(deal >= 0, shown, advanced)),
        "converted_at": times(instant),
    }


def _advanced(life: Life, rng: np.random.Generator) -> Ints:
    """For accepted offers that opened nothing: the rep's deal with the account that was open already, at times."""
    o, d = life.offers, life.deals
    rows = np.flatnonzero((o.answer == ACCEPTED) & (o.converted == NONE))
    asked = pd.DataFrame(
        {"offer": rows, "rep": o.rep[rows], "account": life.people.account[life.leads.contact[o.lead[rows]]]}
    )
    open_then = pd.DataFrame({"deal": np.arange(len(d)), "rep": d.rep, "account": d.account})
    both = asked.merge(open_then, on=["rep", "account"])
    offer, deal = both["offer"].to_numpy(), both["deal"].to_numpy()
    held = (d.opened[deal] < o.at[offer]) & (d.closed[deal] > o.answered[offer]) & (rng.random(offer.size) < 0.5)
    out = np.full(len(o), -1, dtype=np.int64)
    out[offer[held]] = deal[held]
    return out


def _changes(life: Life) -> Cells:
    c = life.changes
    return {
        "table_name": texts(np.concatenate(c.table)),
        "row_id": texts(np.concatenate(c.row)),
        "column_name": texts(np.concatenate(c.column)),
        "value": texts(np.concatenate(c.value)),
        "valid_from": times(np.concatenate(c.at)),
    }


def _assets(life: Life) -> Iterator[tuple[str, Cells]]:
    a = make_assets(life.setting, life.reps, life.deals.rep, life.steps)
    names = ids("S", a.kind.size)
    yield (
        "assets",
        {
            "asset_id": texts(names),
            "kind": texts(a.kind),
            "title": texts(a.title),
            "solution": texts(a.solution),
            "roles": texts(a.roles),
            "stages": texts(a.stages),
            "published_at": times(a.published),
        },
    )
    yield (
        "asset_uses",
        {
            "asset_use_id": texts(ids("U", a.use_at.size)),
            "rep_id": ref(life.reps.id, a.use_rep),
            "asset_id": ref(names, a.use_asset),
            "used_at": times(a.use_at),
            "opportunity_id": ref(ids("O", len(life.deals)), a.use_deal),
        },
    )
