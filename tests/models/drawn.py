"""Matrices and labels over the real catalogue's columns, with a truth that depends on a few of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.catalogue import BY_NAME, COLUMNS
from features.matrix import Matrix, Vocabulary
from models.labels import Labels

DAY = 86_400_000_000
START = 1_735_689_600_000_000  # 2025-01-01

VOCABULARY = Vocabulary(
    {
        "rep_id": tuple(f"R{i:02}" for i in range(30)),
        "role": ("enterprise", "inside", "product"),
        "rep_segment": ("large", "small"),
        "focus": ("both", "existing", "new"),
        "solution": ("analytics", "cards", "payments", "treasury"),
        "function": ("Finance", "IT", "Operations", "Sales"),
        "sector": ("31", "52", "61", "72"),
        "account_segment": ("large", "small"),
        "region": ("dach", "uk", "us-east"),
        "account_status": ("customer", "former", "prospect"),
        "source": ("event", "web", "webinar"),
    }
)


@dataclass(frozen=True)
class Drawn:
    """A matrix, what became of its pairs, and the true probabilities behind it."""

    matrix: Matrix
    labels: Labels
    p_accept: np.ndarray
    p_convert: np.ndarray

    def take(self, rows: np.ndarray) -> Drawn:
        return Drawn(self.matrix.take(rows), self.labels.take(rows), self.p_accept[rows], self.p_convert[rows])

    def split(self, share: float = 0.75) -> tuple[Drawn, Drawn]:
        """An earlier part and a later one."""
        cut = int(len(self.matrix) * share)
        return self.take(np.arange(cut)), self.take(np.arange(cut, len(self.matrix)))


def plain_matrix(rng: np.random.Generator, n: int, missing: float = 0.1) -> Matrix:
    """n pairs in time order; every column in its own kind of values, some of them missing."""
    values = np.empty((n, len(COLUMNS)), np.float32)
    for i, name in enumerate(COLUMNS):
        feature = BY_NAME[name]
        if feature.kind == "category":
            values[:, i] = rng.integers(0, len(VOCABULARY.values[name]), n)
        elif feature.kind == "flag":
            values[:, i] = rng.random(n) < 0.3
        elif feature.unit in ("share", "strength"):
            values[:, i] = rng.random(n)
        elif feature.unit == "days":
            values[:, i] = rng.random(n) * 100
        elif name == "level":
            values[:, i] = rng.integers(0, 6, n)
        else:
            values[:, i] = rng.poisson(2.0, n) if feature.unit == "count" else rng.normal(5, 1, n)
    values[rng.random(values.shape) < missing] = np.nan
    rep = COLUMNS.index("rep_id")
    values[:, rep] = rng.integers(0, 30, n)
    ids = np.array([f"R{int(code):02}" for code in values[:, rep]], dtype=object)
    lead = np.array([f"L{i:06}" for i in range(n)], dtype=object)
    as_of = START + np.sort(rng.integers(0, 400 * DAY, n))
    return Matrix(values, COLUMNS, lead, ids, as_of, VOCABULARY)


def world(seed: int, n: int, *, taste: float = 0.8, corner: float = 0.0, missing: float = 0.1) -> Drawn:
    """Offers with a smooth truth, reps with a latent taste for functions, and a corner of size `corner`."""
    rng = np.random.default_rng(seed)
    matrix = plain_matrix(rng, n, missing)
    get = {name: np.nan_to_num(matrix.column(name).astype(np.float64)) for name in COLUMNS}
    liking = np.random.default_rng(99).normal(0, taste, (30, 4))[get["rep_id"].astype(int), get["function"].astype(int)]
    pairing = ((get["solution"] == 2) & (get["sector"] == 1)) * corner
    accept = -1.6 + 1.0 * get["region_match"] + 0.7 * get["meeting_14d"] + 0.2 * get["level"] + liking + pairing
    accept += 0.3 * get["fields_filled"] / 5
    given = -2.3 + 0.8 * get["owner_is_rep"] + 1.2 * get["tie_strength"] + 0.6 * liking + pairing
    p_accept, p_given = 1 / (1 + np.exp(-accept)), 1 / (1 + np.exp(-given))
    accepted = rng.random(n) < p_accept
    converted = accepted & (rng.random(n) < p_given)
    won = converted & (rng.random(n) < 0.4)
    labels = Labels(
        grade=(accepted.astype(np.int8) + converted + won).astype(np.int8),
        accepted=accepted.astype(np.float32),
        converted=converted.astype(np.float32),
        won=won.astype(np.float32),
        weight=np.ones(n, np.float32),
        convert_weight=np.ones(n, np.float32),
        group=(matrix.as_of - START) // (7 * DAY) * 10 + get["region"].astype(np.int64),
        account=rng.integers(0, max(n // 5, 1), n),
    )
    return Drawn(matrix, labels, p_accept, p_accept * p_given)
