"""How often the guard rolls a release back that is sound, and after how many offers one that is not.

`python -m benchmarks.guard_power` prints the table of docs/operations.md: some 40 minutes on one core; `--sims` and
`--kinds` make it shorter. The seeds are the same for every row. Sound releases whose offers are each of another account
are looked at after each offer, all else after every tenth.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace

import numpy as np
from rich.console import Console
from rich.table import Table

from training.probation import HELD, OFFERS, Answers, Probation, before, beside


@dataclass(frozen=True)
class Releases:
    """Releases of one kind, in a world of one kind.

    rate      the share of held-out offers that is accepted, in the season of before
    model     how much more of the model's is; prior: how much more of what served before was
    season    how much more is accepted of all since the release
    holdout   the share of accounts that is held out; accounts: how many there are, of uneven size and each with a
              chance of its own (correlation 0.1); None: each offer is of another one
    """

    model: float = 0.0
    prior: float = 0.0
    rate: float = 0.45
    season: float = 0.0
    holdout: float = 0.0
    accounts: int | None = None

    def judged(self, rng: np.random.Generator, every: int = 1) -> int | None:
        """After how many of its offers one is rolled back that is looked at whenever so many more are settled."""
        n = int(1.1 * OFFERS / (1 - self.holdout)) + OFFERS
        account, base, held = self._drawn(rng, n)
        old = np.arange(n) < OFFERS
        more = np.where(old, self.prior, self.model) * ~held + np.where(old, 0.0, self.season)
        yes = (rng.random(n) < np.clip(base + more, 0, 1)).astype(float)
        answers, others = Answers(yes[~old], account[~old]), Answers(yes[old & ~held], account[old & ~held])
        held, hears = held[~old], self.holdout >= HELD
        made = np.cumsum(~held)
        for t in range(every, len(held) + 1, every):
            if made[t - 1] > OFFERS:
                return None
            seen, sides = answers.take(np.arange(t)), held[:t]
            found = before(seen.take(~sides), others)
            if Probation(beside(seen, sides) if hears else None, found, hears).worse:
                return int(made[t - 1])
        return None

    def _drawn(self, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(n,) offers: account, chance of being accepted, whether it is held out."""
        if self.accounts is None:
            return np.arange(n), np.full(n, self.rate), rng.random(n) < self.holdout
        size = rng.pareto(3, self.accounts) + 0.2
        account = rng.choice(self.accounts, n, p=size / size.sum())
        chance = rng.beta(9 * self.rate, 9 * (1 - self.rate), self.accounts)
        return account, chance[account], (rng.random(self.accounts) < self.holdout)[account]


SOUND = "sound"
KINDS = {
    SOUND: Releases(),
    "sound, 5 points less of all": Releases(season=-0.05),
    "sound, 10 points less of all": Releases(season=-0.1),
    "sound, 15 points less of all": Releases(season=-0.15),
    "20 points less than both": Releases(model=-0.2),
    "random: 20 less than before, 15 less than held-out": Releases(model=-0.15, prior=0.05),
    "10 points less than both": Releases(model=-0.1),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sims", type=int, default=300, help="releases of each kind")
    parser.add_argument("--kinds", type=int, nargs="+", default=range(len(KINDS)), help="which, by their place from 0")
    asked = parser.parse_args()
    screen = Console(width=140, highlight=False)
    table = Table(box=None, pad_edge=False)
    for name in ("a release that is", "accounts", "holdout", "rolled back", "median offers", "9 of 10 within"):
        table.add_column(name)
    for name, kind in [list(KINDS.items())[place] for place in asked.kinds]:
        for accounts in (None, 400):
            for holdout in (0.0, 0.1, 0.3):
                rng = np.random.default_rng(0)
                one = replace(kind, accounts=accounts, holdout=holdout)
                every = 1 if name == SOUND and accounts is None else 10
                after = [one.judged(rng, every) for _ in range(asked.sims)]
                hit = [n for n in after if n is not None]
                told = [f"{np.quantile(hit, q):,.0f}" if hit else "" for q in (0.5, 0.9)]
                row = (name, f"{accounts or 'each'}", f"{holdout:g}", f"{len(hit)}/{asked.sims}", *told)
                table.add_row(*row)
                print(*row, sep=" | ", flush=True)
    screen.print(table)


if __name__ == "__main__":
    main()
