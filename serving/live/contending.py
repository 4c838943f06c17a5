"""Follows which model is the challenger: it is loaded apart from what serves, so that nothing of it holds that up."""

from __future__ import annotations

import logging
import time
from typing import Final

from sqlalchemy import func, select

from features.config import Config
from models.product import Product
from serving.cache import ModelCache
from serving.ladder import Standing
from serving.ledger import Ledger
from serving.ledger.challengers import Challengers
from serving.ledger.tables import CHALLENGERS
from serving.live.swap import crashing
from serving.trial import Contender, contender

log = logging.getLogger(__name__)

#: Seconds after which a challenger that was refused is tried again: its files may have been put right.
RETRY: Final = 60.0


class Contending:
    """What one process knows of the challenger. `contender` is None while nobody is named, or what is named serves."""

    def __init__(self, ledger: Ledger, cache: ModelCache, config: Config) -> None:
        self.ledger, self.cache, self.config = ledger, cache, config
        self.contender: Contender | None = None
        self._known: tuple[int, str | None] = 0, None
        self._tried = time.monotonic()

    def look(self, champion: Standing) -> bool:
        """See who is named and load it, which takes seconds; whether it is another than before. Raises LedgerError."""
        with self.ledger.reading() as connection:
            revision = connection.execute(select(func.max(CHALLENGERS.c.revision))).scalar_one() or 0
        serves = champion.product.content_hash if champion.product else None
        held = self.contender
        refused = held is not None and held.product is None and time.monotonic() - self._tried > RETRY
        crashes = held is not None and crashing(held.standing, self.cache)
        if (revision, serves) == self._known and not (refused or crashes):
            return False
        named = Challengers(self.ledger).current() if revision else None
        if named is not None and named.model is not None and named.model.content_hash == serves:
            named = None

        def load(content_hash: str) -> Product:
            known = held.product if held is not None and not crashes else None
            if known is not None and known.content_hash == content_hash:
                return known
            return self.cache.load(content_hash)

        self._tried = time.monotonic()
        found = contender(named, load, self.config)
        self.contender, self._known = found, (revision, serves)
        if found is not None and found.product is not None:
            log.info("Model %s is the challenger (revision %d)", found.model.version, found.named.revision)
        elif found is None and held is not None:
            log.info("Model %s is the challenger no more", held.model.version)
        return found is not held
