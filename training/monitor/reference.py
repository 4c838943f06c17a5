"""What a model learned from, in counts, kept with its run: monitoring needs neither the old data nor a person."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from features.asof import DAY, later
from features.catalogue import BY_NAME
from features.errors import ModelError
from models.product import Product
from training.blocks import Cut
from training.evaluate import Predictions, calibration_error
from training.examples import LEAVE, Examples
from training.monitor.bins import Bins
from training.monitor.drift import WINDOWS
from training.monitor.order import Order, order

ARTIFACT = "reference.json"
FORMAT = 1
WEEK = 7 * DAY
#: Rows whose contributions tell how much the model makes of each feature.
WEIGHED = 600
#: Weeks of the windows that tell how often a value comes that was never seen before.
NEW_WEEKS = 4

Head = Literal["accept", "convert"]
HEADS: tuple[Head, Head] = ("accept", "convert")


@dataclass(frozen=True)
class Counted:
    """A distribution: (w, b) rows by week, the oldest first, and bin, and what is new in a usual window.

    new  share of rows of training's own windows with a value that nothing before them had
    """

    bins: Bins
    weeks: np.ndarray
    new: float

    @property
    def total(self) -> np.ndarray:
        """(b,) rows by bin; in the bin of what is new stand those that a usual window would bring."""
        counts = self.weeks.sum(0).astype(np.float64)
        counts[self.bins.new] = self.new * counts.sum()
        return counts

    @property
    def rows(self) -> int:
        """Rows of training."""
        return int(self.weeks.sum())

    def as_json(self) -> dict[str, Any]:
        """The distribution as JSON values."""
        return {"bins": self.bins.as_json(), "weeks": self.weeks.tolist(), "new": self.new}

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> Counted:
        """What `as_json` wrote."""
        bins = Bins.of_json(content["bins"])
        return cls(bins, np.array(content["weeks"], np.int64).reshape(-1, len(bins)), float(content["new"]))


@dataclass(frozen=True)
class HeadReference:
    """What was known of one outcome at the cut.

    weeks   (w, 2) offers without it and with it, by the week in which they ripened
    said    the probabilities that the recipe gave to test offers, by week up to the last; None: not estimable
    order   how well those sorted the offers; error: their calibration error
    """

    weeks: np.ndarray
    said: Counted | None
    order: Order | None
    error: float | None

    @property
    def rate(self) -> float:
        """Share of the ripe offers with the outcome."""
        return float(self.weeks[:, 1].sum() / max(self.weeks.sum(), 1))


@dataclass(frozen=True)
class Reference:
    """What the model of a run was made of. It holds counts of offers: no person, no id but codes of the model's own.

    cut       instant of the training, microseconds; first: of the oldest offer that taught
    rows      offers that taught or calibrated
    outside   share of past offers that the served market left out
    features  name -> its distribution; weights: name -> its share of what the features do to a score
    """

    cut: int
    first: int
    rows: int
    outside: float
    features: Mapping[str, Counted]
    weights: Mapping[str, float]
    heads: Mapping[Head, HeadReference]

    @property
    def text(self) -> str:
        """The reference as JSON."""
        heads = {
            name: {
                "weeks": head.weeks.tolist(), "said": head.said.as_json() if head.said else None,
                "order": asdict(head.order) if head.order else None, "error": head.error,
            }
            for name, head in self.heads.items()
        }  # fmt: skip
        said = {
            "format": FORMAT, "cut": self.cut, "first": self.first, "rows": self.rows, "outside": self.outside,
            "features": {name: counted.as_json() for name, counted in self.features.items()},
            "weights": dict(self.weights), "heads": heads,
        }  # fmt: skip
        return json.dumps(said, separators=(",", ":"), allow_nan=False)

    @classmethod
    def of_text(cls, text: str) -> Reference:
        """The reference that `text` wrote. Raises ModelError for one of another format."""
        said = json.loads(text)
        if said.get("format") != FORMAT:
            raise ModelError("The model's reference is of another format; train again.", field=ARTIFACT)
        heads = {
            name: HeadReference(
                np.array(head["weeks"], np.int64).reshape(-1, 2),
                Counted.of_json(head["said"]) if head["said"] else None,
                Order(**head["order"]) if head["order"] else None,
                head["error"],
            )
            for name, head in said["heads"].items()
        }
        features = {name: Counted.of_json(counted) for name, counted in said["features"].items()}
        return cls(said["cut"], said["first"], said["rows"], said["outside"], features, said["weights"], heads)


def learn(
    examples: Examples, final: Cut, cuts: Sequence[Cut], said: Predictions, product: Product
) -> Reference:  # fmt: skip
    """Count what a product was made from, at its final cut.

    cuts, said  the rolling cuts, and what the recipe said of their test rows in that order: probabilities of offers
                that no fit had seen
    Cost        one pass over the training matrix, and the contributions of WEIGHED rows
    """
    rows = np.union1d(final.train.rows, final.calibrate.rows)
    matrix = examples.matrix.take(rows)
    offered = examples.offered[rows]
    place = _weeks_ago(offered, final.at)
    features = {
        name: _count(matrix.column(name), place, category=BY_NAME[name].kind == "category") for name in matrix.columns
    }
    return Reference(
        cut=final.at, first=int(offered.min()), rows=len(rows),
        outside=_outside(examples),
        features=features, weights=_weights(product, examples, final),
        heads={head: _head(head, examples, final, cuts, said) for head in HEADS},
    )  # fmt: skip


def ripened(head: Head, examples: Examples, after: int | None, until: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Offers whose outcome became due in (after, until]: (rows, outcome 0/1 as known then, instant of ripeness).

    An answer ripens when its SLA ends, a conversion after its horizon, however early the news came; so success and
    failure are counted at the same age.
    """
    ripe = later(examples.due, examples.known)
    if head == "convert":
        ripe = later(ripe, examples.convert_due)
    inside = (ripe <= until) & (examples.offered < until)
    rows = np.flatnonzero(inside if after is None else inside & (ripe > after))
    labels = examples.labels(until, rows)
    outcome = labels.accepted if head == "accept" else labels.converted
    told = np.isfinite(outcome)
    return rows[told], outcome[told].astype(np.float64), ripe[rows[told]]


def by_week(place: np.ndarray, code: np.ndarray, size: int) -> np.ndarray:
    """(w, size) rows of each week and code; place: (n,) whole weeks before the end, so the last row is week 0."""
    weeks = int(place.max(initial=-1)) + 1
    counts = np.bincount((weeks - 1 - place) * size + code, minlength=weeks * size)
    return counts.reshape(weeks, size).astype(np.int64)


def _outside(examples: Examples) -> float:
    left = sum(examples.counts.get(f"left out: {rule}", 0) for rule in LEAVE)
    return left / max(left + len(examples), 1)


def _weeks_ago(instant: np.ndarray, end: int) -> np.ndarray:
    return np.maximum(end - 1 - instant, 0) // WEEK


def _count(values: np.ndarray, place: np.ndarray, *, category: bool) -> Counted:
    bins = Bins.of_codes(values) if category else Bins.of_numbers(values)
    return Counted(bins, by_week(place, bins.place(values), len(bins)), _new_share(values, place, category))


def _new_share(values: np.ndarray, place: np.ndarray, category: bool) -> float:
    """Share of rows, in training's last windows, whose value nothing before the window had."""
    known = ~np.isnan(values)
    found = rows = 0
    for window in range(WINDOWS):
        inside = (place >= window * NEW_WEEKS) & (place < (window + 1) * NEW_WEEKS)
        before = values[(place >= (window + 1) * NEW_WEEKS) & known]
        now = values[inside & known]
        if len(before):
            rows += int(inside.sum())
            fresh = ~np.isin(now, before) if category else (now < before.min()) | (now > before.max())
            found += int(fresh.sum())
    return found / rows if rows else 0.0


def _weights(product: Product, examples: Examples, final: Cut) -> dict[str, float]:
    matrix = examples.matrix.take(final.calibrate.rows[-WEIGHED:])
    size = np.abs(product.contributions(matrix).values).mean(axis=0)
    return dict(zip(matrix.columns, (size / (size.sum() or 1.0)).tolist(), strict=True))


def _head(head: Head, examples: Examples, final: Cut, cuts: Sequence[Cut], said: Predictions) -> HeadReference:
    _, outcome, ripe = ripened(head, examples, None, final.at)
    weeks = by_week(_weeks_ago(ripe, final.at), outcome.astype(np.int64), 2)
    p = said.p_accept if head == "accept" else said.p_convert
    known = np.isfinite(p)
    if not known.any():
        return HeadReference(weeks, None, None, None)
    rows = np.concatenate([cut.test.rows for cut in cuts])[known]
    labels = [cut.test.labels for cut in cuts]
    y = np.concatenate([one.accepted if head == "accept" else one.converted for one in labels])[known]
    offered = examples.offered[rows]
    counted = _count(p[known], _weeks_ago(offered, int(offered.max()) + 1), category=False)
    told = np.isfinite(y)
    return HeadReference(
        weeks, counted, order(p[known][told], y[told], examples.account[rows][told]),
        calibration_error(p[known][told], y[told].astype(np.float64)),
    )  # fmt: skip
