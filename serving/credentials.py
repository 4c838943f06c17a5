"""Who is asking: a worker's copy of the ledger's API keys, read again all the time, so that no request waits for it."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import re
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from serving.actor import LOCAL, Actor
from serving.ledger import Ledger, LedgerError
from serving.ledger.keys import FORM, Key, hashed, listed
from serving.refusal import CredentialsUnavailable, Unauthorized
from serving.tokens import FORM as TOKEN
from serving.tokens import Tokens

log = logging.getLogger(__name__)

#: How often the keys are read again: a revoked key is refused about this long after the commit that revokes it.
POLL_SECONDS: Final = 1.0
#: How long known keys hold while the ledger can't be read. No revocation is committed to a ledger that is down, but
#: this worker alone may be cut off from it: then it fails closed after this long.
BLIND_SECONDS: Final = 300.0


class Credentials(Protocol):
    """What the edge asks of every request but the probes."""

    def actor(self, scope: Mapping[str, Any], given: str | None) -> Actor:
        """Who asks, by the connection and the Authorization header. Raises Unauthorized, CredentialsUnavailable."""


class Open:
    """Everyone may ask: the edge by itself, in a test."""

    def actor(self, scope: Mapping[str, Any], given: str | None) -> Actor:
        """The person at this machine."""
        return LOCAL


class Keys:
    """The keys of one ledger.

    guarded  ask for a key also on loopback while the ledger has none: the service is bound wider
    tokens   of an issuer that may vouch for callers too; with one, loopback is not open either
    """

    def __init__(self, ledger: Ledger, *, guarded: bool = False, tokens: Tokens | None = None) -> None:
        self.ledger, self.guarded, self.tokens = ledger, guarded or tokens is not None, tokens
        self._keys: Mapping[str, Key] = {}
        self._read_at: float | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="credentials", daemon=True)

    def start(self) -> None:
        """Read the keys, and keep reading them aside."""
        self.refresh()
        self._thread.start()
        if self.tokens is not None:
            self.tokens.start()

    def stop(self) -> None:
        """Read no more."""
        self._stop.set()

    def refresh(self) -> None:
        """Read the keys now; when the ledger is down, what was read before stands for a while."""
        try:
            with self.ledger.reading() as connection:
                self._keys = {key.key_id: key for key in listed(connection)}
            self._read_at = time.monotonic()
        except LedgerError:
            log.warning("The keys cannot be read; known ones hold for %.0f s in all.", BLIND_SECONDS)

    def _follow(self) -> None:
        while not self._stop.wait(POLL_SECONDS):
            try:
                self.refresh()
            except Exception:  # known keys hold for a while, and then nobody is let in
                log.exception("The keys could not be read")

    def actor(self, scope: Mapping[str, Any], given: str | None) -> Actor:
        """As Credentials says. Without a key in the ledger, whoever is on this machine is LOCAL."""
        kind, _, text = (given or "").partition(" ")
        if self.tokens is not None and kind.lower() == "bearer" and TOKEN.fullmatch(text.strip()):
            return self.tokens.actor(text.strip())
        blind = float("inf") if self._read_at is None else time.monotonic() - self._read_at
        if blind > BLIND_SECONDS:
            raise CredentialsUnavailable
        if not self._keys and not self.guarded and given is None and local(scope):
            return LOCAL
        key = self._known(given or "")
        if key is not None and key.state(datetime.now(UTC)) == "live":
            return key.actor
        if blind > 5 * POLL_SECONDS and key is None and given:
            raise CredentialsUnavailable  # it may have been made since
        raise Unauthorized

    def _known(self, given: str) -> Key | None:
        """The key that the header gives; compared in constant time, one that is none of ours too."""
        kind, _, text = given.partition(" ")
        found = FORM.fullmatch(text.strip()) if kind.lower() == "bearer" else None
        key = self._keys.get(found[1]) if found else None
        same = hmac.compare_digest(hashed(text.strip()), key.secret_hash if key else "0" * 64)
        return key if same else None


def local(scope: Mapping[str, Any]) -> bool:
    """Whether both ends of the connection are this machine, as far as it tells, and the caller meant this machine.

    A proxy here that serves others names the host that they asked for, or where they are; so does a page in a browser
    here whose own name was made to lead to this machine.
    """
    host = next((value for name, value in scope.get("headers", ()) if name == b"host"), b"localhost").decode("latin-1")
    name = re.sub(r":[0-9]*$", "", host).strip("[]").lower()
    asked = name == "localhost" or _loopback((name, None))
    return asked and all(_loopback(scope.get(end)) for end in ("server", "client"))


def _loopback(end: tuple[str, int | None] | None) -> bool:
    try:
        return end is not None and ipaddress.ip_address(end[0]).is_loopback
    except ValueError:
        return False
