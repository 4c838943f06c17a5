"""Whether the model keeps to the agreement with sales: the served market, and how much behaviour may move a score."""

from __future__ import annotations

from training.gate.case import Case, Check


def behaviour_held(case: Case) -> Check:
    """Fit outweighs behaviour: no amount of clicks may buy a place."""
    share, most = case.metrics.get("behaviour_share"), case.config.behaviour_share
    passed = share is not None and share <= most
    text = (
        f"What contacts do moves a score {share:.2f} times as far as fit does; at most {most:.2f} is allowed."
        if share is not None
        else "The run does not say how far behaviour moves a score."
    )
    return Check("behaviour_share", passed, {"share": share, "at most": most}, text)


def same_market(case: Case) -> Check:
    """A change of the served market runs the gate again, on a model trained for it."""
    passed = case.version.market_fingerprint == case.config.market_fingerprint
    text = "Trained for today's served market." if passed else "The served market has changed since; train again."
    return Check("same_market", passed, {}, text)
