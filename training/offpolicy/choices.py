"""Past offers as rounds of a bandit: the reps who could have taken the lead then, and the one who got it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd

from features.book import Book
from features.engine import Engine
from features.matrix import Matrix
from training.blocks import Cut
from training.examples import Examples

#: Most rounds of a run whose reps are scored, and most pairs of a round and a rep: more would cost more than the fits.
ROUNDS, PAIRS = 4000, 200_000
REFUSED, NOT_DRAWN = "offered to a rep whom the rules refuse", "not drawn"


@dataclass(frozen=True)
class Choices:
    """n rounds with m pairs of a round and an eligible rep; pairs are sorted by round, then by the rep's id.

    row         (n,) int64 place of the round's offer in the pool of test rows
    cut         (n,) int64 number of its cut
    round       (m,) int64 place of the pair's round, rising
    chosen      (n,) int64 place of the pair that was offered
    propensity  (n,) float64 as logged; NaN: not logged
    cluster     (n,) int64 0..c-1, the account
    matrix      features of the pairs, each as of its offer
    left_out    why -> how many test offers are no round
    """

    row: np.ndarray
    cut: np.ndarray
    round: np.ndarray
    chosen: np.ndarray
    propensity: np.ndarray
    cluster: np.ndarray
    matrix: Matrix
    left_out: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.row)

    @cached_property
    def size(self) -> np.ndarray:
        """(n,) int64: how many reps each round could choose from."""
        return np.bincount(self.round, minlength=len(self))

    @cached_property
    def start(self) -> np.ndarray:
        """(n,) int64 place of each round's first pair."""
        return np.cumsum(self.size) - self.size

    def take(self, rounds: np.ndarray) -> tuple[Choices, np.ndarray]:
        """(the choices of some rounds, places that rise; (k,) places of their pairs)."""
        kept = np.zeros(len(self), bool)
        kept[rounds] = True
        pairs = np.flatnonzero(kept[self.round])
        cluster = np.unique(self.cluster[rounds], return_inverse=True)[1].astype(np.int64)
        part = replace(
            self, row=self.row[rounds], cut=self.cut[rounds], round=np.cumsum(kept)[self.round[pairs]] - 1,
            chosen=np.searchsorted(pairs, self.chosen[rounds]), propensity=self.propensity[rounds], cluster=cluster,
            matrix=self.matrix.take(pairs),
        )  # fmt: skip
        return part, pairs

    def of_cut(self, number: int) -> np.ndarray:
        """(k,) places of the pairs of one cut's rounds."""
        return np.flatnonzero(self.cut[self.round] == number)

    def best(self, score: np.ndarray) -> np.ndarray:
        """(n,) place of each round's pair with the highest of (m,) scores; ties go to the first id, NaN comes last."""
        value = np.where(np.isnan(score), -np.inf, score)
        order = np.lexsort((np.arange(len(value)), -value, self.round))
        return np.asarray(order[self.start])

    def normalised(self, wanted: np.ndarray) -> np.ndarray:
        """(m,) probabilities in proportion to exp of (m,) log weights, summing to 1 in each round."""
        top = np.maximum.reduceat(wanted, self.start)
        raised = np.exp(wanted - top[self.round])
        return np.asarray(raised / np.add.reduceat(raised, self.start)[self.round])


def drawn_choices(
    book: Book, engine: Engine, examples: Examples, cuts: Sequence[Cut], seed: int, rounds: int = ROUNDS
) -> Choices:
    """Draw test offers and find who could have got each: the reps who were eligible at its instant.

    An offer to a rep whom today's rules would have refused is no round: no routing under these rules makes it, and what
    a rep may not have says nothing of the others. It is left out and counted.
    Cost     eligibility of every rep, features of the eligible
    """
    rows = np.concatenate([cut.test.rows for cut in cuts])
    number = np.repeat(np.arange(len(cuts)), [len(cut.test) for cut in cuts])
    lead, rep = book.lead_index.codes(examples.matrix.lead_id[rows]), book.rep_index.codes(examples.matrix.rep_id[rows])
    at = examples.offered[rows]
    allowed = engine.eligibility_of(lead, rep, at) == 0
    place = np.random.default_rng(seed).permutation(np.flatnonzero(allowed))[:rounds]
    eligible = _eligible(engine, lead[place], at[place], len(book.rep_ids))
    few = np.cumsum(eligible.sum(axis=1)) <= PAIRS
    kept = np.flatnonzero(few)[np.argsort(place[few], kind="stable")]
    place = place[kept]
    round_, found = np.nonzero(eligible[kept])  # codes of reps are in order of their ids
    return Choices(
        row=place, cut=number[place], round=round_,
        chosen=np.flatnonzero(found == rep[place][round_]),
        propensity=_propensity(book, examples.offer_id[rows[place]]),
        cluster=np.unique(examples.account[rows[place]], return_inverse=True)[1].astype(np.int64),
        matrix=engine.matrix_of(lead[place][round_], found, at[place][round_]),
        left_out={REFUSED: int((~allowed).sum()), NOT_DRAWN: int(allowed.sum()) - len(place)},
    )  # fmt: skip


def _eligible(engine: Engine, lead: np.ndarray, at: np.ndarray, reps: int) -> np.ndarray:
    """(n, reps) bool: who could have taken each lead at its instant, asked in parts."""
    told = np.zeros((len(lead), reps), bool)
    step = max(1, PAIRS // max(reps, 1))
    for start in range(0, len(lead), step):
        part = slice(start, start + step)
        n = len(lead[part])
        asked = np.repeat(lead[part], reps), np.tile(np.arange(reps), n), np.repeat(at[part], reps)
        told[part] = (engine.eligibility_of(*asked) == 0).reshape(n, reps)
    return told


def _propensity(book: Book, offer_id: np.ndarray) -> np.ndarray:
    """(n,) the offers' logged propensities; one that is no probability above 0 counts as not logged."""
    log = book.outcomes
    at = pd.Index(log.offer_id.astype(object)).get_indexer(offer_id.astype(object))
    value = np.where(at >= 0, log.propensity[np.maximum(at, 0)], np.nan)
    return np.where((value > 0) & (value <= 1), value, np.nan)
