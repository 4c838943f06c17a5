"""Whether the guard took this very model out of service before, for what became of its offers."""

from __future__ import annotations

from training.gate.case import Case, Check


def did_no_harm(case: Case) -> Check:
    """Offers of these very files were not found to be accepted less than others.

    The files decide, not the version: the same data and seed make the same model, however often it is trained.
    """
    name, seen = "did_no_harm", case.harm
    if seen is None:
        return Check(name, True, {}, "Not tried: the guard has nothing against it.", tried=False)
    text = (
        f"It was rolled back on {seen.at:%Y-%m-%d %H:%M} UTC (revision {seen.revision}) by {seen.reason}. "
        "Train on newer offers; who knows better releases it by `callsheet promote --force --reason`."
    )
    return Check(name, False, {"revision": seen.revision}, text)
