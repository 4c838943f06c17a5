"""A ledger with a small CRM in it, and a Decider on it that reads the whole of it anew: slow, and plainly right."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd

from features.book import Book
from features.snapshot import read_snapshot
from serving.actor import LOCAL
from serving.decide import Decider
from serving.ladder import Standing
from serving.ledger import Ledger
from serving.ledger.change import seq_of
from serving.ledger.idempotency import Once
from serving.recommend import Recommender
from tests.serving.conftest import Crm


@dataclass
class Stand:
    """Decides on a ledger; `minutes` after the CRM's last fact."""

    ledger: Ledger
    crm: Crm
    minutes: int = 1
    keys: int = 0

    def __post_init__(self) -> None:
        standing = Standing(self.crm.products[1], "champion", "2", None)
        self.known = Recommender(self.crm.book, self.crm.config, standing, seq=1)
        self.decider = Decider(self.ledger, self.crm.config, lambda: self.known, lambda: self.now)

    @property
    def now(self) -> datetime:
        """The instant of everything that is asked."""
        return self.crm.snapshot.now.to_pydatetime() + timedelta(minutes=self.minutes)

    def follow(self) -> None:
        """Read everything again."""
        url = self.ledger.engine.url.render_as_string(hide_password=False)
        with self.ledger.reading() as connection:
            seq = seq_of(connection)
        if seq == self.known.seq:
            return
        snapshot = read_snapshot(url, config=self.crm.config, as_of=pd.Timestamp(self.now) + pd.Timedelta("1s"))
        standing = Standing(self.crm.products[1], "champion", "2", None)
        self.known = Recommender(Book.of(snapshot, self.crm.config), self.crm.config, standing, seq=seq)

    def once(self, key: str | None = None) -> Once:
        """A key that was never used, or the one that is named."""
        self.keys += 1
        return Once.of(LOCAL.name, "test", key or f"key-{self.keys}", {})

    def free_lead(self) -> str:
        """An open lead that some rep may take."""
        recommender = self.known
        for code in recommender.open_leads:
            lead_id = str(recommender.book.lead_ids[code])
            if len(recommender.rank_reps(lead_id).best) > 2:
                return lead_id
        raise AssertionError("no open lead has three reps")
