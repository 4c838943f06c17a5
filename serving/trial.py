"""The model that is tried beside what serves, as a worker has it: loaded as what serves is, or left out, and why."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from features.config import Config
from features.errors import CallsheetError
from models.product import Product
from serving.ladder import Standing, usable
from serving.ledger.challengers import Challenger
from serving.ledger.releases import Released

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Contender:
    """The challenger as a worker has it. product: None where it cannot be used here, and `reason` says why."""

    named: Challenger
    model: Released
    product: Product | None
    reason: str | None = None

    @property
    def standing(self) -> Standing:
        """How it answers where it is asked."""
        return Standing(self.product, "challenger", self.model.version, self.reason)


def contender(named: Challenger | None, load: Callable[[str], Product], config: Config) -> Contender | None:
    """Who is named, loaded and tried, which takes seconds; None: nobody is. Never raises for the model."""
    if named is None or named.model is None:
        return None
    model = named.model
    try:
        return Contender(named, model, usable(model, load, config))
    except CallsheetError as error:
        reason = f"model {model.version} cannot be tried: {error}"
        log.error("The challenger is left out: %s", reason)
        return Contender(named, model, None, reason)
