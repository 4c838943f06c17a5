"""Whether there is enough to judge by: offers, accounts, groups, outcomes, and both probabilities."""

from __future__ import annotations

import numpy as np

from training.contestants import RANKER
from training.gate.case import Case, Check, Number

MIN_OFFERS, MIN_ACCOUNTS, MIN_GROUPS, MIN_OF_EACH = 500, 50, 20, 20


def enough_data(case: Case) -> Check:
    """Below these numbers a verdict would be a coin's."""
    board = case.pool.board
    held = {
        "offers": (len(case.pool), MIN_OFFERS),
        "accounts": (len(np.unique(case.pool.account)), MIN_ACCOUNTS),
        "groups": (len(board.size), MIN_GROUPS),
        "conversions": (int(board.converted.sum()), MIN_OF_EACH),
        "offers without conversion": (int((1 - board.converted).sum()), MIN_OF_EACH),
    }
    short = [f"{have:,} {name} (it takes {need})" for name, (have, need) in held.items() if have < need]
    numbers: dict[str, Number] = {}
    for name, (have, need) in held.items():
        numbers |= {name: have, f"{name} needed": need}
    text = f"the test rows hold only {', '.join(short)}." if short else f"Judged on {len(case.pool):,} test offers."
    return Check("enough_data", not short, numbers, text)


def heads(case: Case) -> Check:
    """A list is sorted by expected value, which needs both probabilities."""
    said = case.pool.said[RANKER]
    known = {name: bool(np.isfinite(getattr(said, name)).all()) for name in ("p_accept", "p_convert")}
    missing = [name for name, there in known.items() if not there]
    words = " and ".join(missing)
    text = f"{words} cannot be estimated from this log." if missing else "Both probabilities can be estimated."
    return Check("heads_estimable", not missing, {name: int(there) for name, there in known.items()}, text)
