"""Whether a model may be tried beside what serves: loaded apart as that is, and so quick that nobody waits for it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from features.config import Config
from features.errors import CallsheetError, ModelError
from features.matrix import Matrix
from models.product import Product
from serving.ladder import Standing, usable
from serving.ledger.challengers import Challenger
from serving.ledger.releases import Released

log = logging.getLogger(__name__)

#: Pairs of one large question, and what scoring them may take of one core: five times what the gate allows, for this
#: is asked of every worker's machine, and only a model that would hold up pilots is to be refused.
PAIRS: Final = 200
BUDGET_MS: Final = 50.0
REPEATS: Final = 3


def tried(model: Released, load: Callable[[str], Product], config: Config) -> Product:
    """Load a model that is to be tried. Raises ModelError when it is damaged, made for something else, or slow."""
    product = usable(model, load, config)
    columns = product.contract.columns
    blank = np.full(PAIRS, "", object)
    values = np.zeros((PAIRS, len(columns)), np.float32)
    asked = Matrix(values, columns, blank, blank, np.zeros(PAIRS, np.int64), product.vocabulary)
    took = []
    for _ in range(REPEATS):
        begun = time.thread_time()
        product.predict(asked)
        took.append((time.thread_time() - begun) * 1000)
    if min(took) > BUDGET_MS:
        raise ModelError(f"it takes {min(took):.0f} ms to score {PAIRS} pairs; allowed are {BUDGET_MS:.0f}")
    return product


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
        return Contender(named, model, tried(model, load, config))
    except CallsheetError as error:
        reason = f"model {model.version} cannot be tried: {error}"
        log.error("The challenger is left out: %s", reason)
        return Contender(named, model, None, reason)
