"""Follows the ledger: renews what a process answers from as others commit, and swaps the model on a release."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Final

from sqlalchemy import func, select

from features.book import Book
from features.config import Config
from features.errors import CallsheetError
from serving import deadline
from serving.cache import ModelCache
from serving.instants import micros
from serving.ladder import Standing, climb
from serving.ledger import Ledger
from serving.ledger.change import seq_of
from serving.ledger.releases import Releases
from serving.ledger.tables import RELEASES
from serving.live.contending import Contending
from serving.live.crm import Crm
from serving.live.swap import crashing, settled, swapped
from serving.recommend import Clock, Recommender

log = logging.getLogger(__name__)

#: Seconds between two looks at the ledger; what is committed counts after that and the time that renewing takes.
POLL: Final = 0.15
#: Seconds between two looks at the releases.
RELEASE_POLL: Final = 1.0
#: Seconds between two looks while it cannot be read.
RETRY: Final = 0.5
#: Seconds after which a model that was refused is tried again: its files may have been put right.
MODEL_RETRY: Final = 60.0


def utc_now() -> int:
    """The clock, int64 microseconds UTC."""
    return micros(datetime.now(UTC))


def ledger_book(ledger: Ledger, config: Config) -> Book:
    """The book of all that the ledger's CRM holds now. Raises LedgerError, LedgerEmpty, TableError."""
    with ledger.reading() as connection:
        crm = Crm.read(connection)
    return Book(crm.tables, config, crm.instant(utc_now()), crm.columns)


class Live:
    """What one process answers from. `recommender` is one immutable reference, replaced as a whole.

    An answer keeps the recommender that it began with, so no answer mixes two states or two models, and the old one is
    freed after the last of them. A ledger that cannot be read changes nothing: answers come from memory, and
    `stale_seconds` says since when it may have moved on. No transaction stays open while something is made.
    """

    def __init__(self, ledger: Ledger, config: Config, home: Path, *, clock: Clock = utc_now) -> None:
        """Read everything and load the released model, the model's trial beside the data; follows nothing yet.

        Raises LedgerError, LedgerEmpty, TableError
        """
        self.ledger, self.config, self.clock = ledger, config, clock
        self.releases, self.cache = Releases(ledger), ModelCache(home)
        self.contending = Contending(ledger, self.cache, config)
        self._renewing, self._stopped = Lock(), Event()
        self._threads: list[Thread] = []
        self._tried = time.monotonic()
        with ThreadPoolExecutor(1) as aside:
            climbing = aside.submit(climb, self.releases, self.cache, config)
            seen = time.monotonic()
            with ledger.reading() as connection:
                self._crm = Crm.read(connection)
            book = Book(self._crm.tables, config, self._crm.instant(clock()), self._crm.columns)
            self._recommender = self._made(book, climbing.result())
        self._recommender.warm()
        self._in_step = seen

    # -- what callers read ------------------------------------------------------------------------------------------

    @property
    def recommender(self) -> Recommender:
        """What answers now; take it once for an answer."""
        return self._recommender

    @property
    def seq(self) -> int:
        """The last change of the ledger that answers know."""
        return int(self._recommender.seq or 0)

    @property
    def stale_seconds(self) -> float:
        """For how long answers may not have known all that was committed; a fraction of a second while all is well."""
        return time.monotonic() - self._in_step

    def catch_up(self) -> Recommender:
        """Know all that is committed at this instant, and answer from it: so that a caller meets its own write.

        What has to be made anew is made by whoever asks for it first. Raises LedgerError, TableError, DeadlinePassed.
        """
        with deadline.held(self._renewing):
            self._renew(lambda fresh: None)
            return self._recommender

    # -- following --------------------------------------------------------------------------------------------------

    def start(self) -> Live:
        """Follow the ledger from now on, in threads that end with the process."""
        works = {
            "ledger": self._follow_rows, "releases": self._follow_releases, "challenger": self._follow_challenger
        }  # fmt: skip
        for name, work in works.items():
            thread = Thread(target=work, name=f"follow-{name}", daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def close(self) -> None:
        """Follow no more; answers go on from what is known."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _follow_rows(self) -> None:
        """Look again and again; renewing takes half of a core at most, whatever is written."""

        def once() -> float:
            began = time.thread_time()
            with self._renewing:
                self._renew(Recommender.warm)
            return max(POLL, time.thread_time() - began)

        self._repeat("The ledger cannot be followed; answers come from memory", once)

    def _follow_releases(self) -> None:
        def once() -> float:
            standing = self._recommender.standing
            with self.ledger.reading() as connection:
                revision = connection.execute(select(func.max(RELEASES.c.revision))).scalar_one() or 0
            again = not settled(standing) and time.monotonic() - self._tried > MODEL_RETRY
            again |= crashing(standing, self.cache)
            if revision != (standing.release.revision if standing.release else 0) or again:
                self._swap(standing)
            return RELEASE_POLL

        self._repeat("The released model cannot be told; the one that serves goes on", once)

    def _follow_challenger(self) -> None:
        """In a thread of its own: however long its trial takes, a release does not wait for it."""

        def once() -> float:
            if self.contending.look(self._recommender.standing):
                with self._renewing:
                    fresh = self._made(self._recommender.book, self._recommender.standing, self._recommender.seq)
                    for one in filter(None, (fresh, fresh.beside)):
                        one.warm()
                    self._recommender = fresh
            return RELEASE_POLL

        self._repeat("The challenger cannot be told; answers go on as before", once)

    def _repeat(self, trouble: str, once: Callable[[], float]) -> None:
        """Do it until stopped; what goes wrong is said once, and its end too."""
        wait, said = 0.0, False
        while not self._stopped.wait(wait):
            try:
                wait = once()
                if said:
                    log.warning("%s: no longer so.", trouble)
                said = False
            except CallsheetError as error:
                if not said:
                    log.error("%s: %s", trouble, error)
                wait, said = RETRY, True
            except Exception:
                if not said:
                    log.exception("%s", trouble)
                wait, said = RETRY, True

    # -- replacing --------------------------------------------------------------------------------------------------

    def _renew(self, prepare: Callable[[Recommender], None]) -> None:
        """Put in place what is committed, once it is prepared."""
        seen = time.monotonic()
        with self.ledger.reading() as connection:
            crm = self._crm if seq_of(connection) == self._crm.seq else self._crm.caught_up(connection)
        if crm is self._crm:
            self._in_step = seen
            return
        old = self._recommender
        # Decisions and the audit count the clock up, too, and touch no table.
        touched = any(crm.tables.get(name) is not frame for name, frame in self._crm.tables.items())
        touched |= len(crm.tables) != len(self._crm.tables)
        book = old.book.renewed(crm.tables, crm.instant(self.clock()), crm.columns) if touched else old.book
        fresh = self._made(book, old.standing, crm.seq)
        if touched:
            prepare(fresh)
        self._crm, self._recommender, self._in_step = crm, fresh, seen

    def _swap(self, standing: Standing) -> None:
        """Load what is released, beside everything else, and let it answer once it has answered a first time."""
        self._tried = time.monotonic()
        chosen = swapped(standing, self.releases, self.cache, self.config)
        with self._renewing:
            fresh = self._made(self._recommender.book, chosen, self._recommender.seq)
            fresh.warm()
            self._recommender = fresh
        revision = chosen.release.revision if chosen.release else 0
        log.info(
            "Release %d: %s answers%s", revision, chosen.rung, f", because {chosen.reason}" if chosen.reason else ""
        )

    def _made(self, book: Book, standing: Standing, seq: int | None = None) -> Recommender:
        known = self._crm.seq if seq is None else seq
        contender = self.contending.contender
        return Recommender(book, self.config, standing, clock=self.clock, seq=known, contender=contender)
