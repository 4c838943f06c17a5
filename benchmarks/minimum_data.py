"""How much data a model needs: from what size of log on it is truly better than the rules, and is let through.

`python -m benchmarks.minimum_data --out rows.csv` trains on samples of growing size as `callsheet train` does, scores
the true chances of the weeks after the log, asks the gate's checks on data and on the rules, and prints a table;
`--of rows.csv` prints it again. `--chance` asks how often the gate's interval holds one random order for better than
another, which is to be 2.5 in 100. What both showed is in docs/cold_start.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from benchmarks.sample_truth import Sample
from features.errors import NotEnoughData
from models.baselines import baseline
from models.product import fit_product
from models.recipe import Recipe
from models.scores import Model
from training.blocks import Cut, final_cut, rolling_cuts
from training.bootstrap import Draw
from training.contestants import RANKER, RULES
from training.evaluate import Measured, Predictions, evaluate
from training.gate import Case
from training.gate.better import better
from training.gate.data import enough_data
from training.pool import Pool
from training.world.setting import World

SIZES = (300, 500, 1000, 1500, 2000, 3000, 5000)


@dataclass(frozen=True)
class Judged:
    """What the two checks read of a gate's case."""

    pool: Pool

    @cached_property
    def draw(self) -> Draw:
        """Resamples of the accounts."""
        return self.pool.draw()

    @cached_property
    def measured(self) -> dict[str, Measured]:
        """Both contestants on them."""
        return {name: evaluate(self.pool.board, said, self.draw) for name, said in self.pool.said.items()}


def tried(offers: int, seed: int, world: World, recipe: Recipe) -> dict[str, Any]:
    """One sample: what its truth says of the model and of the rules, and what the gate's checks say of the model."""
    sample = Sample.made(offers, seed, world)
    row: dict[str, Any] = {"offers": offers, "world": world, "seed": seed, "trained": False}
    try:
        cuts, final = _cuts(sample)
        model = _fit(recipe, sample, final)
        pool = _pool(recipe, sample, cuts)
    except NotEnoughData as error:
        return row | {"why": str(error)[:80]}
    pairs, rules = sample.truth.matrix(sample.engine), _rules(sample, final)
    ours, theirs = model.predict(pairs), rules.predict(pairs)
    board, case = pool.board, cast(Case, Judged(pool))
    found = better(case, RULES, "the rules")
    return row | {
        "trained": True, "cuts": len(cuts), "estimable": bool(np.isfinite(ours.p_convert).all()),
        "ranker": sample.truth.picked(ours.score), "rules": sample.truth.picked(theirs.score),
        "ranker_share": sample.truth.share_of_oracle(ours.score),
        "rules_share": sample.truth.share_of_oracle(theirs.score),
        "tested": len(pool), "accounts": len(np.unique(pool.account)), "groups": len(board.size),
        "conversions": int(board.converted.sum()), "learned": len(final.train),
        "learned_conversions": int(np.nansum(final.train.labels.converted)),
        "enough": enough_data(case).passed, "beats": found.passed, "difference": found.numbers.get("difference"),
    }  # fmt: skip


def _cuts(sample: Sample) -> tuple[tuple[Cut, ...], Cut]:
    cuts = rolling_cuts(sample.examples, sample.config, sample.now)
    return cuts, final_cut(sample.examples, sample.config, sample.now)


def _fit(recipe: Recipe, sample: Sample, cut: Cut) -> Model:
    return fit_product(recipe, *cut.learned_from(sample.examples.matrix))


def _rules(sample: Sample, cut: Cut) -> Model:
    return baseline(RULES).fit(*cut.learned_from(sample.examples.matrix))


def _pool(recipe: Recipe, sample: Sample, cuts: tuple[Cut, ...]) -> Pool:
    said: dict[str, list[Predictions]] = {RANKER: [], RULES: []}
    for cut in cuts:
        rows = sample.examples.matrix.take(cut.test.rows)
        for name, model in ((RANKER, _fit(recipe, sample, cut)), (RULES, _rules(sample, cut))):
            scores = model.predict(rows)
            said[name].append(Predictions(scores.score, scores.p_accept, scores.p_convert))
    joined = {
        name: Predictions(*(np.concatenate([getattr(p, f) for p in parts]) for f in ("score", "p_accept", "p_convert")))
        for name, parts in said.items()
    }
    return replace(Pool.of(sample.examples, cuts), said=joined)


def summary(rows: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    """A line a size of log."""
    for offers, part in rows.groupby("offers"):
        done = part[part["trained"].astype(bool)]
        if not len(done):
            yield (f"{offers:,}", f"0 of {len(part)}", *["–"] * 9)
            continue
        gain = (done["ranker"] / done["rules"] - 1).to_numpy(dtype=float)
        truly, let = gain > 0, (done["enough"] & done["beats"]).to_numpy(dtype=bool)
        beats = done["beats"].to_numpy(dtype=bool)
        yield (
            f"{offers:,}", f"{len(done)} of {len(part)}", f"{done['tested'].median():.0f}",
            f"{done['conversions'].median():.0f}",
            f"{done['rules_share'].mean():.2f}", f"{done['ranker_share'].mean():.2f}",
            f"{gain.mean():+.0%} ± {gain.std(ddof=1) / np.sqrt(len(gain)):.0%}", f"{truly.mean():.0%}",
            f"{done['enough'].mean():.0%}", f"{beats.mean():.0%}", f"{let.mean():.0%} / {(let & ~truly).sum()}",
        )  # fmt: skip


def show(rows: pd.DataFrame) -> None:
    """Print the table."""
    table = Table(title="How much data a model needs", title_justify="left")
    for head in (
        "offers", "trained", "test offers", "test conversions", "rules, share of oracle", "ranker", "truly gained",
        "truly better", "enough data", "beats rules", "let through / wrongly",
    ):  # fmt: skip
        table.add_column(head, justify="right")
    for line in summary(rows):
        table.add_row(*line)
    Console(width=150).print(table)


def chance(offers: int, seeds: int, pairs: int) -> tuple[str, ...]:
    """A size of log: how often one random order of its test offers passes for better than another."""
    passed, tested, logs = 0, [], 0
    for seed in range(seeds):
        sample = Sample.made(offers, seed, "mixed")
        try:
            pool = Pool.of(sample.examples, _cuts(sample)[0])
        except NotEnoughData:
            continue
        logs, rng, none = logs + 1, np.random.default_rng(seed), np.full(len(pool), np.nan)
        tested.append(len(pool))
        for _ in range(pairs):
            said = {name: Predictions(rng.random(len(pool)), none, none) for name in (RANKER, RULES)}
            passed += better(cast(Case, Judged(replace(pool, said=said))), RULES, "the other").passed
    share, n = passed / max(logs * pairs, 1), max(logs * pairs, 1)
    error = np.sqrt(share * (1 - share) / n)
    return f"{offers:,}", f"{logs} of {seeds}", f"{np.median(tested):.0f}", f"{share:.1%} ± {error:.1%}"


def show_chance(sizes: list[int], seeds: int, pairs: int) -> None:
    """Print the table of false alarms."""
    table = Table(title=f"One random order against another, {pairs} pairs a log", title_justify="left")
    for head in ("offers", "logs", "test offers", "held for better"):
        table.add_column(head, justify="right")
    for offers in sizes:
        table.add_row(*chance(offers, seeds, pairs))
    Console(width=100).print(table)


def main() -> None:
    """Measure, or read what was measured, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--world", nargs="+", default=["smooth", "rough"])
    parser.add_argument("--recipe", default="fast")
    parser.add_argument("--out", type=Path, help="rows as CSV, added to")
    parser.add_argument("--of", type=Path, help="only print what was written there")
    parser.add_argument("--chance", action="store_true", help="the false alarms of chance instead")
    parser.add_argument("--pairs", type=int, default=100, help="of random orders for each log")
    options = parser.parse_args()
    if options.chance:
        show_chance(options.sizes, options.seeds, options.pairs)
        return
    if options.of:
        show(pd.read_csv(options.of))
        return
    rows: list[dict[str, Any]] = []
    for seed in range(options.first, options.first + options.seeds):
        for world in options.world:
            for offers in options.sizes:
                rows.append(tried(offers, seed, world, Recipe.preset(options.recipe)))
                if options.out:
                    pd.DataFrame(rows).to_csv(options.out, index=False)
    show(pd.DataFrame(rows))


if __name__ == "__main__":
    main()
