"""The engine's promises: nothing from the future, the same bits in any batch, and clear refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from features.engine import Engine
from features.errors import InputError, UnknownId
from features.matrix import Vocabulary
from tests.features.small_crm import T, base, day, engine, micros

Row = dict[str, Any]
Rows = dict[str, list[Row]]

CONTACTS, ACCOUNTS, REPS, LEADS = ("C1", "C2", "C3"), ("A1", "A2"), ("R1", "R2"), ("L1", "L2", "L3")
#: Days around the instant asked about; 0 itself is included, for ≤ and < differ there.
whens = st.sampled_from([-200.0, -95.0, -30.0, -6.0, -1.0, -0.01, 0.0, 0.01, 1.0, 5.0, 40.0])
maybe = st.one_of(st.none(), whens)


def rows_of(table: str, **columns: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Row]]:
    """Up to four rows of a table; columns that hold days become instants, and the first column is a key."""
    key = {"opportunities": "opportunity_id", "activities": "activity_id", "touches": "touch_id"}.get(
        table, f"{table[:-1]}_id"
    )

    def instants(row: Row) -> Row:
        return {k: day(v) if isinstance(v, float) and k in TIMES else v for k, v in row.items()}

    made = st.lists(st.fixed_dictionaries(columns), max_size=4)
    return made.map(lambda rows: [{key: f"{table}{i}"} | instants(row) for i, row in enumerate(rows)])


TIMES = {
    "occurred_at", "created_at", "known_at", "starts_at", "cancelled_at", "opened_at", "closed_at", "offered_at",
    "answered_at", "converted_at", "valid_from", "expected_close",
}  # fmt: skip
SOLUTIONS = st.sampled_from(["payments", "analytics", None])


@st.composite
def crms(draw: st.DrawFn) -> Rows:
    """A CRM with facts before, at and after T in every table that feeds a feature."""
    contact, rep, account = st.sampled_from(CONTACTS), st.sampled_from(REPS), st.sampled_from(ACCOUNTS)
    rows: Rows = base()
    rows["leads"].append({"lead_id": "L3", "contact_id": "C2", "solution": "payments", "created_at": day(draw(whens))})
    rows["activities"] = draw(
        rows_of(
            "activities",
            contact_id=contact,
            kind=st.just("visit"),
            solution=SOLUTIONS,
            occurred_at=whens,
            known_at=maybe,
        )
    )
    rows["touches"] = draw(
        rows_of("touches", rep_id=rep, contact_id=contact, kind=st.just("call"), occurred_at=whens, known_at=maybe)
    )
    rows["meetings"] = draw(
        rows_of(
            "meetings",
            rep_id=rep,
            account_id=account,
            contact_id=contact,
            starts_at=whens,
            created_at=whens,
            cancelled_at=maybe,
            known_at=maybe,
        )
    )
    rows["opportunities"] = draw(
        rows_of(
            "opportunities",
            account_id=account,
            rep_id=rep,
            contact_id=contact,
            solution=SOLUTIONS,
            opened_at=whens,
            closed_at=maybe,
            outcome=st.sampled_from(["won", "lost"]),
            amount=st.sampled_from([None, 10.0, 500.0]),
        )
    )
    for opp in rows["opportunities"]:
        if opp["closed_at"] is None:
            opp["outcome"] = None
    rows["offers"] = draw(
        rows_of(
            "offers",
            lead_id=st.sampled_from(LEADS),
            rep_id=rep,
            offered_at=whens,
            answered_at=maybe,
            known_at=maybe,
            answer=st.sampled_from(["accepted", "rejected", "expired", "withdrawn", "reassigned"]),
            converted_at=maybe,
        )
    )
    for offer in rows["offers"]:
        if offer["answered_at"] is None:
            offer["answer"] = None
    rows["changes"] = draw(changes())
    return rows  # fmt: skip


def changes() -> st.SearchStrategy[list[Row]]:
    said = st.sampled_from(
        [
            ("accounts", "A1", "status", "customer"), ("accounts", "A1", "owner_rep_id", "R2"),
            ("accounts", "A2", "churn_risk", "0.7"), ("accounts", "A1", "annual_revenue", "5000000"),
            ("opportunities", "opportunities0", "forecast_weight", "0.6"),
            ("opportunities", "opportunities0", "amount", "700"), ("contacts", "C1", "title", "Treasurer"),
            ("contacts", "C1", "reports_to", "C2"), ("reps", "R1", "weekly_capacity", "3"),
            ("leads", "L1", "behavior_score", "9"),
        ]
    )  # fmt: skip
    keys = ("table_name", "row_id", "column_name", "value")
    made = st.lists(st.tuples(said, whens, maybe), max_size=4, unique_by=lambda c: (c[0][:3], c[1]))
    return made.map(
        lambda rows: [
            dict(zip(keys, what, strict=True)) | {"valid_from": day(at), "known_at": day(known) if known else None}
            for what, at, known in rows
        ]
    )


OWN = {
    "activities": "occurred_at", "touches": "occurred_at", "meetings": "created_at", "opportunities": "opened_at",
    "offers": "offered_at", "changes": "valid_from",
}  # fmt: skip


def past(rows: Rows) -> Rows:
    """What was known at T: rows dated or known later are deleted, and what later befell a row is struck out."""
    kept: Rows = {}
    for table, own in rows.items():
        if table not in OWN:
            kept[table] = [dict(row) for row in own]
            continue
        # Offers and outcomes count strictly before the instant; an opportunity may be the offer's own outcome.
        strict = table in ("offers", "opportunities")
        kept[table] = [
            dict(row) for row in own if not _later(row[OWN[table]], strict) and not _later(row.get("known_at"), strict)
        ]
    for row in kept["meetings"]:
        if _later(row["cancelled_at"]):
            row["cancelled_at"] = None
    for row in kept["opportunities"]:
        if _later(row["closed_at"], True):
            row["closed_at"] = row["outcome"] = None
    for row in kept["offers"]:
        if _later(row["answered_at"], True):
            row["answered_at"] = row["answer"] = None
        if _later(row["converted_at"], True):
            row["converted_at"] = None
    return kept  # fmt: skip


def _later(at: pd.Timestamp | None, strict: bool = False) -> bool:
    return at is not None and (at >= T if strict else at > T)


def asked(made: Engine) -> np.ndarray:
    pairs = [(lead, rep) for lead in ("L1", "L2") for rep in REPS]
    return made.matrix([p[0] for p in pairs], [p[1] for p in pairs], micros(T)).values


#: Shrinking a whole CRM takes minutes and tells little more than the names of the features that moved.
quick = settings(deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate])


@settings(quick, max_examples=30)
@given(crms())
def test_what_is_dated_or_known_after_the_instant_changes_no_feature(rows: Rows) -> None:
    with_future, without = engine(rows), engine(past(rows))
    columns = with_future.matrix(["L1"], ["R1"], micros(T)).columns
    told, plain = asked(with_future), asked(without)
    differ = [c for i, c in enumerate(columns) if not np.array_equal(told[:, i], plain[:, i], equal_nan=True)]
    # Categories are codes of the book's own vocabulary, so their words are compared instead.
    assert set(differ) <= {"account_status"}, differ


@settings(quick, max_examples=8)
@given(crms(), st.lists(st.tuples(st.sampled_from(LEADS), st.sampled_from(REPS), whens), min_size=1, max_size=8))
def test_a_batch_and_one_pair_at_a_time_give_the_same_bits(rows: Rows, pairs: list[tuple[str, str, float]]) -> None:
    made = engine(rows)
    lead, rep = [p[0] for p in pairs], [p[1] for p in pairs]
    t = np.array([micros(day(p[2])) for p in pairs], dtype=np.int64)
    together = made.matrix(lead, rep, t).values
    alone = np.concatenate([made.matrix([a], [b], at).values for a, b, at in zip(lead, rep, t, strict=True)])
    assert together.tobytes() == alone.tobytes()


def test_the_codes_of_another_vocabulary_are_those_that_its_engine_gives() -> None:
    rows = base()
    rows["accounts"][0]["region"], rows["accounts"][1]["region"] = "uk", "dach"
    made = engine(rows)
    words = {name: values[::-1] for name, values in made.vocabulary.values.items()}
    words["region"] = ("uk",)
    other = Engine(made.book, made.config, Vocabulary(words))
    pairs = ["L1", "L2"], ["R1", "R2"], micros(T)
    said = made.matrix(*pairs).recoded(other.vocabulary)
    assert said.values.tobytes() == other.matrix(*pairs).values.tobytes()
    assert said.vocabulary is other.vocabulary
    assert np.isnan(said.column("region")[1])  # a region that the other vocabulary lacks
    assert said.values.tobytes() != made.matrix(*pairs).values.tobytes()


def test_a_category_that_the_vocabulary_lacks_is_told_and_one_that_is_missing_is_not() -> None:
    rows = base()
    rows["accounts"][0]["region"], rows["accounts"][1]["region"] = "uk", None
    made = engine(rows)
    told: list[tuple[str, int]] = []
    for region in (("dach",), ("uk",)):
        words = Vocabulary({**made.vocabulary.values, "region": region})
        Engine(made.book, made.config, words, lambda *met: told.append(met)).matrix(
            ["L1", "L1", "L2"], ["R1", "R2", "R1"], micros(T)
        )
    assert told == [("region", 1)]  # of one lead, whoever may take it; L2's account has none


def test_an_id_that_the_data_lack_is_refused_by_name() -> None:
    with pytest.raises(UnknownId, match="no lead 'L9'") as found:
        engine(base()).matrix(["L9"], ["R1"], micros(T))
    assert (found.value.code, found.value.field) == ("lead_unknown", "lead_id")


def test_a_missing_instant_is_refused_with_its_row() -> None:
    with pytest.raises(InputError, match="row 2"):
        engine(base()).matrix(["L1", "L1"], ["R1", "R1"], np.array([micros(T), np.iinfo(np.int64).min]))
