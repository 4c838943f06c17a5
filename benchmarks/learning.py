"""What the learner is worth on worlds whose truth is known: how far from a random rep to the best, recipe by recipe.

`python -m benchmarks.learning --seeds 61 62 63` prints, for each kind of world, the mean over the seeds of two shares
of the way from a random eligible rep (0) to the one with the highest true p_convert (1), for the leads of the four
weeks after the log: picking the best rep for each lead, and the best plan of each week under the reps' capacities; and
the mean distance of the probabilities to the true ones by decile. With `--home DIR` the numbers go to MLflow, too.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from scipy.optimize import linear_sum_assignment

import training.world.life as life
from features.asof import DAY
from features.book import Book
from features.config import load_config
from features.engine import Engine
from features.matrix import Matrix
from features.snapshot import read_snapshot
from models.baselines import BASELINES
from models.product import fit_product
from models.recipe import Recipe, Trees
from models.scores import Scores
from training.blocks import Cut, final_cut, log_end
from training.examples import Examples, gather
from training.sample import write_sample
from training.tracking import Store
from training.world.truth import Truth

SIZES = {"small": (1_500, 60, 10_500), "large": (9_000, 240, 95_000)}
#: world-graph-traits, and `factors`: tastes of rank two and no chance affinities, which the recipes were not tuned on.
KINDS = (
    "smooth-strong-traits", "smooth-weak-plain", "smooth-none-traits", "smooth-strong-factors",
    "rough-strong-traits", "rough-weak-plain", "rough-none-traits", "rough-strong-factors", "mixed-strong-traits",
)  # fmt: skip
NONE = Trees(rounds=0)
MEASURES = ("pick", "plan", "off_accept", "off_convert")

Fit = Callable[["World"], Scores]


@dataclass(frozen=True)
class World:
    """A sample as its learner sees it, and the true pairs of the weeks after it."""

    examples: Examples
    cut: Cut
    pairs: Matrix
    p_accept: np.ndarray
    p_convert: np.ndarray
    capacity: pd.Series


def product(recipe: Recipe) -> Fit:
    """What a recipe says of the world's pairs."""

    def fit(world: World) -> Scores:
        return fit_product(recipe, *world.cut.learned_from(world.examples.matrix)).predict(world.pairs)

    return fit


def baseline(name: str) -> Fit:
    """What a baseline says of the world's pairs."""

    def fit(world: World) -> Scores:
        return BASELINES[name]().fit(*world.cut.learned_from(world.examples.matrix)).predict(world.pairs)

    return fit


def recipes() -> dict[str, Fit]:
    """What is compared."""
    standard = Recipe.preset("standard")
    bare = standard.but(accept=NONE, convert=NONE, ranker=NONE)
    ranker = Trees(rounds=150, leaves=7, learning_rate=0.05)
    return {
        "rules: owner, else territory": baseline("owner_territory"),
        "logistic regression": baseline("logistic"),
        "pointwise LightGBM": baseline("pointwise_lightgbm"),
        "LightGBM's ranker alone": product(
            standard.but(linear={"on": False}, accept=NONE, convert=NONE, ranker=ranker)
        ),
        "linear start alone": product(bare),
        "linear start and ranker": product(bare.but(ranker=ranker)),
        "fast": product(Recipe.preset("fast")),
        "standard": product(standard),
        "standard without the graph": product(standard.but(drop=("graph",))),
    }


def make_world(kind: str, size: str, seed: int) -> World:
    """Write a sample, read it as `callsheet train` does, and compute its true pairs' features."""
    world, graph, traits = kind.split("-")
    accounts, reps, offers = SIZES[size]
    with tempfile.TemporaryDirectory() as folder:
        crm, drawn = Path(folder) / "crm", life.make_truth
        if traits == "factors":
            life.make_truth = lambda *given: factored(drawn(*given), seed)
        try:
            write_sample(
                crm, accounts=accounts, reps=reps, offers=offers, seed=seed, end=date(2026, 6, 30),
                world=world, graph=graph, traits=traits != "plain",
            )  # fmt: skip
        finally:
            life.make_truth = drawn
        config = load_config(crm / "callsheet.yaml")
        book = Book.of(read_snapshot(str(crm), config=config), config)
        engine = Engine(book, config)
        examples = gather(book, engine)
        cut = final_cut(examples, config, log_end(examples, config, book.now))
        true = pd.read_csv(crm / "truth" / "pairs.csv", dtype={"lead_id": str, "rep_id": str})
        at = pd.to_datetime(true["as_of"], utc=True).dt.tz_convert(None).astype("datetime64[us]").astype("int64")
        pairs = engine.matrix(true["lead_id"].to_numpy(object), true["rep_id"].to_numpy(object), at.to_numpy())
        capacity = pd.read_csv(crm / "reps.csv").set_index("rep_id")["weekly_capacity"]
    return World(examples, cut, pairs, true["p_accept"].to_numpy(), true["p_convert"].to_numpy(), capacity)


def factored(truth: Truth, seed: int) -> Truth:
    """The truth with tastes of two hidden factors of each rep, and without the chance affinities of account and rep."""
    rng = np.random.default_rng(seed + 99)
    factors = rng.normal(0, 1, (len(truth.reps), 2))
    changed = {"chemistry": np.zeros_like(truth.chemistry)}
    for name, spread in (("function", 0.5), ("level", 0.35), ("solution", 0.5), ("industry", 0.4)):
        own = getattr(truth, f"taste_{name}")
        changed[f"taste_{name}"] = own + factors @ rng.normal(0, spread / np.sqrt(2), (2, own.shape[1]))
    return replace(truth, **changed)


def measure(world: World, said: Scores) -> dict[str, float]:
    """The four measures of a recipe; without probabilities the plan goes by the score."""
    lead = pd.factorize(world.pairs.lead_id)[0]
    best = pd.DataFrame({"lead": lead, "true": world.p_convert, "score": said.score}).sort_values(
        ["lead", "score"], ascending=[True, False], kind="stable"
    )
    by_lead = best.groupby("lead")["true"]
    found = {"pick": _way(by_lead.first().mean(), by_lead.mean().mean(), by_lead.max().mean())}
    told = np.isfinite(said.p_convert).all()
    planned = said.p_convert if told else said.score
    chance = np.random.default_rng(0).random(len(planned))
    found["plan"] = _way(*(sum(_planned(world, v)) for v in (planned, chance, world.p_convert)))
    if told:
        found["off_accept"] = _off(said.p_accept, world.p_accept)
        found["off_convert"] = _off(said.p_convert, world.p_convert)
    return found


def _way(got: float, random: float, best: float) -> float:
    return float((got - random) / (best - random))


def _off(said: np.ndarray, true: np.ndarray) -> float:
    deciles = np.array_split(np.argsort(said, kind="stable"), 10)
    return float(np.mean([abs(said[rows].mean() - true[rows].mean()) for rows in deciles]))


def _planned(world: World, value: np.ndarray) -> Iterator[float]:
    """True conversions of each week's best plan by `value`, reps taking no more than their capacity."""
    week = world.pairs.as_of // (7 * DAY)
    for one in np.unique(week):
        rows = np.flatnonzero(week == one)
        lead, leads = pd.factorize(world.pairs.lead_id[rows])
        rep, reps = pd.factorize(world.pairs.rep_id[rows])
        seats = np.repeat(np.arange(len(reps)), world.capacity.reindex(reps).fillna(10).astype(int))
        worth = np.full((len(leads), len(reps)), -1e9)
        worth[lead, rep] = value[rows]
        true = np.zeros_like(worth)
        true[lead, rep] = world.p_convert[rows]
        row, seat = linear_sum_assignment(worth[:, seats], maximize=True)
        taken = worth[row, seats[seat]] > -1e8
        yield float(true[row, seats[seat]][taken].sum())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--seeds", type=int, nargs="+", default=[61, 62, 63])
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--recipes", nargs="+", default=list(recipes()), metavar="RECIPE")
    parser.add_argument("--home", type=Path, help="A Callsheet home: each recipe becomes a run of its MLflow store.")
    options = parser.parse_args()
    rows = []
    for kind in options.kinds:
        for seed in options.seeds:
            world = make_world(kind, options.size, seed)
            for name in options.recipes:
                begun = time.process_time()
                found = measure(world, recipes()[name](world))
                rows.append({"kind": kind, "seed": seed, "recipe": name, "cpu": time.process_time() - begun, **found})
    frame = pd.DataFrame(rows)
    show(frame, options.size)
    if options.home:
        record(Store(options.home), frame, options.size)


def show(frame: pd.DataFrame, size: str) -> None:
    """Print means over seeds: by first part of the kind, then pick by kind with the spread over seeds."""
    console = Console(width=150)
    first = frame["kind"].str.split("-").str[0]
    table = Table(title=f"{size}: mean over {frame['seed'].nunique()} seeds and the kinds of world")
    for title in ("recipe", *(f"{w} {m}" for w in dict.fromkeys(first) for m in MEASURES), "cpu s"):
        table.add_column(title, justify="left" if title == "recipe" else "right")
    for name, part in frame.groupby("recipe", sort=False):
        means = part.groupby(first)[list(MEASURES)].mean()
        cells = [f"{means.loc[w, m]:.3f}" for w in dict.fromkeys(first) for m in MEASURES]
        table.add_row(str(name), *cells, f"{part['cpu'].mean():.1f}")
    console.print(table)
    table = Table(title="pick by kind: mean, and its standard deviation over the seeds")
    kinds = list(dict.fromkeys(frame["kind"]))
    for title in ("recipe", *kinds):
        table.add_column(title, justify="left" if title == "recipe" else "right")
    for name, part in frame.groupby("recipe", sort=False):
        by = part.groupby("kind")["pick"].agg(["mean", "std"]).fillna(0.0)
        table.add_row(str(name), *(f"{by.loc[k, 'mean']:.3f} ({by.loc[k, 'std']:.3f})" for k in kinds))
    console.print(table)


def record(store: Store, frame: pd.DataFrame, size: str) -> None:
    """One run a recipe: its measures by kind of world, and every row as a table."""
    for name, part in frame.groupby("recipe", sort=False):
        note = f"{name}, on {part['kind'].nunique()} kinds of world with {part['seed'].nunique()} seeds, {size}."
        with store.run(f"Study: {name} ({size})", note, {"kind": "study"}) as run:
            run.params({"recipe": name, "size": size, "seeds": ", ".join(map(str, sorted(set(part["seed"]))))})
            means = part.groupby("kind")[list(MEASURES)].mean()
            run.metrics({f"{m}/{k}": float(means.loc[k, m]) for k in means.index for m in MEASURES})
            run.metrics({m: float(part[m].mean()) for m in MEASURES})
            run.frame("study.parquet", part)


if __name__ == "__main__":
    main()
