"""What a ranking and its probabilities are worth: every metric as a ratio of sums over rows, resampled by account."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from training.bootstrap import Draw, Interval, difference, interval

DEPTHS = (1, 3, 5, 10)
PICKS = (1, 3, 5)
GAIN = np.array([0.0, 1.0, 3.0, 7.0])  # 2^grade - 1, what lambdarank learns from
BINS = 10


@dataclass(frozen=True)
class Predictions:
    """What one recipe says of each of n test rows; a probability is NaN where its head is not estimable."""

    score: np.ndarray
    p_accept: np.ndarray
    p_convert: np.ndarray

    def take(self, rows: np.ndarray) -> Predictions:
        """The predictions of some rows."""
        return Predictions(self.score[rows], self.p_accept[rows], self.p_convert[rows])


@dataclass(frozen=True)
class Board:
    """What is ranked against what, and how it ended.

    group      (n,) int: rows of one group competed
    grade      (n,) int: 0 rejected or expired, 1 accepted, 2 converted, 3 won
    accepted   (n,) float 0/1; converted (n,) float 0/1
    tie        (n,) uint64: breaks ties between scores, so that the order of rows never does
    """

    group: np.ndarray
    grade: np.ndarray
    accepted: np.ndarray
    converted: np.ndarray
    tie: np.ndarray

    def take(self, rows: np.ndarray) -> Board:
        """The board of some rows: they compete among themselves."""
        return Board(self.group[rows], self.grade[rows], self.accepted[rows], self.converted[rows], self.tie[rows])

    def __len__(self) -> int:
        return len(self.group)

    @cached_property
    def _grouped(self) -> tuple[np.ndarray, np.ndarray]:
        """(rows by group, the group's code of each); a lone row competes with nobody and is left out."""
        _, code, size = np.unique(self.group, return_inverse=True, return_counts=True)
        rows = np.flatnonzero(size[code] >= 2)
        rows = rows[np.argsort(code[rows], kind="stable")]
        return rows, np.unique(code[rows], return_inverse=True)[1]

    @property
    def code(self) -> np.ndarray:
        """(m,) group of each place of `order`."""
        return self._grouped[1]

    @cached_property
    def size(self) -> np.ndarray:
        """(groups,) rows of each group of two or more."""
        return np.bincount(self.code)

    @cached_property
    def place(self) -> np.ndarray:
        """(m,) rank within its group of each place of `order`, from 0."""
        return np.asarray(np.arange(len(self.code)) - np.repeat(np.cumsum(self.size) - self.size, self.size))

    def order(self, score: np.ndarray) -> np.ndarray:
        """(m,) rows, group by group, best first. A score that is not a number goes last."""
        rows, code = self._grouped
        value = np.where(np.isnan(score), -np.inf, score)[rows]
        return np.asarray(rows[np.lexsort((self.tie[rows], -value, code))])

    def ideal(self, order: np.ndarray, k: int) -> np.ndarray:
        """(m,) what each place's row adds to the best possible list's gain; rows of one grade share their places."""
        grade = self.grade[order]
        best = np.lexsort((-grade, self.code))
        level = self.code[best] * len(GAIN) + grade[best]
        worth = np.bincount(level, _discount(self.place, k), minlength=len(self.size) * len(GAIN))
        count = np.bincount(level, minlength=len(worth))
        own = self.code * len(GAIN) + grade
        return np.asarray(GAIN[grade] * worth[own] / count[own])


@dataclass(frozen=True)
class Measured:
    """Metrics of one recipe: the value on the data, and the same on each replicate.

    value    metric -> number; a metric that does not exist for the recipe or the data is absent
    samples  metric -> (b,) replicates, for the metrics that were resampled
    """

    value: dict[str, float]
    samples: dict[str, np.ndarray] = field(default_factory=dict)

    def interval(self, metric: str) -> Interval:
        """The metric with its interval; one that is at most 1 by its nature ends there."""
        found = interval(self.value[metric], self.samples.get(metric, np.empty(0)))
        # A replicate weighs rows at the places that they really had, so of a few lists it may come out above 1.
        free = "lift" in metric or metric.startswith("log_loss")
        return found if free else Interval(found.value, found.low, min(found.high, 1.0))

    def less(self, other: Measured, metric: str) -> Interval:
        """This recipe's metric minus the other's, paired."""
        return difference(self.value[metric], self.samples[metric], other.value[metric], other.samples[metric])


#: A metric as a ratio of two sums over the rows of the board: (n,) parts above and (n,) parts below the line.
Ratio = tuple[np.ndarray, np.ndarray]


def evaluate(board: Board, said: Predictions, draw: Draw | None = None) -> Measured:
    """Every metric of one recipe on one board, with replicates when a draw is given.

    A replicate weighs each row by how often its account was drawn, at the place that it really had: a copy of a row
    does not compete with the row, which would fill the first places of every list with copies.

    Returns  ndcg_at_k    gains 2^grade - 1; over groups with any grade above 0
             mrr, map     relevance: accepted; over groups with any accepted
             accept_at_k  share accepted among the first k of a group; accept_lift_at_k: over the groups' own share,
                          which is what the logged policy got; convert_at_k, convert_lift_at_k likewise
             log_loss_, brier_, calibration_error_ of accept and convert: over rows, where the head is estimable
    Cost     one sort of the board; a replicate costs one multiplication an account and metric
    """
    ratios = ranking(board, said.score) if len(board.code) else {}
    for head, p, y in (("accept", said.p_accept, board.accepted), ("convert", said.p_convert, board.converted)):
        ratios |= {f"{name}_{head}": ratio for name, ratio in probability(p, y).items()}
    value = {name: _over(above.sum(), below.sum()) for name, (above, below) in ratios.items()}
    samples: dict[str, np.ndarray] = {}
    if draw is not None and ratios:
        sums = draw.sums(np.column_stack([part for ratio in ratios.values() for part in ratio]))
        for i, name in enumerate(ratios):
            below = np.where(sums[:, 2 * i + 1] > 0, sums[:, 2 * i + 1], np.nan)
            samples[name] = sums[:, 2 * i] / below
    _add_lifts(value, samples)
    for head, p, y in (("accept", said.p_accept, board.accepted), ("convert", said.p_convert, board.converted)):
        known = np.isfinite(p) & np.isfinite(y)
        if known.any():
            value[f"calibration_error_{head}"] = calibration_error(p[known], y[known])
    there = {name: float(v) for name, v in value.items() if np.isfinite(v)}
    return Measured(there, {name: s for name, s in samples.items() if name in there})


def _over(above: float, below: float) -> float:
    return float(above / below) if below > 0 else np.nan


def _add_lifts(value: dict[str, float], samples: dict[str, np.ndarray]) -> None:
    """accept_at_k over accept_logged, and so on; what the logged policy got is no metric of the recipe."""
    for head in ("accept", "convert"):
        logged, logged_samples = value.pop(f"{head}_logged", np.nan), samples.pop(f"{head}_logged", None)
        for k in PICKS:
            top = f"{head}_at_{k}"
            if top not in value:
                continue
            value[f"{head}_lift_at_{k}"] = _over(value[top], logged)
            if logged_samples is not None:
                samples[f"{head}_lift_at_{k}"] = samples[top] / np.where(logged_samples > 0, logged_samples, np.nan)


def _discount(place: np.ndarray, k: int) -> np.ndarray:
    return np.where(place < k, 1 / np.log2(place + 2.0), 0.0)


def ranking(board: Board, score: np.ndarray) -> dict[str, Ratio]:
    """Ranking metrics as ratios; a group's parts below the line add up to 1, so that each group counts the same."""
    order, code, place, size = board.order(score), board.code, board.place, board.size
    grade, accepted, converted = board.grade[order], board.accepted[order], board.converted[order]

    def spread(above: np.ndarray, below: np.ndarray) -> Ratio:
        full = np.zeros((2, len(board)))
        full[0, order], full[1, order] = above, below
        return full[0], full[1]

    def group_sum(part: np.ndarray) -> np.ndarray:
        """(m,) the sum of each place's group, 1 where it is 0."""
        total = np.bincount(code, part, minlength=len(size))
        return np.asarray(np.where(total > 0, total, 1.0)[code])

    result: dict[str, Ratio] = {}
    even = 1 / size[code]
    gain = GAIN[grade]
    usual = np.bincount(code, gain, minlength=len(size))[code] * even
    graded = np.where(usual > 0, even, 0.0)
    # A group's list is of so many rows, whichever are drawn: a row drawn twice stands for another at its place, not for
    # one more. So a row has what it is above the group's mean (a sample's deviations, hence the root), and the rest of
    # the group's sum is spread over all its rows. Without this a lead's interval is 1.1 to 1.7 times too wide.
    above_mean = (gain - usual) * np.sqrt(size / np.maximum(size - 1, 1))[code]
    for k in DEPTHS:
        best, discount = group_sum(board.ideal(order, k)), _discount(place, k)
        own = discount * above_mean
        rest = np.bincount(code, discount * gain - own, minlength=len(size))[code] * even
        result[f"ndcg_at_{k}"] = spread((own + rest) / best, graded)

    hits = np.cumsum(accepted) - np.concatenate([[0.0], np.cumsum(np.bincount(code, accepted))])[code]
    first = group_sum(np.where((accepted > 0) & (hits == 1), 1 / (place + 1.0), 0.0))
    precision = group_sum(accepted * hits / (place + 1.0)) / group_sum(accepted)
    # A list's worth hangs on all its rows at once, so one of them stands for it: the same one whatever the order, or
    # two recipes would not be paired. Sharing it out among the rows would make it look surer than it is.
    anchor = _anchors(board.tie[order], code, accepted)
    result["mrr"] = spread(anchor * first, anchor)
    result["map"] = spread(anchor * precision, anchor)

    for name, hit in (("accept", accepted), ("convert", converted)):
        result[f"{name}_logged"] = spread(hit * even, even)
        for k in PICKS:
            top = np.where(place < k, 1 / np.minimum(size, k)[code], 0.0)
            result[f"{name}_at_{k}"] = spread(hit * top, top)
    return result


def _anchors(tie: np.ndarray, code: np.ndarray, accepted: np.ndarray) -> np.ndarray:
    """(m,) 1 at one accepted place of each group that has any, 0 elsewhere."""
    hit = np.flatnonzero(accepted > 0)
    ordered = hit[np.lexsort((tie[hit], code[hit]))]
    anchor = np.zeros(len(code))
    anchor[ordered[np.unique(code[ordered], return_index=True)[1]]] = 1.0
    return anchor


def probability(p: np.ndarray, y: np.ndarray) -> dict[str, Ratio]:
    """log_loss and brier of a head, over the rows where it and the outcome are known; nothing where there is none."""
    known = np.isfinite(p) & np.isfinite(y)
    if not known.any():
        return {}
    safe = np.clip(np.where(known, p, 0.5), 1e-9, 1 - 1e-9)
    truth = np.where(known, y, 0.0)
    loss = -(truth * np.log(safe) + (1 - truth) * np.log1p(-safe))
    one = known.astype(np.float64)
    return {"log_loss": (loss * one, one), "brier": ((safe - truth) ** 2 * one, one)}


def bins(p: np.ndarray, count: int = BINS) -> np.ndarray:
    """(n,) bin of each probability: `count` bins of equal numbers of rows; equal probabilities share one."""
    edges = np.unique(np.quantile(p, np.linspace(0, 1, count + 1)[1:-1])) if len(p) else np.empty(0)
    return np.searchsorted(edges, p, side="right")


def calibration_error(p: np.ndarray, y: np.ndarray) -> float:
    """Mean over rows of |mean forecast - share that happened| of the row's bin."""
    place = bins(p)
    return float(np.abs(np.bincount(place, p) - np.bincount(place, y)).sum() / max(len(p), 1))


def perfect_calibration(p: np.ndarray, quantile: float = 0.975, draws: int = 500, seed: int = 0) -> float:
    """The calibration error that a perfectly calibrated head stays below in so many samples of this size.

    Outcomes are drawn from the probabilities themselves; an error above it is not chance.
    """
    p = p[np.isfinite(p)]
    if not len(p):
        return float("nan")
    order = np.argsort(p, kind="stable")
    place = bins(p)[order]
    first = np.flatnonzero(np.diff(place, prepend=-1))
    forecast = np.add.reduceat(p[order], first)
    rng, errors = np.random.default_rng(seed), []
    step = max(1, 4_000_000 // len(p))
    for start in range(0, draws, step):
        happened = rng.random((min(step, draws - start), len(p)), dtype=np.float32) < p[order]
        errors.append(np.abs(np.add.reduceat(happened, first, axis=1, dtype=np.int64) - forecast).sum(axis=1) / len(p))
    return float(np.quantile(np.concatenate(errors), quantile))
