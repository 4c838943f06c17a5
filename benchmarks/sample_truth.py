"""A sample CRM as an experiment sees it: its examples, and the pairs of its last weeks with their true chances."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from features.book import Book
from features.config import Config, load_config
from features.engine import Engine
from features.matrix import Matrix
from features.snapshot import Snapshot, read_snapshot
from training.blocks import log_end
from training.examples import Examples, gather
from training.sample import write_sample
from training.world.setting import Graph, World

END = date(2026, 6, 30)


def sizes(offers: int) -> tuple[int, int]:
    """Accounts and reps that go with so many offers."""
    return max(offers // 7, 100), max(offers // 170, 14)


@dataclass(frozen=True)
class Truth:
    """p eligible pairs of the leads that came in the four weeks after the log, as of when each came.

    lead     (p,) int64 code; pairs of one lead are one choice
    """

    lead: np.ndarray
    lead_id: np.ndarray
    rep_id: np.ndarray
    as_of: np.ndarray
    p_accept: np.ndarray
    p_convert: np.ndarray

    @classmethod
    def read(cls, path: Path) -> Truth:
        """Read truth/pairs.csv."""
        frame = pd.read_csv(path, dtype={"lead_id": str, "rep_id": str}, parse_dates=["as_of"])
        at = frame["as_of"].to_numpy(dtype="datetime64[us]").view(np.int64)
        ids = (frame[name].to_numpy(dtype=object) for name in ("lead_id", "rep_id"))
        return cls(
            pd.factorize(frame["lead_id"])[0], *ids, at, frame["p_accept"].to_numpy(), frame["p_convert"].to_numpy()
        )

    def matrix(self, engine: Engine) -> Matrix:
        """The pairs' features."""
        return engine.matrix(self.lead_id, self.rep_id, self.as_of)

    def picked(self, score: np.ndarray) -> float:
        """Mean true p_convert of the rep of the highest score, over the leads; among equals the mean."""
        best = np.full(int(self.lead.max()) + 1, -np.inf)
        np.maximum.at(best, self.lead, score)
        top = score == best[self.lead]
        hits, of = np.bincount(self.lead, top * self.p_convert), np.bincount(self.lead, top)
        return float((hits / of).mean())

    def share_of_oracle(self, score: np.ndarray) -> float:
        """How far the pick gets from a random eligible rep (0) to the one of the highest true p_convert (1)."""
        random, oracle = self.picked(np.zeros(len(self.lead))), self.picked(self.p_convert)
        return (self.picked(score) - random) / (oracle - random)

    def distance(self, p: np.ndarray) -> float:
        """Mean over deciles of p of |mean p - mean true p_convert|."""
        deciles = np.array_split(np.argsort(p, kind="stable"), 10)
        return float(np.mean([abs(p[rows].mean() - self.p_convert[rows].mean()) for rows in deciles]))


@dataclass(frozen=True)
class Sample:
    """A sample that was written, read and turned into examples; `now` is where its log ends."""

    config: Config
    snapshot: Snapshot
    engine: Engine
    examples: Examples
    now: int
    truth: Truth

    @classmethod
    def made(cls, offers: int, seed: int, world: World = "mixed", graph: Graph = "strong") -> Sample:
        """Write one to a temporary folder and read it."""
        accounts, reps = sizes(offers)
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "crm"
            write_sample(out, accounts=accounts, reps=reps, offers=offers, seed=seed, end=END, world=world, graph=graph)
            config = load_config(out / "callsheet.yaml")
            snapshot, truth = read_snapshot(str(out), config=config), Truth.read(out / "truth" / "pairs.csv")
        book = Book.of(snapshot, config)
        engine = Engine(book, config)
        examples = gather(book, engine)
        return cls(config, snapshot, engine, examples, log_end(examples, config, book.now), truth)
