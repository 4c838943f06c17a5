"""A small sample CRM and what a training on it leaves for the gate, without a tracking store, in a few seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np

from features.book import Book
from features.catalogue import FEATURE_VERSION
from features.config import Config, load_config
from features.engine import Engine
from features.snapshot import Snapshot, read_snapshot
from models.labels import Labels
from models.product import Product, fit_product
from models.recipe import LinearPart, Recipe
from training.blocks import Block, Cut, final_cut, rolling_cuts
from training.contestants import RANKER, RULES, contestants
from training.evaluate import Predictions
from training.evidence import Trained
from training.examples import Examples, gather
from training.gate.case import Case
from training.pool import Pool
from training.sample import write_sample
from training.tracking import Version

#: Without crosses, for they are most of the fit; what is left still beats the rules on these samples.
RECIPE = Recipe.preset("fast").but(linear=LinearPart())
RIVALS = (RANKER, RULES, "random", "logistic")

#: What becomes of a block's labels before they are learned from.
Tamper = Callable[[Labels, Block], Labels]


@dataclass(frozen=True)
class World:
    """A sample CRM and its offers as examples."""

    snapshot: Snapshot
    config: Config
    examples: Examples
    now: int

    @classmethod
    def of(cls, snapshot: Snapshot, config: Config) -> World:
        book = Book.of(snapshot, config)
        return cls(snapshot, config, gather(book, Engine(book, config)), book.now)


def sample(folder: Path, accounts: int, reps: int, offers: int, seed: int = 3) -> World:
    """A smooth world: its truth is learned soonest."""
    write_sample(folder, accounts=accounts, reps=reps, offers=offers, seed=seed, end=date(2026, 9, 1), world="smooth")
    config = load_config(folder / "callsheet.yaml")
    return World.of(read_snapshot(str(folder), config=config), config)


def honest(labels: Labels, _: Block) -> Labels:
    return labels


def case(
    world: World, home: Path, recipe: Recipe = RECIPE, *, teach: Tamper = honest, calibrate: Tamper = honest,
) -> Case:  # fmt: skip
    """What a training leaves for the gate: recipes at two cuts, and the product of all the data in its folder."""
    examples, matrix = world.examples, world.examples.matrix
    cuts, last = rolling_cuts(examples, world.config, world.now, 2), final_cut(examples, world.config, world.now)
    order = [one for one in contestants(recipe) if one.key in RIVALS]
    parts: dict[str, list[Predictions]] = {one.key: [] for one in order}

    def blocks(cut: Cut) -> tuple[object, ...]:
        return (
            matrix.take(cut.train.rows), teach(cut.train.labels, cut.train),
            matrix.take(cut.calibrate.rows), calibrate(cut.calibrate.labels, cut.calibrate),
        )  # fmt: skip

    for cut in cuts:
        for one in order:
            scores = one.fit(*blocks(cut), None).predict(matrix.take(cut.test.rows))  # type: ignore[arg-type]
            parts[one.key].append(Predictions(scores.score, scores.p_accept, scores.p_convert))
    joined = {
        key: Predictions(*(np.concatenate([getattr(p, f) for p in said]) for f in ("score", "p_accept", "p_convert")))
        for key, said in parts.items()
    }
    pool = replace(Pool.of(examples, cuts), said=joined)
    product: Product = fit_product(recipe, *blocks(last))  # type: ignore[arg-type]
    product.save(home)
    evidence = Trained(examples, cuts, last, world.now, pool, product, "none", None).evidence(replicates=200)
    version = Version(
        "1", "run", product.content_hash, FEATURE_VERSION, world.config.market_fingerprint, (), datetime.now(UTC)
    )  # fmt: skip
    share = {"behaviour_share": product.card["behaviour"]["share"]}
    return Case(pool, share, evidence, version, home, world.config)
