"""Rows taken in and contacts forgotten: each request is one change, known to this process when it returns."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.config import Config
from features.errors import CallsheetError
from serving.actor import Actor
from serving.decided import Decided, replayed
from serving.ledger import Ledger, audit
from serving.ledger.change import changing
from serving.ledger.erase import erase, seek
from serving.ledger.events import join_parked
from serving.ledger.idempotency import Once, keep
from serving.ledger.ingest import ingest
from serving.ledger.noted import note
from serving.ledger.scrub import scrub
from serving.recommend import Answer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Doors:
    """The ways into the ledger's CRM tables and out of them.

    follow  brings what this process answers from up to what is committed
    """

    ledger: Ledger
    config: Config
    home: Path
    follow: Callable[[], object]

    def take_in(
        self, tables: Mapping[str, Sequence[Mapping[str, Any]]], actor: Actor, once: Once | None = None
    ) -> Decided:
        """Put rows in, all or none; once for each key.

        Raises RowsInvalid, OfferMadeHere, LeadHeld, ContactErased, KeyRefused, LedgerError
        """
        with changing(self.ledger) as change:
            if before := replayed(change.connection, once):
                return before
            done = ingest(change, tables)
            if "offers" in tables:
                join_parked(change, self.config)
            told = {"rows": done.rows, "inserted": done.inserted, "changed": done.changed}
            audit.record(change, actor.name, "ingest", f"change {change.seq}", told)
            answer: Answer = {"seq": change.seq, "rows": done.rows}
            if once is not None:
                keep(change, once, 200, json.dumps(answer))
        self._follow()
        return Decided(answer)

    def forget(self, contact_id: str, actor: Actor) -> Answer:
        """Forget a contact, and clear the database's files of it. Raises UnknownId (contact_unknown), LedgerError."""
        with self.ledger.reading() as connection:
            sought = seek(connection, contact_id)
        with changing(self.ledger) as change:
            done = erase(change, self.config, contact_id, actor, sought)
            # Noted and not committed, it is only done when it is asked for again; the other way it would come back.
            note(self.home, done.contact_hash)
        self._follow()
        cleared = scrub(self.ledger)
        return {"seq": change.seq, "rows": dict(done.rows), "before": done.before, "scrubbed": cleared}

    def _follow(self) -> None:
        """It is committed, so nothing that goes wrong from here on is an error of the request."""
        try:
            self.follow()
        except CallsheetError as error:
            log.warning("What was committed will be known a little later: %s", error)
