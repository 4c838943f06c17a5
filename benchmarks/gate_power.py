"""How often the gate passes what it should and what it should not, on test rows whose truth is known.

`python -m benchmarks.gate_power` prints the tables of docs/gate.md: some 90 minutes on one core. `--sims` and `--sizes`
make it shorter. Each number is a share of simulations, whose seeds are the same for every scenario of one size.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.gate_pools import Quality, case_of, draw_pool, with_champion, with_worth
from training.contestants import CHAMPION, RANKER
from training.gate.case import PRIMARY, Case, Check
from training.gate.data import enough_data
from training.gate.probabilities import calibrated
from training.gate.rivals import against_champion, beats_rules, no_worse_than_baselines
from training.gate.slices import slices_held

#: Test offers -> simulations of each scenario.
SIZES = {700: 400, 2100: 400, 7000: 200, 20_000: 100}
CHECKS: Mapping[str, Callable[[Case], Check]] = {
    "enough data": enough_data, "beats rules": beats_rules, "against champion": against_champion,
    "baselines": no_worse_than_baselines, "slices": slices_held, "calibrated": calibrated,
}  # fmt: skip
REPLICATES = 1000


@dataclass(frozen=True)
class Scenario:
    """What is judged: recipes of stated quality, who serves, and the slices in which the ranker is broken."""

    name: str
    ranker: Quality
    champion: Quality | None = None
    relation: str = "none"
    broken: Mapping[str, float] | None = None

    def case(self, n: int, seed: int) -> Case:
        """One case of n test offers. The same recipe's newest artefact is tried on n offers that neither has seen."""
        recipes = with_champion(self.ranker, self.champion if self.relation == "new" else None)
        since = {}
        if self.relation == "same" and self.champion is not None:
            since["held_out"] = draw_pool(seed + 7_000_000, n, {RANKER: self.ranker, CHAMPION: self.champion})
        pool = with_worth(draw_pool(seed, n, recipes, self.broken), recipes, seed)
        return case_of(pool, self.relation, since, REPLICATES)


def kindred(score: float) -> Quality:
    """A recipe that shares most of its errors with the champion's."""
    return Quality(score, 0.9)


GOOD = kindred(0.65)
FIRST = (
    Scenario("worse than the rules", kindred(0.25)), Scenario("as good as the rules", kindred(0.35)),
    Scenario("slightly better", kindred(0.45)), Scenario("clearly better", GOOD),
)  # fmt: skip
NEW = (
    Scenario("worse than the champion", kindred(0.55), GOOD, "new"), Scenario("as good", GOOD, GOOD, "new"),
    Scenario("slightly better", kindred(0.70), GOOD, "new"), Scenario("clearly better", kindred(0.80), GOOD, "new"),
)  # fmt: skip
SAME = (
    Scenario("fresher, and much worse", kindred(0.45), GOOD, "same"),
    Scenario("fresher, and worse", kindred(0.55), GOOD, "same"), Scenario("fresher, as good", GOOD, GOOD, "same"),
    Scenario("fresher, and better", kindred(0.70), GOOD, "same"),
)  # fmt: skip
BROKEN = (
    Scenario("good everywhere", GOOD), Scenario("blind with new accounts", GOOD, broken={"relationship=1": 0.0}),
    Scenario("reversed with new accounts", GOOD, broken={"relationship=1": -0.65}),
    Scenario("reversed in one region of ten", GOOD, broken={"region=3": -0.65}),
    Scenario("the same, against a champion", GOOD, GOOD, "new", {"region=3": -0.65}),
)  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """What a scenario came to: the mean lead over whom it would replace, and the share that met each check and all."""

    lead: float
    met: Mapping[str, float]
    passed: float


def simulate(scenario: Scenario, n: int, sims: int, seed: int = 0, checks: Sequence[str] = tuple(CHECKS)) -> Seen:
    """Judge so many cases of n offers by these checks."""
    leads, met, passed = [], dict.fromkeys(checks, 0), 0
    for number in range(sims):
        case = scenario.case(n, seed * 1_000_003 + number)
        ours, theirs = (case.measured[key].value.get(PRIMARY, np.nan) for key in (RANKER, case.rival))
        leads.append(ours - theirs)
        found = {name: CHECKS[name](case).passed for name in checks}
        for name, good in found.items():
            met[name] += good
        passed += all(found.values())
    return Seen(float(np.nanmean(leads)), {name: count / sims for name, count in met.items()}, passed / sims)


def report(title: str, scenarios: Sequence[Scenario], sizes: Mapping[int, int], screen: Console) -> None:
    """One table: a row for each scenario and size."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("the model is")
    for name in ("offers", "runs", "lead", *CHECKS, "all"):
        table.add_column(name, justify="right")
    for scenario in scenarios:
        for n, sims in sizes.items():
            seen = simulate(scenario, n, sims)
            shares = [f"{share:.3f}" for share in (*seen.met.values(), seen.passed)]
            table.add_row(scenario.name, f"{n:,}", str(sims), f"{seen.lead:+.3f}", *shares)
    screen.print(table)


def main() -> None:
    """Print every table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sims", type=int, help="simulations of each scenario and size")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="test offers")
    asked = parser.parse_args()
    sizes = {n: asked.sims or SIZES.get(n, 100) for n in asked.sizes}
    screen = Console(width=140, highlight=False)
    for title, scenarios in (
        ("The first release, against the rules", FIRST), ("A new recipe, against the champion's", NEW),
        ("The same recipe on fresher data", SAME), ("Slices", BROKEN),
    ):  # fmt: skip
        report(title, scenarios, sizes, screen)


if __name__ == "__main__":
    main()
