"""One look at a model in service: the window read, compared and judged."""

from __future__ import annotations

from dataclasses import dataclass

from features.config import Config
from features.snapshot import Snapshot
from models.product import Product
from training.monitor.compare import Compared, compare
from training.monitor.judgement import Case, Judgement, judge
from training.monitor.recent import Recent, look
from training.monitor.reference import Reference


@dataclass(frozen=True)
class Watched:
    """A registered model by what names it.

    run_id        of its training; released: it serves, or would if the market were still its own
    same_market   it was trained for today's served market
    """

    version: str
    run_id: str
    content_hash: str
    released: bool
    same_market: bool


@dataclass(frozen=True)
class Monitored:
    """What came of looking at a model."""

    watched: Watched
    recent: Recent
    reference: Reference
    compared: Compared
    judgement: Judgement


def monitor(
    snapshot: Snapshot, config: Config, watched: Watched, product: Product, reference: Reference, *,
    window: int, clock: int | None = None,
) -> Monitored:  # fmt: skip
    """Hold the last `window` microseconds of a snapshot against what a model learned from.

    clock    the instant at which one asks, microseconds, for ages; None: the snapshot's own now
    Raises   NotEnoughData when there is no past offer
    Cost     the features of every past offer, and some 0.5 s
    """
    recent = look(snapshot, config, window)
    compared = compare(recent, reference, product)
    asked = recent.now if clock is None else max(clock, recent.now)
    case = Case(compared, recent, reference, config, asked, watched.same_market)
    return Monitored(watched, recent, reference, compared, judge(case))
