"""A write asked for again with its key happens once and answers the same, whatever is retried, altered or expires."""

from __future__ import annotations

import json
import threading
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from sqlalchemy import func, insert, select

from serving.ledger import Ledger
from serving.ledger.change import changing
from serving.ledger.idempotency import KEPT, KeyRefused, Once, Stored, expire, keep, stored
from serving.ledger.tables import DATA_QUESTIONS, IDEMPOTENCY


def once(key: str | None = "k1", body: Any = None, *, actor: str = "key:a", route: str = "/record") -> Once:
    return Once.of(actor, route, key, {"v": 1} if body is None else body)


def act(ledger: Ledger, asked: Once, at: datetime | None = None, *, crash: bool = False) -> Stored:
    """One write as a route does it: the effect here is a row of its own."""
    with changing(ledger, at) as change:
        found = stored(change.connection, asked)
        if found is not None:
            return found
        made = uuid.uuid4().hex
        change.connection.execute(
            insert(DATA_QUESTIONS).values(
                event_id=made, offer_id=asked.scope, lead_id=asked.key, rep_id="R", reason="other", asked_at=change.at
            )
        )
        keep(change, asked, 200, json.dumps({"made": made}))
        if crash:
            raise InterruptedError
        return Stored(200, json.dumps({"made": made}))


def effects(ledger: Ledger, asked: Once) -> int:
    mine = DATA_QUESTIONS.c.offer_id == asked.scope, DATA_QUESTIONS.c.lead_id == asked.key
    with ledger.reading() as connection:
        return int(connection.execute(select(func.count()).select_from(DATA_QUESTIONS).where(*mine)).scalar_one())


def test_the_same_key_gets_the_same_answer_and_one_effect(ledger: Ledger) -> None:
    first = act(ledger, once())
    assert act(ledger, once()) == first
    assert effects(ledger, once()) == 1


def test_another_body_under_the_same_key_is_refused(ledger: Ledger) -> None:
    act(ledger, once())
    with pytest.raises(KeyRefused) as error:
        act(ledger, once(body={"v": 2}))
    assert (error.value.status, error.value.code) == (422, "idempotency_mismatch")
    assert effects(ledger, once()) == 1


def test_a_key_is_its_actors_own_and_one_routes(ledger: Ledger) -> None:
    answers = {act(ledger, o).body for o in (once(), once(actor="key:b"), once(route="/ingest"), once("k2"))}
    assert len(answers) == 4


def test_the_order_of_fields_is_not_the_body() -> None:
    assert once(body={"a": 1, "b": [1, 2]}) == once(body={"b": [1, 2], "a": 1})
    assert once(body={"a": 1, "b": [1, 2]}) != once(body={"a": 1, "b": [2, 1]})


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "a\tb", "é", "a\n", "\x7f"])
def test_a_key_that_is_none_is_refused(key: str) -> None:
    with pytest.raises(KeyRefused) as error:
        once(key)
    assert (error.value.status, error.value.code) == (400, "idempotency_key_invalid")


def test_a_key_that_is_missing_is_asked_for() -> None:
    with pytest.raises(KeyRefused) as error:
        once(None)
    assert (error.value.status, error.value.code, error.value.field) == (
        400, "idempotency_key_missing", "Idempotency-Key"
    )  # fmt: skip


def test_fifty_at_once_with_one_key_make_one_row_and_get_one_body(ledger: Ledger) -> None:
    """The clock's row lets one writer in at a time, so who comes second waits and finds the answer."""
    answers: list[Stored] = []
    start = threading.Barrier(50)

    def ask() -> None:
        start.wait()
        answers.append(act(ledger, once()))

    threads = [threading.Thread(target=ask) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 50
    assert len(set(answers)) == 1
    assert effects(ledger, once()) == 1
    with ledger.reading() as connection:
        assert connection.execute(select(func.count()).select_from(IDEMPOTENCY)).scalar_one() == 1


def test_any_history_of_requests_has_one_effect_a_key_while_it_is_kept(ledger: Ledger) -> None:
    class Requests(RuleBasedStateMachine):
        """The model: what each key was answered, and when."""

        def __init__(self) -> None:
            super().__init__()
            self.actor = uuid.uuid4().hex  # each history has its own keys
            self.now = datetime(2026, 3, 2, tzinfo=UTC)
            self.kept: dict[str, tuple[int, Stored, datetime]] = {}
            self.effects: dict[str, int] = {}

        def _once(self, key: str, body: int) -> Once:
            return once(key, {"v": body}, actor=self.actor)

        @rule(key=st.sampled_from("abc"), body=st.integers(0, 1))
        def send(self, key: str, body: int) -> None:
            asked = self._once(key, body)
            if key not in self.kept:
                self.kept[key] = body, act(ledger, asked, self.now), self.now
                self.effects[key] = self.effects.get(key, 0) + 1
            elif self.kept[key][0] == body:
                assert act(ledger, asked, self.now) == self.kept[key][1]
            else:
                with pytest.raises(KeyRefused):
                    act(ledger, asked, self.now)
            assert effects(ledger, asked) == self.effects[key]

        @precondition(lambda self: self.kept)
        @rule(data=st.data())
        def retry(self, data: st.DataObject) -> None:
            key = data.draw(st.sampled_from(sorted(self.kept)))
            self.send(key, self.kept[key][0])

        @precondition(lambda self: self.kept)
        @rule(data=st.data())
        def alter(self, data: st.DataObject) -> None:
            key = data.draw(st.sampled_from(sorted(self.kept)))
            self.send(key, 1 - self.kept[key][0])

        @rule(key=st.sampled_from("abc"), body=st.integers(0, 1))
        def crash(self, key: str, body: int) -> None:
            """Before the commit: as if it had never been asked."""
            if key not in self.kept:
                with pytest.raises(InterruptedError):
                    act(ledger, self._once(key, body), self.now, crash=True)
                assert effects(ledger, self._once(key, body)) == self.effects.get(key, 0)

        @rule(hours=st.sampled_from([1, 12, 23, 25]))
        def wait(self, hours: int) -> None:
            self.now += timedelta(hours=hours)

        @rule()
        def expire(self) -> None:
            with changing(ledger, self.now) as change:
                expire(change)
            self.kept = {k: v for k, v in self.kept.items() if v[2] >= self.now - KEPT}

    run_state_machine_as_test(
        Requests,
        settings=settings(
            max_examples=25, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
