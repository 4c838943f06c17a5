"""What a training made, before any of it is written down: its data, cuts, recipes, test rows, numbers and product."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from features.config import Config
from features.snapshot import Snapshot
from models.product import Product
from models.recipe import Recipe
from training.blocks import Cut
from training.bootstrap import Draw
from training.contestants import RANKER, RULES, Contestant
from training.evaluate import Measured, evaluate
from training.evidence import Evidence
from training.examples import Examples
from training.feature_report import FeatureReport
from training.label_counts import LabelCounts
from training.offpolicy.routing import Routing
from training.pool import Pool
from training.reliability import Reliability
from training.results import Row
from training.slices import each_slice


@dataclass(frozen=True)
class Part:
    """A slice of the test rows: how many, the ranker there and the rules there."""

    offers: int
    ours: Measured
    rules: Measured


@dataclass(frozen=True)
class Record:
    """Everything that a training made, before it is written down."""

    snapshot: Snapshot
    config: Config
    recipe: Recipe
    seed: int
    source: str
    examples: Examples
    cuts: Sequence[Cut]
    final: Cut
    order: Sequence[Contestant]
    pool: Pool
    draw: Draw
    measured: Mapping[str, Measured]
    rows: Sequence[Row]
    product: Product
    folder: Path
    worth: FeatureReport
    evidence: Evidence
    routes: Routing

    @cached_property
    def counts(self) -> LabelCounts:
        """How many offers each rule took, and what the rest teach and test."""
        return LabelCounts.of(self.examples, self.final, self.cuts)

    @property
    def until(self) -> str:
        """The day of the last fact."""
        return str(self.snapshot.now.date())

    @cached_property
    def reliability(self) -> Reliability:
        """What the ranker's probabilities are worth on the test rows."""
        return Reliability.of(self.pool.board, self.pool.said[RANKER], self.pool.slices, self.draw)

    @cached_property
    def parts(self) -> dict[tuple[str, str], Part]:
        """(column, value) -> each slice of the test rows that is large enough, the ranker and the rules there."""
        found = {}
        for column, value, rows in each_slice(self.pool.slices):
            board, draw = self.pool.board.take(rows), self.draw.take(rows)
            ours, rules = (evaluate(board, self.pool.said[key].take(rows), draw) for key in (RANKER, RULES))
            found[column, value] = Part(len(rows), ours, rules)
        return found
