"""Makes a Recommender of data, configuration and release: the same for the service and for the command line."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import lru_cache
from pathlib import Path

from features.book import Book
from features.config import Config, load_config
from features.snapshot import read_snapshot
from models.product import Product
from serving.cache import ModelCache
from serving.deadline import SECONDS
from serving.decide import Decider
from serving.explain import Load
from serving.ladder import climb
from serving.ledger import Ledger
from serving.ledger.configurations import note
from serving.ledger.releases import Releases
from serving.live import Live
from serving.recommend import Recommender
from serving.settings import Settings
from serving.shadow import Shadow
from serving.uptodate import UpToDate


def recommender(book: Book, config: Config, home: Path, db: str | None = None) -> Recommender:
    """A recommender on what is released now. Raises LedgerError when the ledger cannot be opened."""
    with closing(Ledger.open(db, home)) as ledger:
        standing = climb(Releases(ledger), ModelCache(home), config)
    return Recommender(book, config, standing)


def start(settings: Settings) -> Recommender:
    """Load everything that answers from a snapshot need, the model's trial beside the data, and warm it up."""
    config = load_config(settings.config)
    with closing(Ledger.open(settings.db, settings.home)) as ledger, ThreadPoolExecutor(1) as aside:
        climbing = aside.submit(climb, Releases(ledger), ModelCache(settings.home), config)
        snapshot = read_snapshot(
            str(settings.data), config=config, mapping=settings.mapping, as_of=settings.as_of
        )  # fmt: skip
        book = Book.of(snapshot, config)
        made = Recommender(book, config, climbing.result())
    made.warm()
    return made


def follow(settings: Settings) -> Live:
    """Load everything that answers from the ledger need, and follow it. Raises LedgerError, LedgerEmpty, TableError."""
    config = load_config(settings.config)
    return Live(Ledger.open(settings.db, settings.home, limit=SECONDS), config, settings.home).start()


def decider(live: Live) -> Decider:
    """What decides from what is known of the ledger at each moment, and who looks on; by what is written down."""
    note(live.ledger, live.config, "callsheet")
    shadow = Shadow(live.ledger, live.config.policy).start() if live.config.policy.shadow else None
    return Decider(live.ledger, live.config, lambda: live.recommender, shadow=shadow, uptodate=UpToDate(live))


def shelf(live: Live) -> Load:
    """Models by content hash, for explanations: those that are loaded, else what is kept of older ones."""
    kept = lru_cache(maxsize=4)(live.cache.load)

    def load(content_hash: str) -> Product:
        contender = live.recommender.contender
        for product in (live.recommender.standing.product, contender.product if contender else None):
            if product is not None and product.content_hash == content_hash:
                return product
        return kept(content_hash)

    return load
