"""Reasons: sentences with the pair's real values, never one that is not true of it."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.catalogue import BY_NAME, FEATURES
from features.errors import InputError
from models.product import Product
from models.reasons import STORIES, explain, sentence
from models.wording import date_text, duration_text
from tests.models.drawn import Drawn

FACTS = {"account": "Acme", "rep": "Ann Lee", "contact": "Mary Poe", "solution": "Payments", "timezone": "UTC"}
T = int(datetime(2026, 3, 2, 9, tzinfo=UTC).timestamp() * 1e6)


@pytest.mark.parametrize(
    ("name", "value", "helps", "said"),
    [
        ("days_to_meeting", 3.2, True, "You meet Acme on 5 March."),
        ("days_to_meeting", 0.1, True, "You meet Acme today."),
        ("days_to_meeting", 1.0, True, "You meet Acme tomorrow."),
        ("days_since_meeting", 80.0, True, "You met Acme on 12 December 2025."),
        ("days_since_touch", 1.0, True, "You last contacted Acme yesterday."),
        ("contact_recency", 170.0, True, "Mary Poe was active on 20 February."),
        ("contact_recency", 0.0, True, None),
        ("contact_recency", 0.0, False, "Mary Poe has not been active lately."),
        ("contact_recency", 90.0, False, None),
        ("owner_is_rep", 1.0, True, "You own Acme."),
        ("owner_is_rep", 0.0, True, None),
        ("owner_is_rep", 0.0, False, "You do not own Acme."),
        ("owner_is_rep", 1.0, False, None),
        ("product_line_match", 1.0, True, "Payments is on your line."),
        ("open_opportunities", 1.0, True, "Acme has 1 open opportunity."),
        ("open_opportunities", 3.0, True, "Acme has 3 open opportunities."),
        ("open_opportunities", 0.0, False, "Acme has no open opportunities."),
        ("wins", 1.0, True, "Acme has bought once before."),
        ("wins", 0.0, True, None),
        ("wins", 0.0, False, "Acme has not bought before."),
        ("wins", 2.0, False, None),
        ("losses", 1.0, False, "1 opportunity at Acme was lost before."),
        ("losses", 2.0, False, "2 opportunities at Acme were lost before."),
        ("losses", 0.0, False, None),
        ("accepted_here", 1.0, True, "You have accepted 1 lead of Acme before."),
        ("rep_accept_rate", 0.413, True, "You accept 41 % of your leads."),
        ("load_share", 0.1, True, "Of a whole week you have places left."),  # of a Friday's two, one
        ("load_share", 0.9, True, None),
        ("load_share", 0.1, False, "10 % of a whole week's places are taken."),
        ("tenure_days", 800.0, True, "You have been here for 2 years."),
        ("tenure_days", 45.0, False, "You have been here for 45 days."),
        ("industry_depth", 0.0, False, "Acme is outside your industries."),
        ("industry_depth", 2.0, False, None),
        ("days_to_meeting", math.nan, True, None),
        ("rep_id", 3.0, True, None),
    ],
)
def test_sentences_by_hand(name: str, value: float, helps: bool, said: str | None) -> None:
    assert sentence(BY_NAME[name], value, helps, FACTS, T, typical=0.5) == said


def test_a_date_is_told_in_the_reps_zone() -> None:
    night = int(datetime(2026, 3, 2, 22, tzinfo=UTC).timestamp() * 1e6)
    asked = (BY_NAME["days_to_meeting"], 4.0, True)
    assert sentence(*asked, FACTS, night) == "You meet Acme on 6 March."
    assert sentence(*asked, FACTS | {"timezone": "Asia/Tokyo"}, night) == "You meet Acme on 7 March."
    assert sentence(*asked, FACTS | {"timezone": "Mars/Base"}, night) == "You meet Acme on 6 March."


@pytest.mark.parametrize("hole", [None, "", "  \n"])
def test_a_missing_fact_leaves_the_sentence_out(hole: str | None) -> None:
    assert sentence(BY_NAME["owner_is_rep"], 1.0, True, FACTS | {"account": hole}, T) is None
    assert sentence(BY_NAME["owner_is_rep"], 1.0, True, {}, T) is None


def test_names_are_text_and_nothing_else() -> None:
    odd = FACTS | {"account": "A{value}\nB {0} 1 times"}
    assert sentence(BY_NAME["owner_is_rep"], 1.0, True, odd, T) == "You own A{value} B {0} 1 times."


@given(
    feature=st.sampled_from(FEATURES),
    value=st.one_of(st.floats(0, 5000, width=32), st.sampled_from([0.0, 1.0, math.nan])),
    helps=st.booleans(),
    typical=st.one_of(st.none(), st.floats(0, 100)),
)
def test_no_sentence_is_broken(feature: object, value: float, helps: bool, typical: float | None) -> None:
    text = sentence(feature, value, helps, FACTS, T, typical)  # type: ignore[arg-type]
    if text is not None:
        assert math.isfinite(value)
        assert not re.search(r"[{}]|nan|None|\b1 (times|leads|opportunities|days|contacts|colleagues)\b", text)
        assert text.endswith(".")
        assert text[0].isupper() or text[0].isdigit()


def test_the_strongest_reasons_of_each_pair(product: Product, later: Drawn) -> None:
    matrix = later.matrix.take(np.arange(60))
    effects = product.contributions(matrix).values
    told = explain(product, matrix, [FACTS] * 60)
    place = {name: i for i, name in enumerate(matrix.columns)}
    story_of = {name: story for story in STORIES for name in story}
    assert max(map(len, told)) >= 3
    for row, reasons in enumerate(told):
        helping, hurting = [r for r in reasons if r.effect > 0], [r for r in reasons if r.effect < 0]
        assert reasons == helping + hurting
        assert len(helping) <= 3
        assert len(hurting) <= 2
        assert helping == sorted(helping, key=lambda r: -r.effect)
        assert hurting == sorted(hurting, key=lambda r: r.effect)
        assert len({r.text for r in reasons}) == len(reasons)
        for reason in reasons:
            story = story_of.get(reason.feature, (reason.feature,))
            assert reason.effect == pytest.approx(sum(effects[row, place[name]] for name in story))
    assert explain(product, matrix.take(np.arange(0)), []) == []
    short = explain(product, matrix, [FACTS] * 60, helping=1, hurting=0)
    assert all(len(reasons) <= 1 for reasons in short)


def test_a_meeting_is_told_once_by_its_date(product: Product, later: Drawn) -> None:
    matrix = later.matrix.take(np.arange(40))
    values = matrix.values.copy()
    for name, value in (("days_to_meeting", 3.0), ("meeting_14d", 1.0), ("meeting_28d", 1.0)):
        values[:, matrix.columns.index(name)] = value
    told = explain(product, replace(matrix, values=values), [FACTS] * 40, helping=10)
    meetings = [[r.text for r in reasons if "You meet" in r.text] for reasons in told]
    assert max(map(len, meetings)) == 1


def test_facts_are_row_for_row(product: Product, later: Drawn) -> None:
    with pytest.raises(InputError, match="facts of 1"):
        explain(product, later.matrix.take(np.arange(3)), [FACTS])


def test_dates_and_durations() -> None:
    today = date(2026, 3, 2)
    assert date_text(date(2027, 1, 1), today) == "on 1 January 2027"
    assert [duration_text(d) for d in (0.5, 1, 59.9, 60, 729, 731)] == [
        "less than a day", "1 day", "59 days", "1 month", "23 months", "2 years",
    ]  # fmt: skip
