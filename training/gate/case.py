"""What the gate looks at and what it says: the case of one run's model, a check, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from features.config import Config
from training.evaluate import Measured, evaluate
from training.pool import Pool
from training.tracking import Version

#: What decides. NDCG at 5 on the grades uses the accepts and conversions of every group, so fewer offers than with
#: a share of the first few tell a better model from the rules: on five samples of 2,500 test offers the lead was 2.5
#: to 4.5 standard errors of it, 1.7 to 3.8 of NDCG at 3, 0.5 to 4.7 of convert at 1. Routing looks nearly as deep.
PRIMARY = "ndcg_at_5"
NOT_ENOUGH = "Not enough data"

Number = float | int | None


@dataclass(frozen=True)
class Check:
    """One demand: whether it is met, the numbers it was judged by, and both in words."""

    name: str
    passed: bool
    numbers: Mapping[str, Number]
    text: str


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
class Case:
    """All that the checks look at: the run's stored test predictions, its numbers, its artefact, today's agreement."""

    pool: Pool
    metrics: Mapping[str, float]
    version: Version
    folder: Path
    config: Config
    seed: int = 0

    @cached_property
    def measured(self) -> dict[str, Measured]:
        """Every recipe on the same resamples of the accounts."""
        draw = self.pool.draw(self.seed)
        return {name: evaluate(self.pool.board, said, draw) for name, said in self.pool.said.items()}
