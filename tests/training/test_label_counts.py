"""What each rule took, counted by hand on a log of ten offers, and said so that a person can add it up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from features.asof import DAY
from tests.features.small_crm import day, micros
from tests.training.drawn import START, config, draw_examples
from tests.training.test_examples import examples, offer
from training.blocks import Block, Cut, final_cut, rolling_cuts
from training.label_counts import LabelCounts

NOW = START + 420 * DAY


def test_each_rule_counts_what_it_took() -> None:
    yes: dict[str, Any] = {"answer": "accepted"}
    log = [
        offer("old yes", 0, **yes, answered_at=day(0.1)),
        offer("re-offer", 1, rep_id="R2", answer="rejected", answered_at=day(1.1), attempt=2),
        offer("late yes", 2, **yes, answered_at=day(9)),
        offer("converted", 3, **yes, answered_at=day(3.1), converted_at=day(20)),
        offer("no, yet it converted", 4, answer="rejected", answered_at=day(4.1), converted_at=day(20)),
        offer("advanced", 5, **yes, answered_at=day(5.1), opportunity_id="P1"),
        offer("young", 60, **yes, answered_at=day(60.1), converted_at=day(70)),
        offer("open", 119.9),
        offer("gone", 6, answer="withdrawn", answered_at=day(6.1)),
        offer("handed on", 7, answer="reassigned", answered_at=day(7.1)),
    ]
    for row in log:
        row.setdefault("attempt", 1)
    deal = {"opportunity_id": "P1", "account_id": "A1", "rep_id": "R1", "opened_at": day(-9)}
    moved = {"table_name": "opportunities", "row_id": "P1", "column_name": "stage", "value": "propose"}
    rows = examples(log, opportunities=[deal], changes=[moved | {"valid_from": day(94)}])
    at = micros(day(120))
    every = np.arange(len(rows))
    ripe, none = every[rows.due <= at], Block(every[:0], rows.labels(at, every[:0]))
    cut = Cut(at, Block(ripe, rows.labels(at, ripe, young=True)), none, none)
    counts = LabelCounts.of(rows, cut, [cut])
    assert {rule: n for rule, n in counts.log.items() if n and not rule.startswith("kept")} == {
        "offers": 10, "withdrawn": 1, "reassigned": 1, "examples": 8, "re-offers": 1, "accepted after the SLA": 1,
        "converted, never accepted": 1, "advanced": 1, "SLA not passed": 1, "horizon not passed": 1,
    }  # fmt: skip
    assert {what: n for what, n in counts.blocks["train"].items() if n} == {
        "offers": 7, "answer known": 7, "accepted": 5, "conversion known": 6, "converted": 1,
    }  # fmt: skip
    late = offer("handed on late", 7, answer="reassigned", answered_at=day(20), attempt=1)
    more = examples([*log, late], opportunities=[deal], changes=[moved | {"valid_from": day(94)}])
    told = LabelCounts.of(more, cut, [cut])
    assert (told.log["reassigned"], told.log["examples"], told.log["taken back after the SLA"]) == (1, 9, 1)
    assert "1 advanced (no conversion: the opportunity was open already)" in counts.words()
    assert counts.flat["train: accepted"] == 5


def test_what_a_block_knows_adds_up() -> None:
    rows = draw_examples(4)
    final, cuts = final_cut(rows, config(), NOW), rolling_cuts(rows, config(), NOW)
    counts = LabelCounts.of(rows, final, cuts)
    train, test = counts.blocks["train"], counts.blocks["test"]
    young = rows.convert_due[final.train.rows] > NOW
    assert train["conversion known"] == (~young).sum()
    assert 0 < train["worth, in offers past it"] < train["younger than the horizon"] <= young.sum()
    seen = rows.converted_known[final.train.rows][young]
    assert train["converted already"] <= ((seen > 0) & (seen <= NOW)).sum()
    assert test["offers"] == test["answer known"] == test["conversion known"] == sum(len(cut.test) for cut in cuts)
    assert test["younger than the horizon"] == 0


def test_what_took_nothing_is_not_told_and_the_filters_of_reps_are_one() -> None:
    rows = draw_examples(4)
    log = dict(rows.counts) | {"withdrawn": 0, "left out: buyer": 12, "kept although: territory": 3}
    rows = replace(rows, counts=log | {"kept although: role": 2})
    counts = LabelCounts.of(rows, final_cut(rows, config(), NOW), rolling_cuts(rows, config(), NOW))
    told = {line.rule: line.offers for line in counts.lines()}
    assert told["buyer"] == 12
    assert "withdrawn" not in told
    assert told["against a rep's filters"] == 5
    assert counts.flat["kept although: territory"] == 3
