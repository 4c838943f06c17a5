"""What the ledger keeps and for how long: which configurations decided, what explains a decision, and its journal."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, insert, select

from features.config import read_config
from features.schema import TABLES
from serving.ledger import Ledger
from serving.ledger.audit import verify
from serving.ledger.change import changed_since, changing, seq_of
from serving.ledger.configurations import note, noted
from serving.ledger.prune import Pruned, is_due, prune
from serving.ledger.tables import DECISION_DETAILS, DECISIONS, JOURNAL
from tests.serving.ledger.small import CONFIG, DECIDED, OFFERED, furnish, give, hours, offer

MARKETS = "markets: {all: {countries: [DE]}, some: {countries: [US]}}\ntimezone: UTC\n"


@pytest.fixture
def stood(ledger: Ledger) -> Ledger:
    furnish(ledger)
    return ledger


def decide(ledger: Ledger, decision_id: str, days: int) -> None:
    row = {
        "decision_id": decision_id, "at": OFFERED - timedelta(days=days), "actor": "local", "route": "r",
        "as_of": OFFERED, "policy": "champion", "rung": "champion", "feature_version": "f", "config_fingerprint": "c",
        "inputs_hash": "h", "book_seq": 1, "candidates": 1, "refused": "{}",
    }  # fmt: skip
    with changing(ledger, OFFERED) as change:
        change.connection.execute(insert(DECISIONS).values(**row))
        change.connection.execute(insert(DECISION_DETAILS).values(decision_id=decision_id, body=b""))


def test_a_configuration_is_noted_when_it_is_another_one_with_the_keys_that_changed(stood: Ledger) -> None:
    first, second = read_config(MARKETS), read_config(MARKETS + "sla: {by_role: {enterprise: 3d}}\n")
    swapped = read_config("markets: {some: {countries: [US]}, all: {countries: [DE]}}\ntimezone: UTC\n")
    same = read_config(MARKETS + "retention: {decisions: 90d}\n")
    assert [note(stood, one, "cli") for one in (first, first, same, second, swapped)] == [
        True,
        False,
        False,
        True,
        True,
    ]
    with stood.reading() as connection:
        told = noted(connection)
        assert verify(connection) is None
    assert [row["fingerprint"] for row in told] == [one.fingerprint for one in (swapped, second, first)]
    assert [row["keys"] for row in told[:2]] == [
        ["markets (order)", "sla.by_role.enterprise"],
        ["sla.by_role.enterprise"],
    ]
    assert read_config(MARKETS).model_validate(told[1]["body"]).fingerprint == second.fingerprint


def test_the_log_is_kept_until_retention_says_otherwise(stood: Ledger) -> None:
    for name, days in (("old-offer", 800), ("old", 800), ("young", 700)):
        decide(stood, name, days)
    give(stood, offer("F9", "L2", "R2", hours(-800 * 24), decision_id="old-offer", answer="expired"))
    note(stood, CONFIG, "cli")
    short = read_config("markets: {all: {countries: [DE]}}\ntimezone: UTC\nretention: {decisions: 600d}\n")
    left = []
    for config in (CONFIG, CONFIG, short):
        done = prune(stood, config, OFFERED)
        with stood.reading() as connection:
            rows = [set(connection.execute(select(t.c.decision_id)).scalars()) for t in (DECISIONS, DECISION_DETAILS)]
            assert verify(connection) is None
        left.append((done, *rows))
    assert left == [
        (Pruned(0, 2, 1), {DECIDED, "old-offer", "young"}, {"young"}),
        (Pruned(), {DECIDED, "old-offer", "young"}, {"young"}), (Pruned(0, 1, 1), {DECIDED, "old-offer"}, set()),
    ]  # fmt: skip


def test_a_worker_that_followed_misses_nothing_of_a_pruned_journal_and_one_that_did_not_reads_all_anew(
    stood: Ledger,
) -> None:
    with stood.reading() as connection:
        behind, seq = seq_of(connection) - 1, seq_of(connection)
    assert not is_due(stood, hours(24 * 8))
    assert is_due(stood, hours(24 * 8.1))
    assert prune(stood, CONFIG, hours(24 * 8.1)).journal > 0
    with changing(stood, hours(24 * 8.2)) as change:
        change.touch("leads", ["L1"])
    with stood.reading() as connection:
        assert connection.execute(select(func.count()).select_from(JOURNAL)).scalar_one() == 1
        assert changed_since(connection, behind).whole == frozenset(TABLES)
        assert dict(changed_since(connection, seq).rows) == {"leads": [("L1",)]}
