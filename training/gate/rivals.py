"""The model against what it would replace: ahead of the rules, and behind no simpler baseline by much."""

from __future__ import annotations

import numpy as np

from training.contestants import RANKER, RULES, TITLES
from training.gate.case import PRIMARY, Case, Check, Number

#: How much a simpler baseline may be ahead on it before the product is refused.
MARGIN = 0.02


def beats_rules(case: Case) -> Check:
    """The whole interval of the paired difference lies above 0."""
    ours, theirs = case.measured[RANKER], case.measured[RULES]
    if PRIMARY not in ours.value or PRIMARY not in theirs.value:
        return Check(
            "beats_rules", False, {}, "No test group has an offer that was accepted, so no order can be judged."
        )
    lead = ours.less(theirs, PRIMARY)
    passed = lead.above_zero
    numbers = {
        "ranker": ours.value[PRIMARY], "rules": theirs.value[PRIMARY],
        "difference": lead.value, "low": lead.low, "high": lead.high,
    }  # fmt: skip
    text = (
        f"The ranker is {'ahead of' if lead.value >= 0 else 'behind'} the rules by {abs(lead.value):.3f} {PRIMARY} "
        f"(95 % interval {lead.low:+.3f} to {lead.high:+.3f}): {'' if passed else 'not '}better by more than chance."
    )
    return Check("beats_rules", passed, numbers, text)


def no_worse_than_baselines(case: Case) -> Check:
    """No simpler baseline may be ahead by more than the margin."""
    ours = case.measured[RANKER]
    numbers: dict[str, Number] = {"margin": MARGIN}
    ahead: list[str] = []
    for name, theirs in case.measured.items():
        if name in (RANKER, RULES) or name.startswith("without_") or PRIMARY not in theirs.value:
            continue
        lead = ours.less(theirs, PRIMARY).value if PRIMARY in ours.value else -np.inf
        numbers[name] = float(lead)
        if lead < -MARGIN:
            ahead.append(f"{TITLES.get(name, name)} by {-lead:.3f}")
    text = (
        f"Simpler and better beyond the margin of {MARGIN} {PRIMARY}: {', '.join(ahead)}."
        if ahead
        else f"No baseline is ahead by more than {MARGIN} {PRIMARY}."
    )
    return Check("no_worse_than_baselines", not ahead, numbers, text)
