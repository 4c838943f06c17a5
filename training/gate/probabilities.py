"""Whether a probability means what it says."""

from __future__ import annotations

import numpy as np

from training.contestants import RANKER
from training.evaluate import perfect_calibration
from training.gate.case import Case, Check, Number

#: Two heads are held to what perfect calibration shows; together they stay below in 95 of 100.
CALIBRATION_QUANTILE = 0.975
#: How far a probability may be off beyond chance. No fitted head is perfect, so a test without an allowance refuses
#: every model once the log is long enough; these are half the distance to the truth that a sample's truth may show.
CALIBRATION_MARGIN = {"accept": 0.010, "convert": 0.005}


def calibrated(case: Case) -> Check:
    """Each head's error on the test rows is within what perfect calibration would show at that size, and a margin."""
    said, board = case.pool.said[RANKER], case.pool.board
    numbers: dict[str, Number] = {}
    off: list[str] = []
    for head, p in (("accept", said.p_accept), ("convert", said.p_convert)):
        error = case.measured[RANKER].value.get(f"calibration_error_{head}")
        if error is None:
            continue
        truth = board.accepted if head == "accept" else board.converted
        chance = perfect_calibration(p[np.isfinite(p) & np.isfinite(truth)], CALIBRATION_QUANTILE)
        margin = CALIBRATION_MARGIN[head]
        numbers |= {f"{head} error": error, f"{head} by chance": chance, f"{head} margin": margin}
        if error > chance + margin:
            off.append(
                f"p_{head} is off by {error:.3f} on average; chance explains {chance:.3f}, and {margin:.3f} "
                "more is allowed"
            )
    good = [
        f"p_{head} is off by {numbers[f'{head} error']:.3f}, chance explains {numbers[f'{head} by chance']:.3f}, "
        f"{CALIBRATION_MARGIN[head]:.3f} more is allowed"
        for head in ("accept", "convert") if f"{head} error" in numbers
    ]  # fmt: skip
    text = "; ".join(off or good or ["Not tried: there is no probability to judge"]) + "."
    return Check("calibrated", not off, numbers, text, tried=bool(good))
