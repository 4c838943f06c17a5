"""Test rows whose truth is known, without a CRM behind them: recipes of stated quality, for the gate to judge.

An offer's truth is one number z; a recipe's quality is the correlation of its score with z. Both have a part that an
account's offers share, as real ones do, and recipes that are kin share most of their errors. The noise was set so that
a pool looks like those of sample CRMs of 10,500 offers: 30 % accepted, 8 % converted, NDCG at 5 of a random order 0.46,
of the rules 0.54, of the ranker 0.62, and of the ranker's lead the same standard errors (0.02 over the rules, 0.01
over a kindred recipe at 2,100 offers; of its lead in doubly robust value 0.02 and 0.01 conversions an offer).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from features.config import Config, read_config
from training.champion import Champion
from training.contestants import CHAMPION, RANKER, RULES
from training.evaluate import Board, Predictions
from training.evidence import Evidence
from training.gate.case import Case
from training.pool import Pool, tie_breaks
from training.telling import COLUMNS
from training.tracking import Version

#: Account and idiosyncratic parts of truth and errors; logits of accepting, and of converting given that, at z = 0.
SHARED, ACCEPT, CONVERT = 0.3, -0.95, -1.8
#: How often the rep that a recipe would pick is the one that was offered; what routing by chance converts, and by z.
OVERLAP, WORTH, GAIN = 0.1, 0.04, 0.11
#: How often a recipe picks as the ranker does: one of its kin, and another.
ALIKE, APART = 0.85, 0.33
#: Markets x regions in which offers compete within a week, and the roles and so on of slices.
CELLS, OFFERS_A_WEEK, WEEKS = 20, 175, 12
SLICES = {"role": 6, "region": 10, "solution": 5, "relationship": 2, "tenure": 3, "account_size": 4}
OF_ACCOUNT = ("region", "relationship", "account_size")
BLOCKS = ("train", "test", "latest")
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(21)


@dataclass(frozen=True)
class Quality:
    """A recipe: how its score goes with the truth, and what share of its errors it has in common with its kin."""

    score: float
    kin: float = 0.0


def draw_pool(seed: int, n: int, recipes: Mapping[str, Quality], broken: Mapping[str, float] | None = None) -> Pool:
    """n offers of n / 4 accounts with what each recipe says of them, calibrated as far as it knows the truth.

    broken   slice "column=value" -> quality that the ranker has there instead
    """
    rng = np.random.default_rng(seed)
    account = rng.integers(0, n // 4, n)
    weeks = min(WEEKS, max(2, n // OFFERS_A_WEEK))
    slices = pd.DataFrame(
        {
            name: (rng.integers(0, k, n // 4)[account] if name in OF_ACCOUNT else rng.integers(0, k, n)).astype(str)
            for name, k in SLICES.items()
        },
        dtype="category",
    )
    cell = slices["region"].to_numpy().astype(int) * (CELLS // 10) + rng.integers(0, CELLS // 10, n // 4)[account]

    def field() -> np.ndarray:
        return np.sqrt(SHARED) * rng.normal(size=n // 4)[account] + np.sqrt(1 - SHARED) * rng.normal(size=n)

    z, common = field(), field()
    accepted = (rng.random(n) < _sigmoid(ACCEPT + z)).astype(np.float64)
    converted = accepted * (rng.random(n) < _sigmoid(CONVERT + z))
    offer_id = np.array([f"O{i}" for i in range(n)], object)
    board = Board(
        cell * weeks + rng.integers(0, weeks, n), (accepted + converted).astype(np.int64), accepted, converted,
        tie_breaks(offer_id),
    )  # fmt: skip
    said = {}
    for name, recipe in recipes.items():
        error = np.sqrt(recipe.kin) * common + np.sqrt(1 - recipe.kin) * field()
        quality = np.full(n, recipe.score)
        for where, other in (broken or {}).items() if name == RANKER else ():
            column, value = where.split("=")
            quality[(slices[column] == value).to_numpy()] = other
        said[name] = _says(z, error, quality)
    return Pool(offer_id, np.zeros(n, np.int64), account, board, slices, said)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x)))


def _says(z: np.ndarray, error: np.ndarray, quality: np.ndarray) -> Predictions:
    """The truth as far as a recipe knows it: score is the mean of z given what it sees, p that of the chances.

    A quality below 0 is that of a recipe which takes good for bad.
    """
    left = np.sqrt(1 - quality**2)
    seen = np.abs(quality) * (quality * z + left * error)
    likely = seen[:, None] + left[:, None] * _NODES
    weights = _WEIGHTS / _WEIGHTS.sum()
    accept = _sigmoid(ACCEPT + likely)
    return Predictions(seen, accept @ weights, (accept * _sigmoid(CONVERT + likely)) @ weights)


def with_worth(pool: Pool, recipes: Mapping[str, Quality], seed: int) -> Pool:
    """The pool with what routing by each recipe adds to the doubly robust value, row by row.

    A row's part is the forecast of what the recipe's pick converts at, put right by the outcome where the pick is the
    rep that was offered. A kindred recipe picks as the ranker does in 85 of 100 rows, another in 33, and adds the same.
    """
    rng = np.random.default_rng(seed)
    n = len(pool)
    fortune = np.exp(0.5 * rng.normal(size=int(pool.account.max()) + 1) - 0.125)[pool.account]

    def parts(mean: float) -> np.ndarray:
        chance = np.clip(mean * fortune, 0.001, 0.6)
        forecast = np.clip(chance * (1 + 0.3 * rng.normal(size=n)), 0, 1)
        hit = rng.random(n) < OVERLAP
        return np.asarray(forecast + hit / OVERLAP * ((rng.random(n) < chance) - forecast))

    ours = WORTH + GAIN * recipes[RANKER].score
    worth = {RANKER: parts(ours)}
    for name, recipe in recipes.items():
        if name != RANKER:
            alike = ALIKE if recipe.kin else APART
            theirs = (WORTH + GAIN * recipe.score - alike * ours) / (1 - alike)
            worth[name] = np.where(rng.random(n) < alike, worth[RANKER], parts(theirs))
    return replace(pool, worth=worth)


NO_ROWS = pd.DataFrame(columns=["offer_id", "score", "p_accept", "p_convert"])
NOTHING_KNOWN = pd.DataFrame(columns=["feature", "family", *(f"{b}{r}" for b in BLOCKS for r in ("", "_rows"))])
NOTHING_TOLD = pd.DataFrame(columns=list(COLUMNS))
CONFIG: Config = read_config("markets: {all: {revenue: [0, null]}}\ntimezone: UTC\n")


def case_of(
    pool: Pool, relation: str = "none", since: Mapping[str, Pool] | None = None, replicates: int = 1000
) -> Case:  # fmt: skip
    """The gate's case of a pool: nothing is wrong with it but what its rows show."""
    none = relation == "none"
    champion = {"relation": relation, "version": "" if none else "1", "content_hash": "" if none else "champion"}
    evidence = Evidence(champion | {"gap": ""}, NO_ROWS, NOTHING_KNOWN, NOTHING_TOLD, dict(since or {}))
    version = Version("2", "run", "challenger", "", CONFIG.market_fingerprint, ("challenger",), datetime.now(UTC))
    serving = None if none else Champion("1", "champion", None, None)
    said = {"behaviour_share": 0.5}
    return Case(
        pool, said, evidence, version, Path("nowhere"), CONFIG, serving=serving, replicates=replicates
    )  # fmt: skip


def with_champion(ranker: Quality, champion: Quality | None, rules: Quality = Quality(0.35)) -> dict[str, Quality]:
    """The recipes of a run: the ranker, what it would replace, and simpler ones that know nearly as much."""
    made = {RANKER: ranker, RULES: rules}
    made |= {
        "logistic": Quality(max(ranker.score - 0.06, 0.0), 0.5),
        "pointwise_lightgbm": Quality(max(ranker.score - 0.04, 0.0), 0.5),
    }
    return made | ({CHAMPION: champion} if champion else {})


__all__ = ["Quality", "case_of", "draw_pool", "with_champion", "with_worth"]
