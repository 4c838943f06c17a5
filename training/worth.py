"""What families and features are worth on offers held out: what is lost without them, or with their values mixed up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.stats import spearmanr

from features.matrix import Matrix
from models.product import Product
from training.bootstrap import Draw, Interval, interval
from training.evaluate import Board, Predictions, Ratio, probability, ranking
from training.gate import PRIMARY
from training.pool import Pool

#: What worth is counted in, and whether more of it is better.
MEASURES = {PRIMARY: 1.0, "log_loss_accept": -1.0, "log_loss_convert": -1.0}
#: Rows that are scored for one thing that is mixed up, in as many mixings as that takes, within these bounds.
ROWS, FEWEST, MOST = 20_000, 2, 8
EXPLAINED = 300  # test rows of each cut whose contributions are added up


@dataclass(frozen=True)
class Worth:
    """What is lost without something, more than 0: it helps.

    lost    measure -> interval; a measure that does not exist for the data is absent
    by_cut  (c,) what is lost of the first measure at each cut, the oldest first; NaN where it does not exist
    """

    lost: Mapping[str, Interval]
    by_cut: tuple[float, ...]

    @property
    def sure(self) -> bool:
        """Whether something is lost beyond chance of the order, and of a probability too.

        One measure alone is too easily led on by a small test: with the recipe `fast` on 40 samples of 2,500 offers, of
        80 kinds of canaries that tell nothing 7 were "missed" by the order alone, and 1 by both (measured once, by a
        script that is not kept).
        """
        above = {name for name, seen in self.lost.items() if seen.above_zero}
        return PRIMARY in above and len(above) > 1


@dataclass(frozen=True)
class Trial:
    """A recipe as it was fitted at each of c cuts, on the cut's test rows.

    models, tests   one for each cut, the oldest first; pool: the tests' rows, in the same order; draw: of the pool
    """

    models: Sequence[Product]
    tests: Sequence[Matrix]
    pool: Pool
    draw: Draw

    @cached_property
    def said(self) -> Predictions:
        """What the models say of the test rows."""
        return self.predict(self.tests)

    def predict(self, tests: Sequence[Matrix]) -> Predictions:
        """What the models say of other matrices of the same rows."""
        said = [model.predict(test) for model, test in zip(self.models, tests, strict=True)]
        return joined([Predictions(s.score, s.p_accept, s.p_convert) for s in said])


def joined(parts: Sequence[Predictions]) -> Predictions:
    """Predictions of blocks as one."""
    return Predictions(*(np.concatenate([getattr(p, f) for p in parts]) for f in ("score", "p_accept", "p_convert")))


def without(pool: Pool, draw: Draw, having: Predictions, lacking: Predictions) -> Worth:
    """What a recipe that lacks something loses against one that has it, both on the pool's rows."""
    return _lost(pool, draw, _ratios(pool.board, having), _ratios(pool.board, lacking))


def mixed_up(trial: Trial, columns: Sequence[str], seed: int) -> Worth:
    """What the recipe loses when the values of some columns are those of other offers of the same cut's test.

    The columns are permuted together, so that what hangs together among them stays so; losses are those of several
    mixings, averaged. What other columns tell as well is not lost, so the worth of things that are alike is shared.
    Source   Breiman, Random Forests, Machine Learning 45 (2001); Fisher, Rudin and Dominici, JMLR 20 (2019)
    Cost     FEWEST to MOST predictions of the test rows
    """
    rng = np.random.default_rng(seed)
    times = int(np.clip(ROWS // max(len(trial.pool), 1), FEWEST, MOST))
    total: dict[str, Ratio] = {}
    for _ in range(times):
        said = trial.predict([_mixed(test, columns, rng) for test in trial.tests])
        for name, (above, below) in _ratios(trial.pool.board, said).items():
            total[name] = (total[name][0] + above / times, below) if name in total else (above / times, below)
    return _lost(trial.pool, trial.draw, _ratios(trial.pool.board, trial.said), total)


def _mixed(test: Matrix, columns: Sequence[str], rng: np.random.Generator) -> Matrix:
    place = [test.columns.index(column) for column in columns]
    values = test.values.copy()
    values[:, place] = values[rng.permutation(len(test))][:, place]
    return replace(test, values=values)


def _ratios(board: Board, said: Predictions) -> dict[str, Ratio]:
    found = {PRIMARY: ranking(board, said.score)[PRIMARY]} if len(board.code) else {}
    for head, p, y in (("accept", said.p_accept, board.accepted), ("convert", said.p_convert, board.converted)):
        loss = probability(p, y).get("log_loss")
        if loss is not None:
            found[f"log_loss_{head}"] = loss
    return found


def _lost(pool: Pool, draw: Draw, having: Mapping[str, Ratio], lacking: Mapping[str, Ratio]) -> Worth:
    """What is lost from one set of measures to another, paired on the same resamples of accounts."""
    found: dict[str, Interval] = {}
    by_cut = [np.nan] * (int(pool.cut.max(initial=-1)) + 1)
    for name, sign in MEASURES.items():
        if name not in having or name not in lacking:
            continue
        parts = np.column_stack([*having[name], *lacking[name]])
        value = sign * _less(parts.sum(axis=0))
        if not np.isfinite(value):
            continue
        found[name] = interval(float(value), sign * _less(draw.sums(parts).T))
        if name == PRIMARY:
            by_cut = [float(_less(parts[pool.cut == cut].sum(axis=0))) for cut in range(len(by_cut))]
    return Worth(found, tuple(by_cut))


def _less(sums: np.ndarray) -> np.ndarray:
    """The first ratio less the second of (4, …) sums: above, below, above, below."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where((sums[1] > 0) & (sums[3] > 0), sums[0] / sums[1] - sums[2] / sums[3], np.nan))


def pushes(trial: Trial) -> np.ndarray:
    """(c, f) each column's share in what pushes the scores of the newest test rows of each cut."""
    found = []
    for model, test in zip(trial.models, trial.tests, strict=True):
        size = np.abs(model.contributions(test.take(np.arange(len(test))[-EXPLAINED:])).values).mean(axis=0)
        found.append(size / max(size.sum(), 1e-300))
    return np.array(found)


def agreement(shares: np.ndarray) -> float:
    """How alike (c, f) shares rank the columns at the cuts: the mean rank correlation of two; NaN for a single cut."""
    used = shares[:, (shares > 0).any(axis=0)]
    if len(shares) < 2 or used.shape[1] < 2:
        return float("nan")
    pairs = [(i, j) for i in range(len(used)) for j in range(i)]
    return float(np.mean([spearmanr(used[i], used[j]).statistic for i, j in pairs]))
