"""Does a transaction again, as a whole, that the database ended because it crossed another's."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import Final, TypeVar

from serving.ledger.database import Crossed

log = logging.getLogger(__name__)

Done = TypeVar("Done")

#: How often it is done again at most, and the seconds before the first time; before each further one twice as many.
AGAIN: Final = 3
PAUSE: Final = 0.05


def whole(work: Callable[[], Done]) -> Done:
    """What `work` returns; it holds one transaction and all that leads to it, so that nothing of a failed one is left.

    Raises whatever `work` raises; Crossed only where others were in its way each time.
    """
    for round_ in range(AGAIN):
        try:
            return work()
        except Crossed as error:
            log.warning("Done again as a whole: %s", error)
            # Not the same moment for all, or they cross again.
            time.sleep(random.uniform(0.5, 1.5) * PAUSE * 2**round_)
    return work()
