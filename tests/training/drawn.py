"""Examples drawn at random without a CRM behind them: what blocks and labels look at, and nothing else."""

from __future__ import annotations

import numpy as np
import pandas as pd

from features.asof import DAY, NAT
from features.clock import iso_week_start
from features.config import Config, read_config
from features.matrix import Matrix, Vocabulary
from features.outcomes import ACCEPTED, EXPIRED, OPEN, REJECTED
from training.examples import Examples

START = 20_000 * DAY  # a Sunday in October 2024
MARKET = "markets: {all: {revenue: [0, null]}}\ntimezone: UTC\n"


def config(more: str = "") -> Config:
    """The least configuration, and what a test adds to it."""
    return read_config(MARKET + more)


def draw_examples(seed: int = 0, n: int = 3000, days: int = 420, horizon: int = 90) -> Examples:
    """n offers over so many days: three in ten accepted, a fifth of those converted, some of them won."""
    rng = np.random.default_rng(seed)
    offered = np.sort(START + rng.integers(0, days * DAY, n))
    due = offered + rng.integers(DAY, 4 * DAY, n)
    answer = rng.choice([ACCEPTED, REJECTED, EXPIRED, OPEN], n, p=[0.3, 0.4, 0.2, 0.1])
    answered = np.where(answer == OPEN, NAT, offered + ((due - offered) * rng.random(n)).astype(np.int64))
    answered = np.where(answer == EXPIRED, due, answered)
    converts = (answer == ACCEPTED) & (rng.random(n) < 0.2)
    converted = np.where(converts, offered + rng.integers(DAY, horizon * DAY, n), NAT)
    won = np.where(converts & (rng.random(n) < 0.4), converted + rng.integers(DAY, 200 * DAY, n), NAT)
    ids = np.array([f"O{i:05d}" for i in range(n)], object)
    pairs = Matrix(np.zeros((n, 1), np.float32), ("x",), ids, ids, offered, Vocabulary({}))
    slices = pd.DataFrame({"role": np.where(rng.random(n) < 0.5, "inside", "regional")}, dtype="category")
    return Examples(
        matrix=pairs, offer_id=ids, offered=offered, known=offered, due=due, answer=answer, answered=answered,
        converted_known=converted, convert_due=offered + horizon * DAY, won_known=won, won_due=offered + 365 * DAY,
        attempt=np.ones(n, np.int64), advanced=np.zeros(n, bool),
        account=rng.integers(0, n // 5, n), market=np.zeros(n, np.int64), region=rng.integers(0, 4, n),
        week=iso_week_start(offered, "UTC") // DAY, slices=slices, counts={"offers": n, "examples": n},
    )  # fmt: skip
