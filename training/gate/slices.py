"""Whether the model is good on the whole and bad somewhere: each slice against its allowance, all tests as one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from features.counted import counted
from training.contestants import CHAMPION, RANKER
from training.evaluate import evaluate
from training.gate.case import PRIMARY, PRIMARY_WORDS, Case, Check, Number
from training.slices import MINIMUM, TITLES, each_slice

#: How much worse than its rival the model may be in one slice.
ALLOWANCE = 0.05
#: How often a model that is at its allowance in every slice may be refused for one of them.
SLICE_ALARM = 0.05
#: Accounts below which the resampling of a slice says too little of its spread.
MIN_SLICE_ACCOUNTS = 20


@dataclass(frozen=True)
class _Slice:
    """One slice: its name in words, rows, the model's lead there, and how likely chance alone makes it as bad."""

    name: str
    offers: int
    lead: float
    p: float


def slices_held(case: Case) -> Check:
    """In no slice is the model surely worse than its rival by more than the allowance (Holm over the slices)."""
    tested = sorted(_tested(case), key=lambda one: one.p)
    below: list[_Slice] = []
    for place, one in enumerate(tested):
        if one.p > SLICE_ALARM / (len(tested) - place):
            break
        below.append(one)
    rival = "the champion's recipe" if case.rival == CHAMPION else "the rules"
    numbers: dict[str, Number] = {"slices": len(tested), "allowance": ALLOWANCE, "false alarms": SLICE_ALARM}
    numbers |= {f"{one.name}": one.lead for one in tested}
    if below:
        where = "; ".join(f"{s.name} by {-s.lead:.3f} ({counted(s.offers, 'offer')}, p {s.p:.1g})" for s in below)
        text = f"Worse than {rival} by more than {ALLOWANCE} {PRIMARY_WORDS} and chance (Holm, {len(tested)}): {where}."
    elif tested:
        low = min(tested, key=lambda one: one.lead)
        text = (
            f"None of {counted(len(tested), 'slice')} is surely more than {ALLOWANCE} {PRIMARY_WORDS} behind {rival}; "
            f"the lowest: {low.name} by {low.lead:+.3f} ({counted(low.offers, 'offer')})."
        )
    else:
        text = f"Not tried: no slice has the {MINIMUM} offers and {MIN_SLICE_ACCOUNTS} accounts to be judged by."
    return Check("slices_held", not below, numbers, text, tried=bool(tested))


def _tested(case: Case) -> Iterator[_Slice]:
    pool = case.pool
    for column, value, rows in each_slice(pool.slices):
        accounts = len(np.unique(pool.account[rows]))
        if accounts < MIN_SLICE_ACCOUNTS:
            continue
        board, draw = pool.board.take(rows), case.draw.take(rows)
        ours, theirs = (evaluate(board, pool.said[key].take(rows), draw) for key in (RANKER, case.rival))
        if PRIMARY not in ours.value or PRIMARY not in theirs.value:
            continue
        lead = ours.value[PRIMARY] - theirs.value[PRIMARY]
        spread = float(np.nanstd(ours.samples[PRIMARY] - theirs.samples[PRIMARY]))
        if spread > 0:
            p = float(student.cdf((lead + ALLOWANCE) / spread, accounts - 1))
            yield _Slice(f"{TITLES.get(column, column)}: {value}", len(rows), lead, p)
