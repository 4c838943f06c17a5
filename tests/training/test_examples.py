"""Offers into labelled examples: which leave, which stay, what each is worth, and what competed with what."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import NotEnoughData
from tests.features.small_crm import T, base, day, engine, micros
from training.examples import Examples, gather, group_ids

LATER = micros(day(400))


def offer(name: str, at: float, **more: Any) -> dict[str, Any]:
    return {"offer_id": name, "lead_id": "L1", "rep_id": "R1", "offered_at": day(at)} | more


def examples(offers: list[dict[str, Any]], **tables: list[dict[str, Any]]) -> Examples:
    made = engine(base() | tables | {"offers": offers})
    made.book.now = LATER
    return gather(made.book, made)


def labels(offers: list[dict[str, Any]], at: float, **tables: list[dict[str, Any]]) -> dict[str, tuple[Any, ...]]:
    rows = examples(offers, **tables)
    seen = rows.labels(micros(day(at)), np.arange(len(rows)))
    each = zip(seen.grade.tolist(), seen.accepted.tolist(), seen.converted.tolist(), strict=True)
    return dict(zip(rows.offer_id.tolist(), each, strict=True))


def test_every_answer_at_every_age() -> None:
    log = [
        offer("yes", 0, answer="accepted", answered_at=day(0.1)),
        offer("no", 0, rep_id="R2", answer="rejected", answered_at=day(0.1), reject_reason="bad_fit"),
        offer("silent", 0.2),
        offer("late", 0.3, answer="expired"),
    ]
    unknown = (-1, pytest.approx(np.nan, nan_ok=True), pytest.approx(np.nan, nan_ok=True))
    assert labels(log, 0.5) == dict.fromkeys(("yes", "no", "silent", "late"), unknown)
    young = labels(log, 30)
    assert {name: row[:2] for name, row in young.items()} == {
        "yes": (-1, 1.0), "no": (-1, 0.0), "silent": (-1, 0.0), "late": (-1, 0.0)
    }  # fmt: skip
    assert labels(log, 95) == {
        "yes": (1, 1.0, 0.0),
        "no": (0, 0.0, 0.0),
        "silent": (0, 0.0, 0.0),
        "late": (0, 0.0, 0.0),
    }


def test_a_conversion_counts_once_its_horizon_has_passed_and_only_when_it_was_in_time() -> None:
    log = [
        offer("soon", 0, answer="accepted", answered_at=day(0.1), converted_at=day(5)),
        offer("too_late", 0.1, answer="accepted", answered_at=day(0.2), converted_at=day(120)),
    ]
    assert labels(log, 60)["soon"][0] == -1
    seen = labels(log, 130)
    assert seen["soon"] == (2, 1.0, 1.0)
    assert seen["too_late"] == (1, 1.0, 0.0)


def test_the_first_new_opportunity_of_account_and_rep_converts() -> None:
    log = [offer("o", 0, answer="accepted", answered_at=day(0.1))]
    opened: dict[str, Any] = {"opportunity_id": "P1", "account_id": "A1", "rep_id": "R1", "opened_at": day(10)}
    assert labels(log, 95, opportunities=[opened])["o"][0] == 2
    assert labels(log, 95, opportunities=[opened | {"forecast_weight": 0.05}])["o"][0] == 1
    assert labels(log, 95, opportunities=[opened | {"opened_at": day(-1)}])["o"][0] == 1
    assert labels(log, 95, opportunities=[opened | {"rep_id": "R2"}])["o"][0] == 1
    assert labels(log, 95, opportunities=[opened | {"known_at": day(96)}])["o"][0] == 1
    won = opened | {"outcome": "won", "closed_at": day(40)}
    assert labels(log, 95, opportunities=[won])["o"][0] == 2
    assert labels(log, 366, opportunities=[won])["o"][0] == 3


def test_what_leaves_is_counted_by_rule() -> None:
    log = [
        offer("kept", 0, answer="rejected", answered_at=day(0.1)),
        offer("taken_back", 1, answer="withdrawn", answered_at=day(1.1)),
        offer("handed_on", 2, answer="reassigned", answered_at=day(2.1)),
        offer("no_buyer", 3, lead_id="L2", answer="accepted", answered_at=day(3.1)),
        offer("objects", 4, lead_id="L3", answer="accepted", answered_at=day(4.1)),
        offer("future", 500),
    ]
    tables = base()
    tables["contacts"].append(
        {
            "contact_id": "C4",
            "account_id": "A1",
            "title": "CFO, Treasury",
            "created_at": day(-9),
            "objects_to_profiling": True,
        }
    )
    tables["contacts"][0]["title"] = "Director of Treasury"
    tables["contacts"][2] |= {"title": "Receptionist", "function": "Operations", "seniority": "staff"}
    tables["leads"].append({"lead_id": "L3", "contact_id": "C4", "solution": "payments", "created_at": day(-1)})
    rows = examples(log, contacts=tables["contacts"], leads=tables["leads"])
    assert rows.offer_id.tolist() == ["kept"]
    counts = rows.counts
    assert (counts["offers"], counts["withdrawn"], counts["reassigned"], counts["after now"]) == (6, 1, 1, 1)
    assert (counts["left out: buyer"], counts["left out: objects"], counts["examples"]) == (1, 1, 1)
    assert sum(n for rule, n in counts.items() if not rule.startswith(("kept", "offers"))) == counts["offers"]


def test_an_offer_that_expired_before_it_was_handed_on_is_a_failure_and_labels_and_features_agree() -> None:
    log = [
        offer("let_lie", 0, answer="reassigned", answered_at=day(9)),
        offer("taken_back_late", 0.1, answer="withdrawn", answered_at=day(9)),
        offer("handed_on_at_once", 0.2, answer="reassigned", answered_at=day(0.5)),
    ]
    assert labels(log, 95) == {"let_lie": (0, 0.0, 0.0), "taken_back_late": (0, 0.0, 0.0)}
    assert {name: row[1] for name, row in labels(log, 5).items()} == {"let_lie": 0.0, "taken_back_late": 0.0}
    made = engine(base() | {"offers": log}).book
    hits, count = made.offer_logs.rep.accept.before(np.array([0]), np.array([micros(day(20))]))
    assert (hits[0], count[0]) == (0, 2)


@pytest.mark.parametrize(("taken", "cut"), [(0.5, 3), (1.3, 3), (2, 3), (9, 3), (9, 12), (9, 95), (200, 95)])
def test_what_a_cut_knows_of_an_offer_hangs_on_nothing_that_came_after_it(taken: float, cut: float) -> None:
    """With what came after the cut struck out, the same offers teach the same."""
    log = [
        offer("first", 0, answer="reassigned", answered_at=day(taken)),
        offer("second", 0.1, answer="rejected", answered_at=day(0.2)),
    ]
    struck = [row if row["answered_at"] <= day(cut) else offer("first", 0) for row in log]
    assert repr(labels(log, cut)) == repr(labels(struck, cut))  # NaN is not NaN


def test_what_the_past_policy_should_not_have_done_still_teaches() -> None:
    tables = base()
    tables["leads"][0]["closed_at"] = day(-0.5)
    rows = examples([offer("closed", 0, answer="accepted", answered_at=day(0.1))], leads=tables["leads"])
    assert rows.counts["kept although: lead_closed"] == len(rows) == 1


def test_no_offer_left_is_said_with_what_took_them() -> None:
    with pytest.raises(NotEnoughData, match="withdrawn 1"):
        examples([offer("o", 0, answer="withdrawn", answered_at=day(1))])


def test_rows_come_oldest_first_whatever_their_order_in_the_table() -> None:
    log = [offer(f"o{i}", i % 3, answer="rejected", answered_at=day(i % 3 + 0.1)) for i in range(6)]
    first, second = examples(log), examples(log[::-1])
    assert first.offer_id.tolist() == second.offer_id.tolist() == ["o0", "o3", "o1", "o4", "o2", "o5"]
    np.testing.assert_array_equal(first.matrix.values, second.matrix.values)


def test_slices_are_as_of_the_offer() -> None:
    tables = base()
    tables["accounts"][0]["customer_since"] = day(1)
    log = [offer("before", 0), offer("after", 2)]
    rows = examples(log, accounts=tables["accounts"])
    assert rows.slices["relationship"].tolist() == ["new", "existing"]
    assert rows.slices.iloc[0][["role", "region", "solution", "tenure", "account_size"]].tolist() == [
        "enterprise", "uk", "payments", "1 to 3 years", "1,000 to 4,999"
    ]  # fmt: skip


@given(st.integers(0, 10_000), st.integers(2, 9))
@settings(max_examples=30)
def test_groups_are_market_region_and_week_cut_evenly_when_large(seed: int, limit: int) -> None:
    rng = np.random.default_rng(seed)
    market, region, week = rng.integers(0, 2, 60), rng.integers(-1, 2, 60), rng.integers(0, 2, 60)
    group = group_ids(market, region, week, limit)
    sizes = np.bincount(group)
    assert 0 < sizes.min() <= sizes.max() <= limit
    cell = market * 100 + region * 10 + week
    for g in range(len(sizes)):
        assert len(np.unique(cell[group == g])) == 1
    whole = group_ids(market, region, week)
    assert len(np.unique(whole)) == len(np.unique(cell))


def test_the_instant_of_the_offer_is_the_instant_of_its_features() -> None:
    rows = examples([offer("o", 0)])
    assert rows.matrix.as_of.tolist() == [micros(T)]
