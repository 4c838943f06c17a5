"""Which opportunity is whose: one offer's conversion each, wins within their horizon, and what only moved on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.asof import NAT
from features.book import Book
from features.outcomes import Outcomes
from tests.features.small_crm import T, day, micros
from tests.features.test_outcomes import book, converted, offer, opportunity, tally

HORIZON = 90


def outcomes(offers: list[dict[str, Any]], **more: list[dict[str, Any]]) -> Outcomes:
    return book(offers, **more).outcomes


def accepted(name: str, at: float, **more: Any) -> dict[str, Any]:
    return offer(offer_id=name, offered_at=day(at), answer="accepted", answered_at=day(at + 0.1)) | more


def at_days(instants: np.ndarray) -> list[float | None]:
    return [None if t == NAT else round((t - micros(T)) / 86_400_000_000, 3) for t in instants.tolist()]


def stage(at: float, row: str = "P1", value: str = "propose") -> dict[str, Any]:
    known = {"table_name": "opportunities", "row_id": row, "column_name": "stage"}
    return known | {"value": value, "valid_from": day(at)}


def test_an_opportunity_is_the_conversion_of_the_offer_that_was_accepted_last_before_it() -> None:
    log = [accepted("first", 0), accepted("last", 5), accepted("after", 12)]
    assert at_days(outcomes(log, opportunities=[opportunity()]).converted) == [None, 10, None]


def test_what_was_said_no_to_claims_nothing_from_what_was_accepted() -> None:
    log = [accepted("yes", 0), offer(offer_id="no", offered_at=day(5), answer="rejected", answered_at=day(5.1))]
    assert at_days(outcomes(log, opportunities=[opportunity()]).converted) == [10, None]


def test_a_yes_that_was_written_down_after_the_opportunity_converts_all_the_same() -> None:
    assert at_days(outcomes([accepted("late", 0, answered_at=day(11))], opportunities=[opportunity()]).converted) == [
        10
    ]
    both = [accepted("prompt", 0), accepted("late", 5, answered_at=day(11))]
    assert at_days(outcomes(both, opportunities=[opportunity()]).converted) == [10, None]


def test_an_offer_takes_the_first_of_those_that_fall_to_it() -> None:
    opps = [
        opportunity(),
        opportunity(opportunity_id="P2", opened_at=day(8)),
        opportunity(opportunity_id="P3", opened_at=day(40)),
    ]
    log = [accepted("one", 0), accepted("two", 20)]
    assert at_days(outcomes(log, opportunities=opps).converted) == [8, 40]


def test_an_offer_that_tells_only_when_it_converted_leaves_that_days_opportunity_to_no_other() -> None:
    log = [accepted("told", 0, converted_at=day(10.4)), accepted("silent", 5)]
    won = opportunity(closed_at=day(50), outcome="won")
    made = outcomes(log, opportunities=[won])
    assert at_days(made.converted) == [10.4, None]
    assert at_days(made.won) == [50, None]
    far = [accepted("told", 0, converted_at=day(12)), accepted("silent", 5)]
    assert at_days(outcomes(far, opportunities=[won]).converted) == [12, 10]


def test_a_named_opportunity_beyond_its_offers_horizon_is_still_not_anothers() -> None:
    log = [accepted("named", -85, opportunity_id="P1"), accepted("silent", 0)]
    assert at_days(outcomes(log, opportunities=[opportunity()]).converted) == [None, None]


@pytest.mark.parametrize(("closed", "won"), [(60, 60), (365, 365), (366, None), (10, 10)])
def test_a_win_counts_within_its_own_horizon(closed: float, won: float | None) -> None:
    opps = [opportunity(closed_at=day(closed), outcome="won")]
    assert at_days(outcomes([accepted("o", 0)], opportunities=opps).won) == [won]


def test_a_deal_that_was_won_before_the_offer_is_not_its_win() -> None:
    old = opportunity(opened_at=day(-90), closed_at=day(-30), outcome="won")
    log = [accepted("o", 0, opportunity_id="P1", converted_at=day(7))]
    made = outcomes(log, opportunities=[old])
    assert (at_days(made.converted), at_days(made.won)) == ([7], [None])


def test_what_a_rep_opens_after_saying_no_is_no_conversion_in_the_reps_record() -> None:
    def rate(answer: str) -> tuple[float, float]:
        made = book([offer(answer=answer, answered_at=day(0.1))], opportunities=[opportunity()])
        hits, count = made.offer_logs.rep.convert.before(np.array([0]), np.array([micros(day(200))]))
        return float(hits[0]), float(count[0])

    assert rate("accepted") == (1, 1)
    assert rate("rejected") == rate("expired") == (0, 1)
    assert tally([offer(answer="rejected", answered_at=day(0.1))], 9) == (0, 1)


OPEN = opportunity(opened_at=day(-20), stage="propose")


@pytest.mark.parametrize(
    ("log", "opps", "moves", "advanced"),
    [
        pytest.param(offer(opportunity_id="P1"), [OPEN], [stage(12)], True, id="its own moved on"),
        pytest.param(offer(), [OPEN], [stage(12)], True, id="one of account and rep moved on"),
        pytest.param(offer(rep_id="R2"), [OPEN], [stage(12)], False, id="another rep's"),
        pytest.param(offer(opportunity_id="P1"), [OPEN], [], False, id="it stayed where it was"),
        pytest.param(offer(), [OPEN], [stage(-5)], False, id="it moved before"),
        pytest.param(offer(), [OPEN], [stage(-20)], False, id="the stage it was opened in"),
        pytest.param(offer(), [OPEN], [stage(HORIZON)], True, id="on the last day of the horizon"),
        pytest.param(offer(), [OPEN], [stage(HORIZON + 1)], False, id="beyond the horizon"),
        pytest.param(offer(), [OPEN], [stage(HORIZON + 1), stage(3)], True, id="twice"),
        pytest.param(offer(), [OPEN | {"outcome": "won", "closed_at": day(30)}], [], True, id="it was won"),
        pytest.param(offer(), [OPEN | {"outcome": "lost", "closed_at": day(30)}], [], False, id="it was lost"),
        pytest.param(
            offer(opportunity_id="P1"), [OPEN, OPEN | {"opportunity_id": "P2"}], [stage(12, "P2")], False,
            id="another one than its own",
        ),
        pytest.param(
            offer(), [OPEN, opportunity(opportunity_id="P2", opened_at=day(5))], [stage(12)], False,
            id="it converted",
        ),
        pytest.param(
            offer(), [opportunity(forecast_weight=0.05, opened_at=day(5))], [stage(12)], False,
            id="new, if too light to count",
        ),
    ],
)  # fmt: skip
def test_an_opportunity_that_was_open_already_advances(
    log: dict[str, Any], opps: list[dict[str, Any]], moves: list[dict[str, Any]], advanced: bool
) -> None:
    made = outcomes([log | {"answer": "accepted", "answered_at": day(0.1)}], opportunities=opps, changes=moves)
    assert made.advanced.tolist() == [advanced]
    assert (converted([log], opportunities=opps) != NAT) == (made.converted[0] != NAT)


def test_the_attempt_is_as_told_else_counted() -> None:
    log = [
        offer(offer_id="b", offered_at=day(3)),
        offer(offer_id="a"),
        offer(offer_id="c", offered_at=day(6), attempt=7),
    ]
    assert outcomes(log).attempt.tolist() == [2, 1, 7]


@given(st.integers(0, 100_000))
@settings(max_examples=60)
def test_whose_opportunity_it_is_agrees_with_the_rule_read_out_loud(seed: int) -> None:
    rng = np.random.default_rng(seed)
    made, opened = (
        rng.choice(np.arange(0, 200, 2), 5, replace=False),
        rng.choice(np.arange(1, 260, 2), 4, replace=False),
    )
    reps = rng.choice(["R1", "R2"], 5)
    yes = rng.random(5) < 0.6
    log = [
        offer(offer_id=f"O{i}", rep_id=str(reps[i]), offered_at=day(float(made[i])))
        | ({"answer": "accepted", "answered_at": day(float(made[i]) + 0.5)} if yes[i] else {})
        for i in range(5)
    ]
    opps = [opportunity(opportunity_id=f"P{j}", opened_at=day(float(t))) for j, t in enumerate(opened)]
    expected: dict[int, float] = {}
    for t in sorted(opened.tolist()):
        mine = [i for i in range(5) if reps[i] == "R1" and made[i] < t]
        took = [i for i in mine if yes[i]] or mine
        if took:
            last = max(took, key=lambda i: made[i])
            if t - made[last] <= HORIZON:
                expected.setdefault(last, t)
    assert at_days(outcomes(log, opportunities=opps).converted) == [expected.get(i) for i in range(5)]


@given(st.integers(0, 100_000))
@settings(max_examples=30)
def test_the_order_of_rows_decides_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    log = [
        offer(offer_id=f"O{i}", offered_at=day(float(rng.integers(0, 3))))
        | ({"answer": "accepted", "answered_at": day(4)} if rng.random() < 0.6 else {})
        for i in range(6)
    ]
    days = rng.integers(3, 8, 4)
    end = {"outcome": "won", "closed_at": day(20)}
    opps = [opportunity(opportunity_id=f"P{j}", opened_at=day(float(days[j]))) | end for j in range(4)]
    mixed = rng.permutation(6)
    plain = outcomes(log, opportunities=opps)
    other = outcomes([log[i] for i in mixed], opportunities=[opps[j] for j in rng.permutation(4)])
    for name in ("converted", "won", "advanced", "attempt"):
        np.testing.assert_array_equal(getattr(other, name), getattr(plain, name)[mixed])


def test_tables_that_are_part_of_a_longer_one_read_the_same() -> None:
    log = [accepted(f"O{i}", i) for i in range(4)]
    opps = [opportunity(opportunity_id=f"P{i}", opened_at=day(9 + i)) for i in range(2)]
    made = book(log, opportunities=opps)
    tables = dict(made.tables)
    for name in ("offers", "opportunities"):
        tables[name] = tables[name].set_index(np.arange(len(tables[name])) + 7)
    again = Book(tables, made.config, made.now).outcomes
    np.testing.assert_array_equal(again.converted, made.outcomes.converted)
