"""The very artefact on offers answered since its cut, where data are at hand: the one trial that it cannot know of."""

from __future__ import annotations

import numpy as np

from features.counted import counted
from training.contestants import CHAMPION, RANKER, RULES
from training.evaluate import calibration_error, evaluate, perfect_calibration
from training.gate.case import PRIMARY, PRIMARY_WORDS, Case, Check, Number
from training.gate.probabilities import CALIBRATION_MARGIN, CALIBRATION_QUANTILE

#: Offers below which a fortnight's answers say nothing.
MIN_FRESH = 100
#: How far the artefact may be behind; beyond it, and beyond chance, it is refused.
FRESH_MARGIN = 0.02
NAMES = {RULES: "the rules", CHAMPION: "the champion"}


def answers_since(case: Case) -> Check:
    """On newer answers p_accept means what it says, and the order is not worse than that of the rules or champion."""
    name, pool = "answers_since", case.fresh
    if pool is None:
        return Check(name, True, {}, "Not tried on answers since its cut, for no data is named (--data).", tried=False)
    if len(pool) < MIN_FRESH:
        few = counted(len(pool), "offer was", "offers were")
        told = f"Not tried: {few} answered since its cut, and it takes {MIN_FRESH}."
        return Check(name, True, {"offers": len(pool)}, told, tried=False)
    said, accepted = pool.said[RANKER], pool.board.accepted
    numbers: dict[str, Number] = {"offers": len(pool), "margin": FRESH_MARGIN}
    words, bad = [], False
    known = np.isfinite(said.p_accept) & np.isfinite(accepted)
    if known.any():
        error = calibration_error(said.p_accept[known], accepted[known])
        chance = perfect_calibration(said.p_accept[known], CALIBRATION_QUANTILE)
        bad |= error > chance + CALIBRATION_MARGIN["accept"]
        numbers |= {"accept error": error, "accept by chance": chance}
        allowed = CALIBRATION_MARGIN["accept"]
        words.append(f"p_accept is off by {error:.3f}, chance explains {chance:.3f}, {allowed:.3f} more is allowed")
    draw = pool.draw(case.seed, case.replicates)
    ours = evaluate(pool.board, said, draw)
    for rival in (one for one in NAMES if one in pool.said and PRIMARY in ours.value):
        lead = ours.less(evaluate(pool.board, pool.said[rival], draw), PRIMARY)
        bad |= lead.value < -FRESH_MARGIN and lead.high < 0
        numbers |= {f"over {rival}": lead.value, f"over {rival} low": lead.low, f"over {rival} high": lead.high}
        words.append(f"{PRIMARY_WORDS} {lead.value:+.3f} against {NAMES[rival]} ({lead.low:+.3f} to {lead.high:+.3f})")
    return Check(
        name, not bad, numbers, f"On {counted(len(pool), 'offer')} answered since its cut: {'; '.join(words)}."
    )
