"""Who asks: the holder of a credential, with what it allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: What a credential may allow. route: recommendations and commits; record: events; ingest: rows of the CRM, erasure;
#: operate: metrics, releases, what is due; read: explanations and the model.
SCOPES: Final = ("route", "record", "ingest", "operate", "read")


@dataclass(frozen=True)
class Actor:
    """One caller.

    name    as the audit and the decisions keep it: `key:<key_id>`, `oidc:<subject>`, `local`, or `cli`
    rep_id  a rep's own credential: it records answers of that rep's offers only
    """

    name: str
    scopes: frozenset[str]
    rep_id: str | None = None


#: On loopback, with no key in the ledger, whoever asks.
LOCAL: Final = Actor("local", frozenset(SCOPES))
#: A person at the command line.
CLI: Final = Actor("cli", frozenset(SCOPES))
