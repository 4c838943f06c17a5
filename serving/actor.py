"""Who asks: the holder of a credential, with what it allows."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from typing import Final

#: What a credential may allow. route: recommendations and commits; record: events; ingest: rows of the CRM, erasure;
#: operate: metrics, releases, what is due; read: explanations and the model.
SCOPES: Final = ("route", "record", "ingest", "operate", "read")


@dataclass(frozen=True)
class Actor:
    """One caller.

    name    as the audit and the decisions keep it: `key:<key_id>`, `oidc:<subject>`, `local`, or `cli:<user>`
    rep_id  a rep's own credential: it records answers of that rep's offers only
    caller  who it stays when its key is rotated; None: the name says
    """

    name: str
    scopes: frozenset[str]
    rep_id: str | None = None
    caller: str | None = None

    @property
    def whose(self) -> str:
        """Whose an Idempotency-Key is that it sends: a retry may come under the key that took the first one's place."""
        return self.caller or self.name


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name  # not by the environment, which anyone may set
    except KeyError:
        return str(os.getuid())


#: Who asks, until a credential says so.
NOBODY: Final = Actor("nobody", frozenset())
#: On loopback, with no key in the ledger, whoever asks.
LOCAL: Final = Actor("local", frozenset(SCOPES))
#: A person at the command line, by the name that this machine has for him.
CLI: Final = Actor(f"cli:{_user()}", frozenset(SCOPES))
#: What rolls a harmful model back without a person.
GUARD: Final = Actor("guard", frozenset(("operate",)))
#: What holds the SLA: it lets offers expire and sends their leads on, as events and audit keep it.
SLA: Final = Actor("sla", frozenset(("record",)))
