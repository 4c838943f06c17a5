"""Who is let in: a key that holds, within a second of its making and until its end; nobody when nobody can tell."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from serving.actor import LOCAL, SCOPES
from serving.credentials import BLIND_SECONDS, POLL_SECONDS, Keys
from serving.ledger import Ledger
from serving.ledger.change import changing
from serving.ledger.keys import create, revoke
from serving.refusal import CredentialsUnavailable, Unauthorized

HERE = {"server": ("127.0.0.1", 3000), "client": ("127.0.0.1", 50000)}


@pytest.fixture
def keys(ledger: Ledger) -> Iterator[Keys]:
    made = Keys(ledger)
    made.refresh()
    yield made
    made.stop()


def make(ledger: Ledger, name: str = "a", **given: Any) -> str:
    with changing(ledger) as change:
        return create(change, name, ["route"], **given)[1]


def test_a_machine_without_keys_is_open_to_itself_only(keys: Keys) -> None:
    assert keys.actor(HERE, None) is LOCAL
    for scope in (
        HERE | {"client": ("10.0.0.7", 1)}, HERE | {"server": ("10.0.0.7", 1)}, HERE | {"client": None},
        HERE | {"server": ("/run/callsheet.sock", None)}, {},
    ):  # fmt: skip
        with pytest.raises(Unauthorized):
            keys.actor(scope, None)
    assert keys.actor({"server": ("::1", 1), "client": ("::1", 2)}, None) is LOCAL


@pytest.mark.parametrize(
    ("host", "open_to"),
    [("localhost", True), ("LOCALHOST:3000", True), ("127.0.0.1:3000", True), ("[::1]:3000", True), ("127.1.2.3", True),
     ("callsheet.example.test", False), ("localhost.evil.test:3000", False), ("10.0.0.7", False), ("", False),
     ("127.0.0.1.evil.test", False)],
)  # fmt: skip
def test_open_to_this_machine_is_not_open_to_a_page_or_a_proxy_with_another_name(
    keys: Keys, host: str, open_to: bool
) -> None:
    scope = HERE | {"headers": [(b"host", host.encode())]}
    if open_to:
        assert keys.actor(scope, None) is LOCAL
    else:
        with pytest.raises(Unauthorized):
            keys.actor(scope, None)


def test_bound_wider_it_asks_on_loopback_too(ledger: Ledger) -> None:
    guarded = Keys(ledger, guarded=True)
    guarded.refresh()
    with pytest.raises(Unauthorized):
        guarded.actor(HERE, None)


def test_from_the_first_key_on_everyone_needs_one_even_when_it_has_ended(ledger: Ledger, keys: Keys) -> None:
    text = make(ledger, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    keys.refresh()
    for given in (None, f"Bearer {text}"):
        with pytest.raises(Unauthorized):
            keys.actor(HERE, given)


def test_a_key_holds_for_whoever_gives_it_whole(ledger: Ledger, keys: Keys) -> None:
    text, other = make(ledger), make(ledger, "b")
    keys.refresh()
    actor = keys.actor({}, f"Bearer {text}")
    assert (actor.name, actor.scopes) == (f"key:{text.split('_')[1]}", frozenset(["route"]))
    assert keys.actor({}, f"bearer  {text} ").name == actor.name
    said = set()
    for given in (
        None, "", "Bearer", "Bearer ", text, f"Basic {text}", f"Bearer {text[:-1]}", f"Bearer {text}x",
        f"Bearer {text[:15]}_{other.split('_', 2)[2]}", f"Bearer {text.swapcase()}", "Bearer \x00\xff",
    ):  # fmt: skip
        with pytest.raises(Unauthorized) as refused:
            keys.actor(HERE, given)
        said.add((str(refused.value), refused.value.code, refused.value.status))
    assert len(said) == 1  # and never which part was wrong


def test_a_revoked_key_is_refused_after_the_next_look(ledger: Ledger, keys: Keys) -> None:
    text = make(ledger)
    keys.start()
    keys.actor({}, f"Bearer {text}")
    with changing(ledger) as change:
        revoke(change, text.split("_")[1])
    deadline = time.monotonic() + 60
    while holds(keys, text):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def holds(keys: Keys, text: str) -> bool:
    try:
        return bool(keys.actor({}, f"Bearer {text}"))
    except Unauthorized:
        return False


def test_a_ledger_that_is_down_leaves_known_keys_for_a_while_and_then_nobody(
    ledger: Ledger, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = make(ledger)
    keys.refresh()
    since = time.monotonic()
    passed = 0.0
    monkeypatch.setattr("serving.credentials.time.monotonic", lambda: since + passed)
    for passed, known, unknown in (
        (1.0, None, Unauthorized),
        (6 * POLL_SECONDS, None, CredentialsUnavailable),  # an unknown one may be younger than the last look
        (BLIND_SECONDS - 1, None, CredentialsUnavailable),
        (BLIND_SECONDS + 1, CredentialsUnavailable, CredentialsUnavailable),
    ):
        stranger = f"Bearer cs_{'0' * 12}_{'A' * 43}"
        for given, expected in ((f"Bearer {text}", known), (stranger, unknown)):
            if expected is None:
                assert keys.actor({}, given).name == f"key:{text.split('_')[1]}"
            else:
                with pytest.raises(expected):
                    keys.actor({}, given)
        with pytest.raises(Unauthorized if passed < BLIND_SECONDS else CredentialsUnavailable):
            keys.actor(HERE, None)


def test_a_ledger_that_never_answered_lets_nobody_in(ledger: Ledger) -> None:
    for given in (None, "Bearer x"):
        with pytest.raises(CredentialsUnavailable):
            Keys(ledger).actor(HERE, given)


def test_a_look_that_fails_keeps_what_was_known(ledger: Ledger, keys: Keys) -> None:
    text = make(ledger)
    keys.refresh()
    down = Keys(Ledger("postgresql://nobody@127.0.0.1:1/none"))
    down.refresh()
    with pytest.raises(CredentialsUnavailable):
        down.actor(HERE, None)
    keys.ledger = down.ledger
    keys.refresh()
    assert keys.actor({}, f"Bearer {text}").scopes == frozenset(["route"])


def test_local_may_do_everything() -> None:
    assert LOCAL.scopes == frozenset(SCOPES)
