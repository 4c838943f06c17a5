"""The feature report: what each family and feature is worth, how steady it is, what it costs, and what canaries say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from features.catalogue import BY_NAME, families
from features.engine import Engine
from features.matrix import Matrix
from training.bootstrap import Interval
from training.canary import Canaries
from training.evaluate import Predictions
from training.gate import PRIMARY
from training.monitor.bins import Bins
from training.monitor.drift import FLOOR, psi
from training.worth import Trial, Worth, agreement, mixed_up, pushes, without

TOP = 20  # single features that are mixed up, the strongest
TIMED, TIMES = 1_000, 5  # pairs on which the engine is timed, and how often: the median counts


@dataclass(frozen=True)
class FamilyRow:
    """One family.

    dropped    what the recipe loses when it is fitted without it; None where that was not tried
    permuted   what the fitted recipe loses when its columns are mixed up among the test offers
    shares     its share of all pushes, at each cut
    cost_ms    milliseconds for 1,000 pairs
    """

    name: str
    features: int
    dropped: Worth | None
    permuted: Worth
    shares: tuple[float, ...]
    cost_ms: float


@dataclass(frozen=True)
class FeatureRow:
    """One feature.

    known      share of the test offers of which it is known
    permuted   as of FamilyRow; None beyond the TOP strongest
    shift      PSI from the oldest cut's test offers to the newest's; None under FLOOR offers on either side
    cost_ms    its block's milliseconds for 1,000 pairs, shared equally by the block's features
    """

    name: str
    family: str
    known: float
    shares: tuple[float, ...]
    permuted: Worth | None
    shift: float | None
    cost_ms: float


@dataclass(frozen=True)
class FeatureReport:
    """Families in catalogue order and features, the strongest first; agreement: mean rank correlation of two cuts.

    unused   families that the recipe leaves out
    """

    cuts: tuple[str, ...]
    families: tuple[FamilyRow, ...]
    features: tuple[FeatureRow, ...]
    agreement: float
    canaries: Canaries | None
    unused: tuple[str, ...]

    def metrics(self) -> dict[str, float]:
        """What the run says of families and canaries as numbers."""
        found: dict[str, float] = {"features/agreement": self.agreement}
        for row in self.families:
            for way, worth in (("dropped", row.dropped), ("permuted", row.permuted)):
                found |= _spelled(f"family/{row.name}/{way}", worth)
        if self.canaries is not None:
            found |= _spelled("canary/added", self.canaries.added)
            found["canary/singing"] = float(len(self.canaries.singing))
            for name, kind in self.canaries.kinds.items():
                found |= _spelled(f"canary/{name}/permuted", kind.permuted)
                found |= {f"canary/{name}/place": float(kind.place), f"canary/{name}/share": kind.share}
        return found

    def frame(self) -> pd.DataFrame:
        """Families, features and canaries as one table, a row each."""
        rows: list[dict[str, object]] = []
        for one in self.families:
            rows.append({"what": "family", "name": one.name, "family": one.name, "features": one.features,
                         "cost_ms": one.cost_ms} | _cells(one.shares, one.dropped, one.permuted))  # fmt: skip
        for f in self.features:
            feature = BY_NAME[f.name]
            rows.append({"what": "feature", "name": f.name, "family": f.family, "kind": feature.kind,
                         "of_the": feature.level, "known": f.known, "cost_ms": f.cost_ms, "shift_psi": f.shift}
                        | _cells(f.shares, None, f.permuted))  # fmt: skip
        for name, kind in self.canaries.kinds.items() if self.canaries else ():
            rows.append({"what": "canary", "name": name, "family": "canary", "features": len(kind.columns)}
                        | _cells((kind.share,), None, kind.permuted))  # fmt: skip
        return pd.DataFrame(rows)

    def as_json(self) -> dict[str, Any]:
        """The whole report as JSON values."""
        canaries = None
        if self.canaries is not None:
            canaries = {
                "text": self.canaries.text, "singing": list(self.canaries.singing), "columns": self.canaries.columns,
                "added": _worth(self.canaries.added),
                "kinds": {
                    name: {"columns": k.columns, "share": k.share, "place": k.place, "permuted": _worth(k.permuted)}
                    for name, k in self.canaries.kinds.items()
                },
            }  # fmt: skip
        return {
            "cuts": list(self.cuts), "unused": list(self.unused), "agreement": _number(self.agreement),
            "families": [
                {"name": f.name, "features": f.features, "dropped": _worth(f.dropped), "permuted": _worth(f.permuted),
                 "shares": list(f.shares), "cost_ms": f.cost_ms}
                for f in self.families
            ],
            "features": [
                {"name": f.name, "family": f.family, "means": BY_NAME[f.name].means, "known": f.known,
                 "shares": list(f.shares), "permuted": _worth(f.permuted), "shift": _number(f.shift),
                 "cost_ms": f.cost_ms}
                for f in self.features
            ],
            "canaries": canaries,
        }  # fmt: skip


def report(
    trial: Trial, dropped: Mapping[str, Predictions], cuts: Sequence[str], engine: Engine, canaries: Canaries | None,
    unused: Sequence[str] = (), seed: int = 0,
) -> FeatureReport:  # fmt: skip
    """Measure families and features of a recipe that was tried at some cuts.

    dropped   family -> what the recipe said of the test rows when it was fitted without it
    cuts      their days; unused: families that the recipe leaves out
    Cost      some forty predictions of the test rows, and a few calls of the engine
    """
    columns = trial.tests[0].columns
    shares = pushes(trial)
    of_family = {name: [c for c in names if c in columns] for name, names in families().items()}
    spent = cost_ms(engine, trial.tests[-1])
    rows = []
    for name, named in of_family.items():
        if name in unused or not named:
            continue
        place = [columns.index(column) for column in named]
        lacking = dropped.get(name)
        rows.append(FamilyRow(
            name, len(named),
            None if lacking is None else without(trial.pool, trial.draw, trial.said, lacking),
            mixed_up(trial, named, seed), tuple(shares[:, place].sum(axis=1).tolist()),
            sum(spent.get(column, 0.0) for column in named),
        ))  # fmt: skip
    mean = shares.mean(axis=0)
    order = sorted(range(len(columns)), key=lambda i: (-mean[i], i))
    strongest = [i for i in order[:TOP] if mean[i] > 0]
    values = np.concatenate([test.values for test in trial.tests])
    features = []
    for i in order:
        name = columns[i]
        if BY_NAME[name].family in unused:
            continue
        features.append(FeatureRow(
            name, BY_NAME[name].family, float(np.isfinite(values[:, i]).mean()), tuple(shares[:, i].tolist()),
            mixed_up(trial, [name], seed) if i in strongest else None,
            _shift(trial.tests[0], trial.tests[-1], i), spent.get(name, 0.0),
        ))  # fmt: skip
    return FeatureReport(tuple(cuts), tuple(rows), tuple(features), agreement(shares), canaries, tuple(unused))


def cost_ms(engine: Engine, matrix: Matrix) -> dict[str, float]:
    """Feature -> milliseconds for 1,000 pairs: its block's, shared equally by the block's features.

    A block is a family's features of the lead, of the rep or of the pair, which are computed together; what several
    blocks need is paid by the first. Pairs are the newest of the matrix, each with an instant of its own.
    """
    newest = matrix.take(np.arange(len(matrix))[-TIMED:])
    lead, rep = engine.book.lead_index.codes(newest.lead_id), engine.book.rep_index.codes(newest.rep_id)
    timings = [engine.costs(lead, rep, newest.as_of) for _ in range(TIMES)]
    found: dict[str, float] = {}
    for block in timings[0]:
        named = [f.name for f in BY_NAME.values() if (f.family, f.level) == block]
        seconds = float(np.median([timing[block] for timing in timings]))
        found |= {name: seconds * 1e3 * TIMED / len(newest) / len(named) for name in named}
    return found


def _shift(oldest: Matrix, newest: Matrix, column: int) -> float | None:
    if min(len(oldest), len(newest)) < FLOOR or oldest is newest:
        return None
    was, now = oldest.values[:, column], newest.values[:, column]
    kind = BY_NAME[oldest.columns[column]].kind
    bins = Bins.of_codes(was) if kind == "category" else Bins.of_numbers(was)
    counts = [np.bincount(bins.place(values), minlength=len(bins)) for values in (was, now)]
    return float(psi(*counts))


def _spelled(name: str, worth: Worth | None) -> dict[str, float]:
    if worth is None or PRIMARY not in worth.lost:
        return {}
    seen = worth.lost[PRIMARY]
    return {name: seen.value, f"{name}_low": seen.low, f"{name}_high": seen.high}


def _cells(shares: Sequence[float], dropped: Worth | None, permuted: Worth | None) -> dict[str, object]:
    cells: dict[str, object] = {"share": float(np.mean(shares))}
    cells |= {f"share_cut_{i}": share for i, share in enumerate(shares, start=1)}
    for way, worth in (("dropped", dropped), ("permuted", permuted)):
        for measure, seen in worth.lost.items() if worth is not None else ():
            cells |= {
                f"{way}_{measure}": seen.value, f"{way}_{measure}_low": seen.low, f"{way}_{measure}_high": seen.high
            }  # fmt: skip
    return cells


def _worth(worth: Worth | None) -> dict[str, Any] | None:
    if worth is None:
        return None
    lost = {name: _interval(seen) for name, seen in worth.lost.items()}
    return {"lost": lost, "by_cut": [_number(value) for value in worth.by_cut]}


def _interval(seen: Interval) -> list[float | None]:
    return [_number(seen.value), _number(seen.low), _number(seen.high)]


def _number(value: float | None) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None
