"""What is kept of a training: counts that come back as they were, outcomes at their own age, and nobody's name."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from features.asof import DAY
from features.book import Book
from features.engine import Engine
from features.errors import ModelError
from features.matrix import Vocabulary
from features.outcomes import ACCEPTED
from tests.training.drawn import draw_examples
from tests.training.monitor.conftest import World
from training.monitor.recent import in_codes_of, latest_fact
from training.monitor.reference import HEADS, WEEK, Reference, by_week, ripened


def test_it_comes_back_from_its_text_as_it_was(world: World) -> None:
    again = Reference.of_text(world.reference.text)
    assert again.text == world.reference.text
    for name, counted in world.reference.features.items():
        assert counted.rows == world.reference.rows
        assert (again.features[name].weeks == counted.weeks).all()
    assert sum(world.reference.weights.values()) == pytest.approx(1)
    with pytest.raises(ModelError, match="train again"):
        Reference.of_text(json.dumps({**json.loads(world.reference.text), "format": 0}))


def test_it_names_nobody(world: World) -> None:
    tables = world.snapshot.tables
    text = world.reference.text
    names = [*tables["contacts"]["email"].dropna(), *tables["contacts"]["contact_id"], *tables["accounts"]["name"]]
    names += [*tables["reps"]["name"], *tables["reps"]["rep_id"], *tables["accounts"]["account_id"]]
    assert not [name for name in names if f'"{name}"' in text or (len(name) > 6 and name in text)]


def test_weeks_are_counted_back_from_the_end() -> None:
    counts = by_week(np.array([0, 0, 2, 2, 2]), np.array([0, 1, 1, 1, 0]), 2)
    assert counts.tolist() == [[1, 2], [0, 0], [1, 1]]
    assert by_week(np.array([], np.int64), np.array([], np.int64), 2).shape == (0, 2)


def test_an_outcome_counts_at_its_own_age_however_early_the_news() -> None:
    examples = draw_examples(seed=2, n=2000)
    until = int(examples.offered[1500])
    for head, due in zip(HEADS, (examples.due, examples.convert_due), strict=True):
        rows, outcome, ripe = ripened(head, examples, until - 28 * DAY, until)
        by_hand = np.flatnonzero((np.maximum(due, examples.due) > until - 28 * DAY) & (due <= until))
        by_hand = by_hand[np.maximum(due, examples.due)[by_hand] <= until]
        assert rows.tolist() == by_hand.tolist()
        assert (ripe > until - 28 * DAY).all()
        yes = (examples.answer[rows] == ACCEPTED) & (examples.answered[rows] <= until)
        if head == "convert":
            yes &= (examples.converted_known[rows] > 0) & (examples.converted_known[rows] <= until)
        assert (outcome == yes).all()


def test_the_rate_then_is_that_of_all_that_was_ripe(world: World) -> None:
    for head in HEADS:
        reference = world.reference.heads[head]
        assert 0 < reference.rate < 1
        assert reference.weeks.sum() > 500
    span = len(world.reference.heads["accept"].weeks) * WEEK
    assert span >= world.reference.cut - world.reference.first - 2 * WEEK


def test_foreign_codes_are_those_of_the_engine_and_what_is_unseen_is_told_from_what_is_missing(world: World) -> None:
    book = Book.of(world.snapshot, world.config)
    own = Engine(book, world.config)
    rows = np.arange(60)
    leads, reps, at = (getattr(book.outcomes, part)[rows] for part in ("lead", "rep", "offered"))
    fewer = {name: words[1:] if len(words) > 1 else words for name, words in own.vocabulary.values.items()}
    theirs = Engine(book, world.config, Vocabulary(fewer)).matrix_of(leads, reps, at)
    ours = own.matrix_of(leads, reps, at)
    made, unseen = in_codes_of(ours, Vocabulary(fewer))
    np.testing.assert_array_equal(made.values, theirs.values)
    for name in fewer:
        column = ours.column(name)
        hidden = (column == 0) & (len(own.vocabulary.values[name]) > 1)
        assert (unseen[:, ours.columns.index(name)] == hidden).all()


def test_the_latest_fact_is_not_one_that_is_still_to_come() -> None:
    times = pd.to_datetime(["2026-01-01", "2026-02-01", None], utc=True)
    tables = {"activities": pd.DataFrame({"occurred_at": times}), "reps": pd.DataFrame({"rep_id": ["R1"]})}
    first, last = (int(times[i].value // 1000) for i in (0, 1))
    assert latest_fact(tables, last) == last
    assert latest_fact(tables, last - 1) == first
    assert latest_fact(tables, first - 1) is None
