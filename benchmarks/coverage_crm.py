"""Whether the value of routing holds its promise on sample CRMs: logs drawn from the truth, another policy valued.

For leads of a sample's truth (accounts drawn with replacement) a known, biased policy draws a rep, and the truth draws
what comes of it, a hundred times over. Recipes that learned from the sample's past offers are valued on each log, and
their true value is known. `python -m benchmarks.coverage_crm` prints in how many logs the 95 % interval held it; some
ten minutes on one core.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from features.book import Book
from features.config import load_config
from features.engine import Engine
from features.snapshot import read_snapshot
from models.baselines import baseline
from models.product import fit_product
from models.recipe import Recipe
from models.scores import Scores
from training.blocks import final_cut, log_end
from training.evaluate import Board
from training.examples import gather
from training.offpolicy.choices import Choices
from training.offpolicy.estimators import ESTIMATORS
from training.offpolicy.routing import REWARDS, Routed, routing
from training.offpolicy.value import Value
from training.sample import write_sample

EVEN = 0.1  # share of the logging policy's draws that are even


@dataclass(frozen=True)
class TruthLogs:
    """The leads of a sample's truth with their eligible reps, and logs drawn from it.

    blank     rounds without a choice yet; policy: (m,) chance of each pair under the logging policy
    p         reward -> (m,) true chance of each pair; said: recipe -> what it says of the pairs
    """

    blank: Choices
    policy: np.ndarray
    p: Mapping[str, np.ndarray]
    said: Mapping[str, Scores]

    @classmethod
    def of(cls, crm: Path, recipes: Sequence[str]) -> TruthLogs:
        """Read a sample and let recipes (baselines' names, or `ranker`) learn from all its offers."""
        config = load_config(crm / "callsheet.yaml")
        snapshot = read_snapshot(str(crm), config=config)
        book = Book.of(snapshot, config)
        engine = Engine(book, config)
        examples = gather(book, engine)
        cut = final_cut(examples, config, log_end(examples, config, book.now))
        known = [(examples.matrix.take(block.rows), block.labels) for block in (cut.train, cut.calibrate)]
        pairs = pd.read_csv(crm / "truth" / "pairs.csv", dtype={"lead_id": str, "rep_id": str})
        pairs = pairs.sort_values(["lead_id", "rep_id"], ignore_index=True)
        at = pd.to_datetime(pairs["as_of"], utc=True).dt.tz_localize(None).to_numpy("datetime64[us]").astype(np.int64)
        matrix = engine.matrix(pairs["lead_id"].to_numpy(object), pairs["rep_id"].to_numpy(object), at)
        lead, first, round_ = np.unique(pairs["lead_id"], return_index=True, return_inverse=True)
        account = book.account_of(book.lead_index.codes(lead.astype(object)), at[first])
        n = len(lead)
        blank = Choices(
            row=np.arange(n), cut=np.zeros(n, np.int64), round=round_, chosen=first, propensity=np.full(n, np.nan),
            cluster=np.unique(account, return_inverse=True)[1], matrix=matrix,
        )  # fmt: skip
        said = {}
        for name in recipes:
            fit = fit_product(Recipe.preset("fast"), *known[0], *known[1]) if name == "ranker" else None
            said[name] = (fit or baseline(name).fit(*known[0], *known[1])).predict(matrix)
        wanted = 1.5 * np.nan_to_num(matrix.column("owner_is_rep")) + 0.8 * np.nan_to_num(
            matrix.column("segment_match")
        )
        wanted += 4.0 * (np.nan_to_num(matrix.column("rep_accept_rate"), nan=0.3) - 0.3)
        policy = (1 - EVEN) * blank.normalised(wanted.astype(np.float64)) + EVEN / blank.size[round_]
        p = {"converted": pairs["p_convert"].to_numpy(), "accepted": pairs["p_accept"].to_numpy()}
        return cls(blank, policy, p, said)

    def draw(self, seed: int, *, logged: bool = True, times: float = 1.0) -> tuple[Routed, Board]:
        """A log: accounts drawn with replacement, as many as there are (times as many), each with all its leads; who
        was chosen for each lead, and what came of it."""
        rng, blank = np.random.default_rng(seed), self.blank
        accounts = int(blank.cluster.max()) + 1
        drawn = rng.integers(0, accounts, round(times * accounts))
        leads = np.argsort(blank.cluster, kind="stable")
        of = np.split(leads, np.cumsum(np.bincount(blank.cluster))[:-1])
        lead = np.concatenate([of[one] for one in drawn])
        cluster = np.repeat(np.arange(len(drawn)), [len(of[one]) for one in drawn])
        size, n = blank.size[lead], len(lead)
        start = np.cumsum(size) - size
        round_ = np.repeat(np.arange(n), size)
        pair = np.arange(len(round_)) - start[round_] + blank.start[lead][round_]
        chance = self.policy[pair]
        within = np.cumsum(chance) - chance
        within -= within[start][round_]
        mark = rng.random(n)[round_] * np.add.reduceat(chance, start)[round_]
        chosen = np.maximum.reduceat(np.where(within <= mark, np.arange(len(mark)), -1), start)
        accepts, converts = self.p["accepted"][pair[chosen]], self.p["converted"][pair[chosen]]
        accepted = rng.random(n) < accepts
        converted = accepted & (rng.random(n) < converts / accepts)
        propensity = chance[chosen] if logged else np.full(n, np.nan)
        matrix = blank.matrix.take(pair)
        choices = Choices(np.arange(n), np.zeros(n, np.int64), round_, chosen, propensity, cluster, matrix)
        said = {k: Scores(s.score[pair], s.p_accept[pair], s.p_convert[pair]) for k, s in self.said.items()}
        group, tie = np.zeros(n, np.int64), np.arange(n, dtype=np.uint64)
        return Routed(choices, said), Board(group, accepted.astype(np.int64), accepted * 1.0, converted * 1.0, tie)

    def truth(self, recipe: str, reward: str) -> float:
        """The true value of routing every lead to the recipe's first rep."""
        return float(self.p[reward][self.blank.best(self.said[recipe].score)].mean())


def judged(values: Sequence[Value], truth: float) -> pd.DataFrame:
    """A row for each estimator: share of intervals that hold the truth, root mean squared error, bias, width."""
    rows = []
    answered = [value for value in values if value.refused is None]
    for place, name in enumerate(ESTIMATORS):
        seen = np.array([[e.value, e.low, e.high] for e in (value.estimates[place] for value in answered)])
        covered = (seen[:, 1] <= truth) & (truth <= seen[:, 2])
        off = seen[:, 0] - truth
        rows.append((name, covered.mean(), np.sqrt(np.mean(off**2)), off.mean(), np.mean(seen[:, 2] - seen[:, 1])))
    return pd.DataFrame(rows, columns=["estimator", "covered", "error", "bias", "width"])


def main() -> None:
    """Make the CRMs, draw the logs, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logs", type=int, default=100)
    parser.add_argument("--offers", type=int, default=12_000)
    options = parser.parse_args()
    recipes = ("ranker", "logistic", "pointwise_lightgbm", "owner_territory", "rep_past_rate")
    shown = ("ranker", "owner_territory", "rep_past_rate")
    table = Table(title=f"95 % intervals over {options.logs} logs of each sample CRM", title_justify="left", box=None)
    for name in ("CRM", "propensity", "recipe", "reward", "true value", "effective", "refused", "estimator"):
        table.add_column(name)
    for name in ("covered", "RMSE", "bias", "width"):
        table.add_column(name, justify="right")
    for world, seed in (("smooth", 11), ("rough", 12)):
        with tempfile.TemporaryDirectory() as folder:
            offers = options.offers
            write_sample(
                Path(folder) / "crm", accounts=offers // 6, reps=offers // 200, offers=offers, seed=seed,
                end=date(2026, 6, 30), world=world,  # type: ignore[arg-type]
            )  # fmt: skip
            logs = TruthLogs.of(Path(folder) / "crm", recipes)
        for logged in (True, False):
            told = [routing(*logs.draw(one, logged=logged), seed=one) for one in range(options.logs)]
            for recipe in shown:
                for reward in REWARDS:
                    values = [one.values[recipe][reward] for one in told]
                    effective = np.median([v.support.effective_sample_size for v in values if v.support is not None])
                    refused = sum(value.refused is not None for value in values)
                    truth = logs.truth(recipe, reward)
                    cells: tuple[str, ...] = (
                        f"{world}, {len(logs.blank)} leads", "logged" if logged else "fitted", recipe, reward,
                        f"{truth:.4f}", f"{effective:.0f}", str(refused),
                    )  # fmt: skip
                    for row in judged(values, truth).itertuples() if refused < len(values) else ():
                        numbers = (f"{row.covered:.0%}", f"{row.error:.4f}", f"{row.bias:+.4f}", f"{row.width:.4f}")
                        table.add_row(*cells, str(row.estimator), *numbers)
                        print(*cells, row.estimator, *numbers, sep=" | ", flush=True)
                        cells = ("",) * len(cells)
    Console(width=170).print(table)


if __name__ == "__main__":
    main()
