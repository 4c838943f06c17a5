"""How long to wait for a ledger that somebody holds, or that is down, where an answer is as good without it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Final

from serving.ledger.database import LedgerError

#: Seconds to wait where the last one did not wait in vain: others write for milliseconds.
PATIENT: Final = 1.0
#: And where he did.
BRIEF: Final = 0.02


class Patience:
    """Of those who would all wait for the same ledger, and hold up everything else meanwhile.

    Once one has waited in vain, one at a time tries for a moment, and the others do without, until one succeeds.
    """

    def __init__(self, patient: float = PATIENT, brief: float = BRIEF) -> None:
        self._patient, self._brief = patient, brief
        self._in_vain = False
        self._trying = Lock()

    @contextmanager
    def waiting(self) -> Iterator[float]:
        """The seconds for which the block may wait; it succeeds, or raises LedgerError.

        Raises LedgerError without beginning the block where another is just trying what was in vain before.
        """
        if not self._in_vain:
            with self._told():
                yield self._patient
        elif self._trying.acquire(blocking=False):
            try:
                with self._told():
                    yield self._brief
            finally:
                self._trying.release()
        else:
            raise LedgerError("The ledger could not be written a moment ago, and another is just trying again.")

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except LedgerError:
            self._in_vain = True
            raise
        self._in_vain = False
