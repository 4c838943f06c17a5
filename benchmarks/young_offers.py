"""How offers younger than the conversion horizon should teach converting: seven ways, on simulated logs.

`python -m benchmarks.young_offers` prints, for each way, how far the fit is off and how near it comes to the chances of
the four weeks after the log. The chosen one is `training.young`; what it showed is in docs/labels.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.special import expit

from benchmarks.sample_truth import Sample
from models.baselines import baseline
from models.product import fit_product
from models.recipe import Recipe
from models.ridge import Problem, solve
from training.blocks import final_cut
from training.world.setting import World
from training.young import shown_by, young_weights

RECIPE = Recipe.preset("fast")
SPAN, HORIZON, NEXT = 420.0, 90.0, 28.0
TRUTH = np.array([-1.9, 0.7, 0.3])
#: World -> median-like scale of the delay in days, how it moves with the first feature, fall of the logit lately.
WORLDS = {
    "as the sample (mean delay 24 days)": (12.0, 0.0, 0.0),
    "slow (mean delay 50 days)": (25.0, 0.0, 0.0),
    "good offers slower than bad": (12.0, 0.4, 0.0),
    "chances halved in the last 118 days": (12.0, 0.0, -0.7),
}


@dataclass(frozen=True)
class Log:
    """n accepted offers: age at the cut in days, (n, 2) features, whether and after how long each converts."""

    age: np.ndarray
    x: np.ndarray
    converts: np.ndarray
    delay: np.ndarray

    @property
    def ripe(self) -> np.ndarray:
        """(n,) bool: the horizon has passed."""
        return self.age >= HORIZON

    @property
    def seen(self) -> np.ndarray:
        """(n,) bool: converted by the cut."""
        return self.converts & (self.delay <= self.age)


Teaching = tuple[np.ndarray, np.ndarray, np.ndarray]  # rows, outcome 0/1, weight


def draw(rng: np.random.Generator, n: int, scale: float, bent: float, fall: float) -> Log:
    """A log of SPAN days; the second feature moves with time, as counts and tenures do."""
    offered = rng.uniform(0, SPAN, n)
    x = np.column_stack([rng.normal(size=n), (offered - SPAN / 2) / 121 + 0.3 * rng.normal(size=n)])
    age = SPAN - offered
    converts = rng.random(n) < expit(TRUTH[0] + x @ TRUTH[1:] + np.where(age < 118, fall, 0.0))
    delay = np.clip(rng.gamma(2.0, scale * np.exp(bent * x[:, 0])), 1, HORIZON - 1)
    return Log(age, x, converts, delay)


def ripe_only(log: Log) -> Teaching:
    """Leave the young out."""
    rows = np.flatnonzero(log.ripe)
    return rows, log.seen[rows], np.ones(len(rows))


def as_failures(log: Log) -> Teaching:
    """Count what has not converted yet as a failure."""
    return np.arange(len(log.age)), log.seen, np.ones(len(log.age))


def early_successes(log: Log) -> Teaching:
    """Let only the young that have converted in."""
    rows = np.flatnonzero(log.ripe | log.seen)
    return rows, log.seen[rows], np.ones(len(rows))


def inverse_censoring(log: Log) -> Teaching:
    """Weigh what is decided by the inverse chance of being decided so early: 1 / share of offers at least that old."""
    rows = np.flatnonzero(log.ripe | log.seen)
    needed = np.where(log.seen, np.minimum(log.delay, HORIZON), HORIZON)[rows]
    older = 1 - np.searchsorted(np.sort(log.age), needed, side="left") / len(log.age)
    return rows, log.seen[rows], 1 / older


def share_shown(log: Log) -> Teaching:
    """Failures of the young weigh the share of conversions that show by their age."""
    shown = shown_by(log.delay[log.ripe & log.seen], log.age)
    weight = np.where(log.ripe | log.seen, 1.0, shown)
    rows = np.flatnonzero(weight > 0.05)
    return rows, log.seen[rows], weight[rows]


def chosen(log: Log) -> Teaching:
    """The way of training.young: the same, put right for what will still convert."""
    weight = young_weights(log.age, np.ones(len(log.age), bool), log.seen, log.ripe, log.delay)
    rows = np.flatnonzero(weight > 0)
    return rows, log.seen[rows], weight[rows]


def both_ways(log: Log) -> Teaching:
    """Each young offer twice, as success and as failure, by the chance of either under the fit without the young."""
    shown = np.where(log.ripe, 1.0, shown_by(log.delay[log.ripe & log.seen], log.age))
    p = expit(np.column_stack([np.ones(len(log.age)), log.x]) @ fit(log, *ripe_only(log)))
    later = np.where(log.seen, 1.0, np.where(log.ripe, 0.0, p * (1 - shown) / (1 - p * shown)))
    rows = np.flatnonzero(shown > 0.05)
    some, none = rows[later[rows] > 0], rows[later[rows] < 1]
    outcome = np.repeat([True, False], [len(some), len(none)])
    return np.concatenate([some, none]), outcome, np.concatenate([later[some], 1 - later[none]])


WAYS: dict[str, Callable[[Log], Teaching]] = {
    "ripe offers only": ripe_only,
    "not yet is a failure": as_failures,
    "early successes alone": early_successes,
    "inverse chance of being uncensored": inverse_censoring,
    "failures weigh F": share_shown,
    "failures weigh F (1 - p) / (1 - p F)": chosen,
    "each twice, by a first fit": both_ways,
}


def fit(log: Log, rows: np.ndarray, outcome: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(3,) intercept and weights of a logistic regression with hardly any penalty."""
    free, codes = np.zeros(2, np.int64), np.zeros((0, len(rows)), np.int64)
    problem = Problem(
        np.ascontiguousarray(log.x[rows]),
        codes,
        (),
        outcome.astype(float),
        weight,
        free,
        free,
        np.array([9.0]),
        np.ones(2),
    )
    found = solve(problem, learn=False, belief=1.0)
    return np.array([found.intercept, *found.dense])


def measure(world: str, n: int, logs: int) -> Iterator[tuple[str, np.ndarray, np.ndarray, float]]:
    """Each way with the mean error and spread of its three weights, and its error on the weeks after the log."""
    scale, bent, fall = WORLDS[world]
    rng = np.random.default_rng(n)
    found: dict[str, list[np.ndarray]] = {name: [] for name in WAYS}
    for _ in range(logs):
        log = draw(rng, n, scale, bent, fall)
        offered = rng.uniform(SPAN, SPAN + NEXT, 4000)
        x = np.column_stack(
            [np.ones(4000), rng.normal(size=4000), (offered - SPAN / 2) / 121 + 0.3 * rng.normal(size=4000)]
        )
        p = expit(x @ TRUTH + fall)
        for name, way in WAYS.items():
            beta = fit(log, *way(log))
            found[name].append(np.append(beta - TRUTH, np.sqrt(np.mean((expit(x @ beta) - p) ** 2))))
    for name, rows in found.items():
        values = np.array(rows)
        yield name, values[:, :3].mean(axis=0), values[:, :3].std(axis=0), float(values[:, 3].mean())


def on_samples(world: World, offers: int, seeds: int) -> Table:
    """The product and plain logistic regression, fitted without and with the young, against a sample's truth."""
    found: dict[str, list[list[float]]] = {"Callsheet ranker": [], "Logistic regression": []}
    for seed in range(seeds):
        sample = Sample.made(offers, seed + 10, world)
        rows, cut = sample.examples.matrix, final_cut(sample.examples, sample.config, sample.now)
        pairs = sample.truth.matrix(sample.engine)
        scores: dict[str, list[float]] = {name: [] for name in found}
        for young in (False, True):
            labels = sample.examples.labels(cut.at, cut.train.rows, young=young)
            blocks = rows.take(cut.train.rows), labels, rows.take(cut.calibrate.rows), cut.calibrate.labels
            for name, model in zip(
                found, (fit_product(RECIPE, *blocks), baseline("logistic").fit(*blocks)), strict=True
            ):
                said = model.predict(pairs)
                scores[name] += [sample.truth.share_of_oracle(said.score), sample.truth.distance(said.p_convert)]
        for name, each in scores.items():
            found[name].append(each)
    table = Table(title=f"{world} samples of {offers:,} offers, {seeds} seeds", title_justify="left")
    for head in ("recipe", "pick, without", "with", "difference", "distance to truth, without", "with", "difference"):
        table.add_column(head, justify="left" if head == "recipe" else "right")
    for name, rows_ in found.items():
        values = np.array(rows_)
        cells = []
        for i in (0, 1):
            more = values[:, i + 2] - values[:, i]
            error = more.std(ddof=1) / np.sqrt(seeds)
            cells += [
                f"{values[:, i].mean():.4f}",
                f"{values[:, i + 2].mean():.4f}",
                f"{more.mean():+.4f} ± {error:.4f}",
            ]
        table.add_row(name, *cells)
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accepted", type=int, nargs="+", default=[300, 3000], help="accepted offers of a log")
    parser.add_argument("--logs", type=int, default=200, help="0: none")
    parser.add_argument("--offers", type=int, default=5000, help="offers of a sample")
    parser.add_argument("--seeds", type=int, default=10, help="samples of each kind; 0: none")
    options = parser.parse_args()
    screen = Console(width=120)
    for kind in ("smooth", "rough") if options.seeds else ():
        screen.print(on_samples(kind, options.offers, options.seeds))
    if not options.logs:
        return
    for world in WORLDS:
        for n in options.accepted:
            table = Table(title=f"{world}; {n:,} accepted offers, {options.logs} logs", title_justify="left")
            for head in (
                "how the young teach",
                "level off by",
                "feature off by",
                "dated feature off by",
                "error next weeks",
            ):
                table.add_column(head, justify="left" if head.startswith("how") else "right")
            for name, off, spread, error in measure(world, n, options.logs):
                table.add_row(name, *(f"{o:+.3f} ± {s:.3f}" for o, s in zip(off, spread, strict=True)), f"{error:.4f}")
            screen.print(table)


if __name__ == "__main__":
    main()
