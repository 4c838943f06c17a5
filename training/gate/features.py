"""Whether the features are what they were in training, and none of them knows the outcome."""

from __future__ import annotations

import numpy as np
import pandas as pd

from features.canary import KINDS
from training.gate.case import Case, Check, Number

#: How well one feature may tell an outcome by itself: on sample CRMs, whose truth no feature knows, the best reached
#: 0.70 with 95 % intervals up to 0.76. A feature whose whole interval lies above the bound knows the outcome.
TELLS = 0.80
#: Among so many strongest columns a canary has nothing to look for.
STRONGEST = 10
#: Of a log that tells few features, one column in so many: there noise has few to stand behind.
PART = 8
#: A feature is gone when it is known for less than this share of what it was in training, where this many known
#: values were to be expected.
KEPT, EXPECTED = 0.5, 20


def nothing_leaks(case: Case) -> Check:
    """No feature by itself tells the outcome of the test rows implausibly well."""
    rows = case.evidence.telling
    sure = rows[rows["low"] > TELLS]
    numbers: dict[str, Number] = {"bound": TELLS}
    top = rows.head(5)
    numbers |= dict(zip(top["feature"] + " of " + top["outcome"], top["auc"].tolist(), strict=True))
    if len(sure):
        named = "; ".join(
            f"{row.feature} tells {row.outcome} with an AUC of {row.auc:.2f} ({row.low:.2f} to {row.high:.2f})"
            for row in sure.itertuples()
        )
        text = f"A feature knows what it should not: {named}. Is it written after the outcome?"
    elif len(rows):
        first = rows.iloc[0]
        text = (
            f"No feature alone tells an outcome beyond an AUC of {TELLS:.2f}; the most telling: {first['feature']} of "
            f"{first['outcome']}, {first['auc']:.2f}."
        )
    else:
        text = "Not tried: there are too few outcomes of both kinds for any feature to tell one."
    return Check("nothing_leaks", not len(sure), numbers, text, tried=bool(len(rows)))


def canaries_silent(case: Case) -> Check:
    """The recipe makes nothing of columns that can tell nothing: no canary is among the strongest columns.

    A canary that is missed, or that makes the ranking better, by more than chance is said and does not refuse: of 40
    samples that happened in two without cause.
    """
    name, metrics = "canaries_silent", case.metrics
    places = {kind: int(metrics[at]) for kind in KINDS if (at := f"canary/{kind}/place") in metrics}
    if not places:
        return Check(name, True, {}, "Not tried: the run flew no canaries.", tried=False)
    singing = int(metrics.get("canary/singing", 0))
    told = int((case.evidence.known["train"] > 0).sum())
    strongest = min(STRONGEST, max(told // PART, 1)) if told else STRONGEST
    numbers: dict[str, Number] = {f"{kind} place": place for kind, place in places.items()}
    numbers |= {"strongest": strongest, "singing": singing}
    ranks = [kind for kind, place in places.items() if place <= strongest]
    seen = "; ".join(f"{KINDS[kind]} at place {place}" for kind, place in places.items())
    if ranks:
        text = f"The recipe makes much of what can tell nothing: {seen}, among the {strongest} strongest columns."
    else:
        text = f"No canary is among the {strongest} strongest columns: {seen}."
        text += " One is taken for something by more than chance, which may happen; see the report." if singing else ""
    return Check(name, not ranks, numbers, text)


def features_complete(case: Case) -> Check:
    """What training knew is known in the test rows and in the newest offers too."""
    known = case.evidence.known
    gone = {name: _gone(known, name) for name in ("test", "latest")}
    told = int((known["train"] > 0).sum())
    numbers: dict[str, Number] = {"features": told}
    numbers |= {f"gone in {name}": int(lost.sum()) for name, lost in gone.items()}
    words = [
        f"{_named(known, lost)} in {'the test rows' if name == 'test' else 'the newest offers'}"
        for name, lost in gone.items() if lost.any()
    ]  # fmt: skip
    text = (
        f"Known in training and no longer told: {'; '.join(words)}. Is a table or a column missing from the data?"
        if words
        else f"All {told} features that training was told are told in the newest offers too."
    )
    return Check("features_complete", not words, numbers, text)


def _gone(known: pd.DataFrame, block: str) -> np.ndarray:
    """(features,) bool: known far less often in a block than in training."""
    enough = known["train"] * known[f"{block}_rows"] >= EXPECTED
    return np.asarray(enough & (known[block] < KEPT * known["train"]))


def _named(known: pd.DataFrame, lost: np.ndarray) -> str:
    """The lost features, as whole families where a family is lost whole."""
    words = []
    for family, part in known.groupby("family", sort=False):
        ours = lost[part.index]
        told = part["train"].to_numpy() > 0
        if ours.any() and ours[told].all():
            words.append(f"the whole family {family}")
        elif ours.any():
            words.append(f"{', '.join(part['feature'][ours])} ({family})")
    return ", ".join(words)
