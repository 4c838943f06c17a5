"""API keys: random, shown once, kept as a hash, and ended when they should be; every change of one is audited."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, select

from features.errors import Refused, UnknownId, UsageError
from serving.ledger import Ledger
from serving.ledger.audit import verify
from serving.ledger.change import changing
from serving.ledger.crm import CRM
from serving.ledger.keys import FORM, create, hashed, listed, revoke, rotate
from serving.ledger.tables import API_KEYS, AUDIT, AUDIT_PAYLOADS

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
DAY = timedelta(days=1)


def test_a_key_is_256_random_bits_and_only_its_hash_is_kept(ledger: Ledger) -> None:
    with changing(ledger) as change:
        made = [create(change, f"router {n}", ["record", "route"]) for n in range(20)]
    texts = {text for _, text in made}
    assert len(texts) == 20
    assert all(FORM.fullmatch(text) and len(text.split("_", 2)[2]) == 43 for text in texts)  # 43 × 6 bits ≥ 256
    with ledger.reading() as connection:
        kept = str([connection.execute(select(t)).all() for t in (API_KEYS, AUDIT, AUDIT_PAYLOADS)])
        assert {key.secret_hash for key in listed(connection)} == {hashed(text) for text in texts}
        assert verify(connection) is None
    assert not [text for text in texts if text.split("_", 2)[2] in kept]
    assert re.search(r"key_created.*key:", kept)


def test_scopes_are_the_known_ones_in_their_order(ledger: Ledger) -> None:
    with changing(ledger) as change:
        assert create(change, "a", ["record", "route", "record"])[0].scopes == ("route", "record")
        for scopes in ([], ["admin"], ["route", "admin"]):
            with pytest.raises(UsageError):
                create(change, "a", scopes)
        for name in ("", "x" * 201, "two\nlines"):
            with pytest.raises(UsageError):
                create(change, name, ["route"])


def test_a_reps_key_names_a_rep_that_is_there(ledger: Ledger) -> None:
    with changing(ledger) as change:
        change.connection.execute(insert(CRM["reps"]).values(rep_id="R1", name="Ann", role="inside"))
        assert create(change, "Ann", ["record"], rep_id="R1")[0].actor.rep_id == "R1"
        with pytest.raises(UnknownId):
            create(change, "Bob", ["record"], rep_id="R2")


def test_a_key_ends_when_it_expires_or_is_revoked(ledger: Ledger) -> None:
    with changing(ledger, NOW) as change:
        key, _ = create(change, "a", ["route"], expires_at=NOW + DAY)
        other, _ = create(change, "b", ["route"])
    assert [key.state(NOW + wait) for wait in (timedelta(), DAY - timedelta(seconds=1), DAY)] == [
        "live", "live", "expired"
    ]  # fmt: skip
    assert other.state(NOW + 10_000 * DAY) == "live"
    with changing(ledger, NOW) as change:
        assert revoke(change, other.key_id)
    with changing(ledger, NOW + DAY) as change:
        assert not revoke(change, other.key_id)
        with pytest.raises(UnknownId):
            revoke(change, "nobody")
    with ledger.reading() as connection:
        assert [(k.state(NOW), k.revoked_at) for k in listed(connection) if k.name == "b"] == [("revoked", NOW)]


def test_rotation_overlaps_and_never_prolongs(ledger: Ledger) -> None:
    with changing(ledger, NOW) as change:
        old, _ = create(change, "a", ["route"], expires_at=NOW + 2 * DAY)
    with changing(ledger, NOW) as change:
        new, text = rotate(change, old.key_id, DAY)
    assert (new.name, new.scopes, new.rep_id, new.expires_at) == (old.name, old.scopes, old.rep_id, None)
    assert text.startswith(f"cs_{new.key_id}_")
    assert (new.actor.whose, new.actor.name == old.actor.name) == (old.actor.whose, False)
    with ledger.reading() as connection:
        now = {key.key_id: key for key in listed(connection)}
    assert now[old.key_id].expires_at == NOW + DAY
    with changing(ledger, NOW + DAY / 2) as change:
        rotate(change, old.key_id, 30 * DAY)
    with ledger.reading() as connection:
        assert {k.expires_at for k in listed(connection) if k.key_id == old.key_id} == {NOW + DAY}
    with changing(ledger, NOW + DAY) as change, pytest.raises(Refused):
        rotate(change, old.key_id, DAY)


def test_who_rotates_stays_the_caller_that_he_was_and_nobody_else_becomes_it(ledger: Ledger) -> None:
    """Else a new caller would get the answers that are kept for an old one's Idempotency-Keys, or a retry none."""
    with changing(ledger, NOW) as change:
        first, _ = create(change, "Ann", ["route"])
        second, _ = rotate(change, first.key_id, DAY)
        third, _ = rotate(change, second.key_id, DAY)
        revoke(change, third.key_id)
        others = [create(change, "Ann", ["route"])[0] for _ in range(20)]
    assert first.actor.whose == second.actor.whose == third.actor.whose
    assert len({key.actor.whose for key in (first, *others)}) == 21
    assert len({key.key_id for key in (first, second, third, *others)}) == 23
    assert all(FORM.fullmatch(f"cs_{key.key_id}_{'x' * 43}") for key in (second, third))
