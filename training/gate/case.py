"""What the gate looks at and what it says: the case of one run's model, a check, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from features.config import Config
from features.errors import CallsheetError
from models.product import Product
from training.bootstrap import Draw
from training.champion import Champion
from training.contestants import CHAMPION, RULES
from training.evaluate import Measured, evaluate
from training.evidence import Evidence
from training.pool import REPLICATES, Pool
from training.tracking import Version

#: What decides. NDCG at 5 on the grades uses the accepts and conversions of every group, so fewer offers than with
#: a share of the first few tell a better model from the rules: on five samples of 2,500 test offers the lead was 2.5
#: to 4.5 standard errors of it, 1.7 to 3.8 of NDCG at 3, 0.5 to 4.7 of convert at 1. Routing looks nearly as deep.
PRIMARY, PRIMARY_WORDS = "ndcg_at_5", "NDCG at 5"
NOT_ENOUGH = "Not enough data"

Number = float | int | None


@dataclass(frozen=True)
class Check:
    """One demand: whether it is met, the numbers it was judged by, and both in words.

    tried   False: there was nothing to judge it by, and the text says so; it then passes, for it is no objection, and
            is no evidence either
    """

    name: str
    passed: bool
    numbers: Mapping[str, Number]
    text: str
    tried: bool = True

    @property
    def mark(self) -> str:
        """Met, not met, or not tried, for people."""
        return "NOT MET" if not self.passed else "met" if self.tried else "not tried"


@dataclass(frozen=True)
class Verdict:
    """What the gate says of a run's model; `reason` is one sentence, the first failed check's or that all passed."""

    passed: bool
    run_id: str
    version: str
    content_hash: str
    reason: str
    checks: tuple[Check, ...]

    def as_dict(self) -> dict[str, object]:
        """The verdict as JSON has it."""
        return asdict(self) | {"checks": [asdict(check) for check in self.checks]}


@dataclass(frozen=True)
class Shadowed:
    """What came of a model's time as the challenger: decisions that it looked on at, `errors` of them included."""

    decisions: int
    errors: int
    agreed: int


@dataclass(frozen=True)
class Harm:
    """That the guard rolled a model back: when (UTC), by which revision of the releases, and why in its words."""

    at: datetime
    revision: int
    reason: str


@dataclass(frozen=True)
class Case:
    """All that the checks look at.

    pool      the run's stored test predictions; metrics: its numbers; evidence: what else it left for the gate
    version   as registered; folder: the very files that will serve
    config    today's agreement; serving: the model that serves today, None where the rules do
    fresh     offers answered since the model's cut, of training.since; None: no data are at hand
    watched   what it looked on at as the challenger; None: it never was
    harm      that the guard rolled it back, the last time; None: it never did
    """

    pool: Pool
    metrics: Mapping[str, float]
    evidence: Evidence
    version: Version
    folder: Path
    config: Config
    serving: Champion | None = None
    fresh: Pool | None = None
    watched: Shadowed | None = None
    harm: Harm | None = None
    seed: int = 0
    replicates: int = REPLICATES

    @cached_property
    def draw(self) -> Draw:
        """The resamples of the accounts, the same for every recipe."""
        return self.pool.draw(self.seed, self.replicates)

    @cached_property
    def measured(self) -> dict[str, Measured]:
        """Every recipe on the same resamples."""
        return {name: evaluate(self.pool.board, said, self.draw) for name, said in self.pool.said.items()}

    @property
    def rival(self) -> str:
        """The recipe that the model would replace: the champion's where the run has fitted it, else the rules."""
        return CHAMPION if CHAMPION in self.pool.said else RULES

    @cached_property
    def artefact(self) -> Product | CallsheetError:
        """The model as its files have it, checked byte by byte, or why they cannot be loaded."""
        try:
            return Product.load(self.folder, expected=self.version.content_hash)
        except CallsheetError as error:
            return error
