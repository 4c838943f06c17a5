"""Whether the very artefact held when it looked on at decisions in service, where it did."""

from __future__ import annotations

from features.counted import counted
from training.gate.case import Case, Check

#: Decisions below which looking on without a fault says nothing.
MIN_WATCHED = 100


def held_in_shadow(case: Case) -> Check:
    """It failed at none of the committed decisions that it looked on at as the challenger."""
    name, seen = "held_in_shadow", case.watched
    if seen is None or not seen.decisions:
        return Check(name, True, {}, "Not tried in shadow (`callsheet promote --shadow`).", tried=False)
    numbers = {"decisions": seen.decisions, "errors": seen.errors, "agreed": seen.agreed}
    text = f"It failed at {seen.errors:,} of {counted(seen.decisions, 'decision')} that it looked on at"
    if seen.errors:
        return Check(name, False, numbers, f"{text}; none is allowed.")
    if seen.decisions < MIN_WATCHED:
        return Check(name, True, numbers, f"{text}, and it takes {MIN_WATCHED} to tell.", tried=False)
    return Check(name, True, numbers, f"{text}, and ranked the same rep first as what served in {seen.agreed:,}.")
