"""Writes the world down as the CSV tables of the contract: text, UTC instants with a Z, empty cells for nulls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv as arrow_csv

from features.schema import ANSWERS, REJECT_REASONS, ROLES, STATUSES
from training.world.accounts import SEGMENTS
from training.world.answers import ACCEPTED
from training.world.assets import make_assets
from training.world.changes import outcomes_of
from training.world.deals import CLOSE_REASONS, WON, closed_by
from training.world.demand import ACTIVITY_KINDS, CAMPAIGN_KINDS, SOURCES
from training.world.encounters import TOUCH_KINDS, attendees
from training.world.history import POLICIES
from training.world.life import Life, rep_industries
from training.world.places import REGIONS, SOLUTIONS
from training.world.reps import FOCUS, absent_or_none
from training.world.setting import DAY, HOUR, NONE, Flags, Floats, Ints, Texts, choose, ids
from training.world.titles import FUNCTIONS, LEVELS

Cells = Mapping[str, "pa.Array"]


def write_table(path: Path, cells: Cells) -> int:
    """Write one table and return its number of rows."""
    table = pa.table(dict(cells))
    arrow_csv.write_csv(table, path, arrow_csv.WriteOptions(quoting_style="needed"))
    return int(table.num_rows)


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
    meeting, contact = attendees(life.setting, life.meetings, life.people)
    yield "meeting_contacts", {
        "meeting_id": _ref(ids("M", len(life.meetings)), meeting),
        "contact_id": _ref(life.people.id, contact),
    }
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
        "lead_id": _ref(ids("L", len(life.leads)), pairs.lead),
        "rep_id": _ref(life.reps.id, pairs.rep),
        "as_of": _times(life.leads.created[pairs.lead]),
        "p_accept": _numbers(np.round(pairs.p_accept, 6)),
        "p_convert": _numbers(np.round(pairs.p_convert, 6)),
    }


# -- Cells ------------------------------------------------------------------------------------------------------------


def _times(instants: Ints) -> pa.Array:
    written = np.datetime_as_string(instants.astype("datetime64[s]"), timezone="UTC")
    return pa.array(written, mask=instants == NONE)


def _ref(names: Texts | tuple[str, ...], position: Ints) -> pa.Array:
    """Names by position, null where it is below 0."""
    return pa.array(list(names), pa.string()).take(pa.array(position, mask=position < 0))


def _texts(values: Texts) -> pa.Array:
    return pa.array(values, pa.string())


def _numbers(values: Floats) -> pa.Array:
    return pa.array(values, mask=np.isnan(values))


def _whole(values: Floats) -> pa.Array:
    missing = np.isnan(values)
    return pa.array(np.where(missing, 0, values).astype(np.int64), mask=missing)


def _flags(values: Flags) -> pa.Array:
    return pa.array(values)


def _listed(names: Texts, held: Flags, empty: Flags) -> pa.Array:
    """Names of the true columns of each row, separated by semicolons; null where `empty`."""
    return pa.array([None if e else ";".join(names[row]) for row, e in zip(held, empty, strict=True)], pa.string())


# -- Who ----------------------------------------------------------------------------------------------------------------


def _accounts(life: Life) -> Cells:
    a = life.accounts
    return {
        "account_id": _texts(a.id),
        "name": _texts(a.name),
        "domain": _texts(a.domain),
        "parent_account_id": _ref(a.id, a.parent),
        "naics": _texts(a.naics),
        "sic": _texts(a.sic),
        "annual_revenue": _whole(a.revenue),
        "employees": _whole(a.employees),
        "country": _texts(a.country),
        "region": _ref(tuple(r.name for r in REGIONS), a.region),
        "segment": _ref(SEGMENTS, a.segment),
        "status": _ref(STATUSES, life.status),
        "customer_since": _times(life.customer_since),
        "churn_risk": _numbers(life.churn),
        "owner_rep_id": _ref(life.reps.id, life.owner),
        "created_at": _times(a.created),
    }


def _contacts(life: Life) -> Cells:
    p = life.people
    known = (p.boss >= 0) & (p.created[p.boss] <= life.setting.end)
    return {
        "contact_id": _texts(p.id),
        "account_id": _ref(life.accounts.id, p.account),
        "title": _texts(p.title),
        "function": _ref(FUNCTIONS, np.where(p.given, p.function, -1)),
        "seniority": _ref(LEVELS, np.where(p.given, p.level, -1)),
        "reports_to": _ref(p.id, np.where(known, p.boss, -1)),
        "email": _texts(p.email),
        "objects_to_profiling": _flags(p.objects),
        "created_at": _times(p.created),
    }


def _reps(life: Life) -> Cells:
    r = life.reps
    regions = np.array([region.name for region in REGIONS], dtype=object)
    nowhere = r.anywhere | ~r.selling
    return {
        "rep_id": _texts(r.id),
        "name": _texts(r.name),
        "role": _ref(ROLES, r.role),
        "segment": _ref(SEGMENTS, r.segment),
        "regions": _listed(regions, r.covers, nowhere),
        "product_lines": _listed(np.array(SOLUTIONS, dtype=object), r.sells, r.anything | ~r.selling),
        "industries": _texts(rep_industries(r)),
        "hired_at": _times(r.hired),
        "focus": _ref(FOCUS, r.focus),
        "weekly_capacity": _whole(r.capacity),
        "timezone": _texts(r.zone),
        "country": _texts(r.country),
        "pilot": _flags(r.pilot),
        "active_until": _times(absent_or_none(r.until)),
    }


def _preferences(life: Life) -> Cells:
    p = life.preferences
    sides = {"account": life.accounts.id, "contact": life.people.id, "solution": np.array(SOLUTIONS, dtype=object)}
    subject = [sides[kind][i] for kind, i in zip(p.kind, p.subject, strict=True)]
    return {
        "preference_id": _texts(ids("P", p.rep.size)),
        "rep_id": _ref(life.reps.id, p.rep),
        "subject": _texts(p.kind),
        "subject_id": pa.array(subject, pa.string()),
        "rule": _ref(("exclude", "include"), p.include.astype(np.int64)),
        "since": _times(p.since),
        "until": _times(absent_or_none(p.until)),
    }


def _time_off(life: Life) -> Cells:
    off = life.absences
    return {
        "time_off_id": _texts(ids("H", off.rep.size)),
        "rep_id": _ref(life.reps.id, off.rep),
        "starts_at": _times(off.starts),
        "ends_at": _times(off.ends),
    }


# -- What marketing sees --------------------------------------------------------------------------------------------------


def _campaigns(life: Life) -> Cells:
    c = life.campaigns
    kinds = np.array(CAMPAIGN_KINDS, dtype=object)[c.kind]
    titles = [f'{k.title()} "{SOLUTIONS[s]}", week {i}' for i, (k, s) in enumerate(zip(kinds, c.solution, strict=True))]
    return {
        "campaign_id": _texts(ids("K", c.solution.size)),
        "name": pa.array(titles, pa.string()),
        "kind": _texts(kinds),
        "solution": _ref(SOLUTIONS, c.solution),
        "starts_at": _times(c.starts),
        "ends_at": _times(c.ends),
        "cost": _whole(c.cost),
    }


def _activities(life: Life) -> Cells:
    a = life.activities
    return {
        "activity_id": _texts(ids("V", a.at.size)),
        "contact_id": _ref(life.people.id, a.contact),
        "kind": _ref(ACTIVITY_KINDS, a.kind),
        "solution": _ref(SOLUTIONS, a.solution),
        "campaign_id": _ref(ids("K", life.campaigns.solution.size), a.campaign),
        "occurred_at": _times(a.at),
    }


def _leads(life: Life) -> Cells:
    v, rng = life.leads, life.setting.rng("lead cells")
    account = life.people.account[v.contact]
    return {
        "lead_id": _texts(ids("L", len(v))),
        "contact_id": _ref(life.people.id, v.contact),
        "account_id": _ref(life.accounts.id, np.where(rng.random(len(v)) < 0.15, -1, account)),
        "solution": _ref(SOLUTIONS, v.solution),
        "source": _ref(SOURCES, v.source),
        "campaign_id": _ref(ids("K", life.campaigns.solution.size), v.campaign),
        "created_at": _times(v.created),
        "behavior_score": _whole(v.score),
        "grade": _texts(v.grade),
        "fields_filled": _whole(v.filled),
        **{name: _texts(said) for name, said in v.bant.items()},
        "qualified_at": _times(v.qualified_at),
        "qualified_by": _ref(life.reps.id, v.qualified_by),
        "status": _ref(("open", "closed"), (v.closed_at != NONE).astype(np.int64)),
        "closed_at": _times(v.closed_at),
    }


# -- What reps do ---------------------------------------------------------------------------------------------------------


def _meetings(life: Life) -> Cells:
    m, rng = life.meetings, life.setting.rng("meeting cells")
    return {
        "meeting_id": _texts(ids("M", len(m))),
        "rep_id": _ref(life.reps.id, m.rep),
        "account_id": _ref(life.accounts.id, m.account),
        "contact_id": _ref(life.people.id, np.where(rng.random(len(m)) < 0.3, -1, m.contact)),
        "starts_at": _times(m.starts),
        "created_at": _times(m.created),
        "cancelled_at": _times(m.cancelled),
    }


def _touches(life: Life) -> Cells:
    t, rng = life.touches, life.setting.rng("touch cells")
    order = np.argsort(t.at, kind="stable")
    late = t.at[order] + rng.integers(6 * HOUR, 5 * DAY, order.size)
    late = np.where((rng.random(order.size) < 0.08) & (late < life.setting.end), late, NONE)
    return {
        "touch_id": _texts(ids("T", order.size)),
        "rep_id": _ref(life.reps.id, t.rep[order]),
        "contact_id": _ref(life.people.id, t.contact[order]),
        "kind": _ref(TOUCH_KINDS, choose(rng, np.array([0.35, 0.45, 0.05, 0.15]), order.size)),
        "occurred_at": _times(t.at[order]),
        "known_at": _times(late),  # some are logged days after
    }


def _opportunities(life: Life) -> Cells:
    d, rng, end = life.deals, life.setting.rng("deal cells"), life.setting.end
    planned = d.closed + (rng.normal(0, 15, len(d)) * DAY).astype(np.int64)
    lost = (d.closed < end) & (d.outcome != WON)
    return {
        "opportunity_id": _texts(ids("O", len(d))),
        "account_id": _ref(life.accounts.id, d.account),
        "rep_id": _ref(life.reps.id, d.rep),
        "contact_id": _ref(life.people.id, np.where(rng.random(len(d)) < 0.1, -1, d.contact)),
        "solution": _ref(SOLUTIONS, d.solution),
        "stage": _texts(life.stage),
        "forecast_weight": _numbers(life.weight),
        "amount": _whole(life.amount),
        "opened_at": _times(d.opened),
        "expected_close": _times(np.maximum(planned, d.opened + DAY)),
        "closed_at": _times(closed_by(d, end)),
        "outcome": _texts(outcomes_of(d, end)),
        "reason": _ref(CLOSE_REASONS, np.where(lost, rng.integers(0, len(CLOSE_REASONS), len(d)), -1)),
    }


def _opportunity_contacts(life: Life) -> Cells:
    d, rng, people = life.deals, life.setting.rng("deal contacts"), life.people
    row = np.repeat(np.arange(len(d)), rng.poisson(1.0, len(d)))
    low = np.searchsorted(people.account, d.account[row], side="left")
    size = np.searchsorted(people.account, d.account[row], side="right") - low
    other = low + (rng.random(row.size) * size).astype(np.int64)
    known = people.created[other] <= d.opened[row]
    pairs = np.column_stack([np.r_[np.arange(len(d)), row[known]], np.r_[d.contact, other[known]]])
    pairs = np.unique(pairs, axis=0)
    main = pairs[:, 1] == d.contact[pairs[:, 0]]
    roles = np.where(main, 0, rng.integers(1, 4, len(pairs)))
    return {
        "opportunity_id": _ref(ids("O", len(d)), pairs[:, 0]),
        "contact_id": _ref(people.id, pairs[:, 1]),
        "role": _ref(("decision_maker", "influencer", "user", "evaluator"), roles),
    }


# -- What became of it ----------------------------------------------------------------------------------------------------


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
        "offer_id": _texts(ids("F", len(o))),
        "lead_id": _ref(ids("L", len(life.leads)), o.lead),
        "rep_id": _ref(life.reps.id, o.rep),
        "offered_at": _times(o.at),
        "decision_id": _ref(ids("D", len(o)), np.where(logged, np.arange(len(o)), -1)),
        "attempt": pa.array(o.attempt),
        "policy": _ref(POLICIES, o.policy),
        "propensity": _numbers(o.propensity),
        "answer": _ref(ANSWERS, o.answer),
        "answered_at": _times(o.answered),
        "reject_reason": _ref(REJECT_REASONS, o.reason),
        "opportunity_id": _ref(ids("O", len(life.deals)), np.where(deal >= 0, shown, advanced)),
        "converted_at": _times(instant),
    }


def _advanced(life: Life, rng: np.random.Generator) -> Ints:
    """For accepted offers that opened nothing: the rep's deal with the account that was open already, at times."""
    o, d = life.offers, life.deals
    rows = np.flatnonzero((o.answer == ACCEPTED) & (o.converted == NONE))
    asked = pd.DataFrame({"offer": rows, "rep": o.rep[rows], "account": life.people.account[life.leads.contact[o.lead[rows]]]})
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
        "table_name": _texts(np.concatenate(c.table)),
        "row_id": _texts(np.concatenate(c.row)),
        "column_name": _texts(np.concatenate(c.column)),
        "value": _texts(np.concatenate(c.value)),
        "valid_from": _times(np.concatenate(c.at)),
    }


def _assets(life: Life) -> Iterator[tuple[str, Cells]]:
    a = make_assets(life.setting, life.reps, life.deals.rep, life.steps)
    names = ids("S", a.kind.size)
    yield "assets", {
        "asset_id": _texts(names),
        "kind": _texts(a.kind),
        "title": _texts(a.title),
        "solution": _texts(a.solution),
        "roles": _texts(a.roles),
        "stages": _texts(a.stages),
        "published_at": _times(a.published),
    }
    yield "asset_uses", {
        "asset_use_id": _texts(ids("U", a.use_at.size)),
        "rep_id": _ref(life.reps.id, a.use_rep),
        "asset_id": _ref(names, a.use_asset),
        "used_at": _times(a.use_at),
        "opportunity_id": _ref(ids("O", len(life.deals)), a.use_deal),
    }
