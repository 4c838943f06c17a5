"""What a sample world is asked to be: its sizes, its calendar and its kind of truth."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from features.errors import UsageError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Texts = NDArray[np.object_]

World = Literal["smooth", "rough", "mixed"]
Graph = Literal["strong", "weak", "none"]

#: All instants of a world are int64 seconds since the epoch, UTC.
HOUR = 3600
DAY = 24 * HOUR
#: No instant.
NONE = int(np.iinfo(np.int64).min)
#: An instant that never comes.
NEVER = int(np.iinfo(np.int64).max)

HISTORY_WEEKS = 60
TEST_WEEKS = 4
#: A new opportunity counts as a conversion up to here (the configuration's labels.converted.within).
HORIZON_DAYS = 90

CORNERS: dict[World, float] = {"smooth": 0.0, "mixed": 0.5, "rough": 1.0}
COLLEAGUES: dict[Graph, float] = {"strong": 1.2, "weak": 0.35, "none": 0.0}


@dataclass(frozen=True)
class Setting:
    """The arguments of a world; every draw is a function of these and of nothing else.

    end     the last day that the tables know; offers stop TEST_WEEKS earlier
    world   smooth: the truth is a sum of terms; rough: it has corners too; mixed: half of them
    graph   how far a rep's ties to a contact's colleagues matter
    traits  whether reps have tastes and skills of their own, or only those of their role
    """

    accounts: int
    reps: int
    offers: int
    seed: int
    end_date: date
    world: World = "mixed"
    graph: Graph = "strong"
    traits: bool = True

    def __post_init__(self) -> None:
        for name, least in (("accounts", 50), ("reps", 12), ("offers", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} must be at least {least}, not {getattr(self, name)}.", field=name)
        if self.world not in CORNERS:
            raise UsageError(f"world must be one of {', '.join(CORNERS)}, not {self.world!r}.", field="world")
        if self.graph not in COLLEAGUES:
            raise UsageError(f"graph must be one of {', '.join(COLLEAGUES)}, not {self.graph!r}.", field="graph")

    @property
    def end(self) -> int:
        """The midnight after the last day: every fact is earlier."""
        day = datetime(self.end_date.year, self.end_date.month, self.end_date.day, tzinfo=UTC)
        return int(day.timestamp()) + DAY

    @property
    def start(self) -> int:
        """Where the weeks of offers begin; accounts, ties and old deals are older."""
        return self.end - HISTORY_WEEKS * 7 * DAY

    @property
    def log_end(self) -> int:
        """Where the offers stop and the test period begins."""
        return self.end - TEST_WEEKS * 7 * DAY

    @property
    def days(self) -> int:
        """Days from start to end."""
        return HISTORY_WEEKS * 7

    def rng(self, part: str) -> np.random.Generator:
        """A part's own stream, so that a change in one part leaves the draws of the others alone."""
        return np.random.default_rng([self.seed, zlib.crc32(part.encode())])


def choose(rng: np.random.Generator, weights: Floats, size: int) -> Ints:
    """Draw `size` indices with the given weights (any positive scale)."""
    edges = np.cumsum(weights)
    return np.searchsorted(edges, rng.random(size) * edges[-1], side="right").astype(np.int64)


def ids(prefix: str, count: int) -> Texts:
    """Identifiers of one width, which sort as they count."""
    width = max(5, len(str(count)))
    return np.array([f"{prefix}{i:0{width}d}" for i in range(1, count + 1)], dtype=object)
