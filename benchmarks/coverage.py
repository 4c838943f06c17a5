"""Whether intervals of off-policy values hold their promise: many logs of bandits whose truth is known.

`python -m benchmarks.coverage` prints, for each bandit and estimator, in how many logs the 95 % interval held the true
value, the error, and how wide the interval was. `--logs 100` takes some ten minutes on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from training.offpolicy.estimators import ESTIMATORS
from training.offpolicy.log import BanditLog, Policy
from training.offpolicy.value import Value, evaluate

TRUTH = 400_000  # rounds whose mean is the true value


@dataclass(frozen=True)
class Bandit:
    """A contextual bandit, the softmax policy that makes its log, and another one to be valued.

    base       log-odds of a reward in an average context
    sharp      how strictly the logging policy follows what it believes: at 0 it draws evenly
    target     how strictly the target policy does; None: it always takes the action that it holds for best
    kind       of the reward: binary, or amounts (log-normal)
    cluster    rounds of a cluster; its rounds share a shift of the log-odds and half of their context
    known      share of the rounds whose propensity is logged
    context    whether the log shows the context
    """

    title: str
    rounds: int = 2000
    actions: int = 5
    base: float = -1.0
    sharp: float = 0.5
    target: float | None = 2.0
    kind: str = "binary"
    cluster: int = 1
    known: float = 1.0
    context: bool = True
    words: bool = False
    seed: int = 0

    def draw(self, seed: int, rounds: int | None = None) -> tuple[BanditLog, Policy, float]:
        """(a log, the target policy, its true value in these rounds); the same seed, the same log."""
        n, k, width = rounds or self.rounds, self.actions, 4
        fixed, rng = np.random.default_rng(self.seed), np.random.default_rng((self.seed, seed))
        worth = fixed.normal(scale=0.6, size=(width, k))
        belief = 0.5 * worth + fixed.normal(scale=0.5, size=(width, k))
        aim = worth + fixed.normal(scale=0.3, size=(width, k))
        cluster = np.arange(n) // self.cluster
        shared = rng.normal(size=(cluster[-1] + 1, width))[cluster]
        x = rng.normal(size=(n, width))
        shift = np.zeros(n)
        if self.cluster > 1:
            x, shift = (x + shared) / np.sqrt(2), rng.normal(scale=0.5, size=cluster[-1] + 1)[cluster]
        p = 1 / (1 + np.exp(-(x @ worth + self.base + shift[:, None])))
        logging, wanted = _softmax(self.sharp * (x @ belief)), x @ aim
        best = np.eye(k)[wanted.argmax(axis=1)]
        policy = best if self.target is None else _softmax(self.target * wanted)
        action = np.minimum((logging.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1), k - 1)
        at = np.arange(n)
        reward, expected = (rng.random(n) < p[at, action]).astype(np.float64), p
        if self.kind == "amounts":
            reward, expected = p[at, action] * rng.lognormal(0.0, 0.8, n), p * np.exp(0.32)
        hidden = rng.random(n) >= self.known
        table = pd.DataFrame(x) if self.context else pd.DataFrame(index=range(n))
        if self.words:
            table["word"] = np.array(["low", "middle", "high"])[np.digitize(x[:, 0], [-0.5, 0.5])].astype(object)
        log = BanditLog(
            tuple(map(str, range(k))), action, reward, np.where(hidden, np.nan, logging[at, action]), cluster,
            self.cluster > 1, table,
        )  # fmt: skip
        row, code = np.nonzero(policy > 1e-12)
        return log, Policy(row, code, policy[row, code]), float((policy * expected).sum(axis=1).mean())

    @property
    def truth(self) -> float:
        """The target policy's value, over contexts that no log has seen."""
        return self.draw(10**6, TRUTH)[2]


def _softmax(wanted: np.ndarray) -> np.ndarray:
    raised = np.exp(wanted - wanted.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


BANDITS = (
    Bandit("mild policies"),
    Bandit("evenly drawn log", sharp=0.0),
    Bandit("target takes one action", target=None),
    Bandit("rewards are rare (7 %)", base=-3.0),
    Bandit("rewards are rare, target takes one action", base=-3.0, target=None),
    Bandit("heavy weights", sharp=1.0),
    Bandit("heavy weights, target takes one action", sharp=1.0, target=None),
    Bandit("amounts", kind="amounts"),
    Bandit("clusters of 10", cluster=10),
    Bandit("100 clusters of 20, rewards are rare", cluster=20, base=-3.0),
    Bandit("10 clusters of 200", cluster=200),
    Bandit("20 actions", actions=20, rounds=4000),
    Bandit("500 rounds", rounds=500),
    Bandit("propensities fitted", known=0.0),
    Bandit("propensities fitted, clusters of 10", known=0.0, cluster=10),
    Bandit("half of the propensities fitted", known=0.5),
    Bandit("even log, no context shown", sharp=0.0, context=False),
)


@dataclass(frozen=True)
class Seen:
    """What many logs of one bandit showed of one estimator."""

    covered: float
    error: float
    bias: float
    width: float


def judged(values: list[Value], truth: float) -> Iterator[tuple[str, Seen]]:
    """Each estimator against the truth, over the logs that were not refused."""
    answered = [value for value in values if value.refused is None]
    for place, name in enumerate(ESTIMATORS):
        rows = np.array([[e.value, e.low, e.high] for e in (value.estimates[place] for value in answered)])
        off = rows[:, 0] - truth
        covered = (rows[:, 1] <= truth) & (truth <= rows[:, 2])
        width = float(np.mean(rows[:, 2] - rows[:, 1]))
        yield name, Seen(float(covered.mean()), float(np.sqrt(np.mean(off**2))), float(off.mean()), width)


def main() -> None:
    """Draw, evaluate and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logs", type=int, default=100)
    parser.add_argument("--only", default="", help="bandits whose title holds this")
    options = parser.parse_args()
    table = Table(title=f"95 % intervals over {options.logs} logs of each bandit", title_justify="left", box=None)
    for name in ("bandit", "true value", "effective", "refused", "estimator", "covered", "RMSE", "bias", "width"):
        table.add_column(name, justify="left" if name in ("bandit", "estimator") else "right")
    for bandit in BANDITS:
        if options.only not in bandit.title:
            continue
        truth = bandit.truth
        values = [evaluate(*bandit.draw(seed)[:2], seed=seed) for seed in range(options.logs)]
        effective = np.median([v.support.effective_sample_size for v in values if v.support is not None])
        refused = sum(value.refused is not None for value in values)
        first = (bandit.title, f"{truth:.4f}", f"{effective:,.0f} of {bandit.rounds:,}", str(refused))
        if refused < len(values):
            for name, seen in judged(values, truth):
                numbers = (f"{seen.covered:.0%}", f"{seen.error:.4f}", f"{seen.bias:+.4f}", f"{seen.width:.4f}")
                table.add_row(*first, name, *numbers)
                print(*first, name, *numbers, sep=" | ", flush=True)
                first = ("", "", "", "")
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
